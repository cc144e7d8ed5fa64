"""Detection of hard cuts between shots, on thumbnails.

A VR180 camera stands still, so within a shot most of the image stays the same, whatever people do.
A cut changes nearly all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import PlanarFrame
from vrmatte.geometry.projection import EyeProjection, shown_pixels

Thumbnail = npt.NDArray[np.float32]
"""Brightness and colour of a frame on a coarse grid, shape (rows, columns, 3), codes of 8 bit.

Of a fisheye it contains only the blocks inside the circles, in one row: black corners never change
and would make cuts look small.
"""

_SIZE = (32, 16)
_CHANGED = 7.0
"""Median change of all blocks, in 8-bit codes, above which there may be a cut.

Measured on ground-truth clips with one or two people: 0 within a shot, even over a second; 19 or
more between rooms."""
_OUTSTANDING = 4.0
"""Least change at a cut, as a multiple of the usual change: a moving camera makes no cuts."""
_AROUND = 8
"""Frames on each side from which the usual change is computed."""
_SETTLED = 3
"""Frames on each side whose median is compared, so that a flash of light is not a cut."""


def thumbnail(frame: PlanarFrame, projection: EyeProjection | None = None) -> Thumbnail:
    """Return the thumbnail of a frame; `projection` None: every pixel shows something."""
    scale = 2.0 ** (8 - frame.layout.bit_depth)
    planes = [
        cv2.resize(plane, _SIZE, interpolation=cv2.INTER_AREA)
        for plane in (frame.y, frame.u, frame.v)
    ]
    tiny = np.dstack(planes).astype(np.float32) * np.float32(scale)
    if projection is None:
        return tiny
    shown = shown_pixels(projection.resized(_SIZE[1]))
    return tiny if shown.all() else tiny[None, np.tile(shown, 2)]


def change(before: Thumbnail, after: Thumbnail) -> float:
    """Return the median change between two thumbnails, in 8-bit codes."""
    return float(np.median(np.abs(after - before).max(axis=2)))


def may_hold_cut(before: Thumbnail, after: Thumbnail) -> bool:
    """Return True if there may be a cut between two frames that do not follow each other."""
    return change(before, after) > _CHANGED


def find_cuts(thumbnails: Sequence[Thumbnail]) -> list[int]:
    """Return the positions of the first thumbnails of new shots.

    Args:
        thumbnails: of frames that follow each other without gaps.
    """
    if len(thumbnails) < 2:
        return []
    stack = np.stack(thumbnails)
    steps = np.array([change(a, b) for a, b in pairwise(stack)])
    cuts: list[int] = []
    for at in range(1, len(stack)):
        own = steps[at - 1]
        low, high = max(0, at - 1 - _AROUND), at + _AROUND
        others = np.delete(steps[low:high], at - 1 - low)
        usual = float(np.median(others)) if others.size else 0.0
        if own <= max(_CHANGED, _OUTSTANDING * usual):
            continue
        before = np.median(stack[max(0, at - _SETTLED) : at], axis=0)
        after = np.median(stack[at : at + _SETTLED], axis=0)
        if change(before, after) > _CHANGED:
            cuts.append(at)
    return cuts
