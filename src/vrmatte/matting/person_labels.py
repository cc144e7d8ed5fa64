"""Whose pixel is this: the parts of a small matte shared out among people whose boxes are known.

Four things speak for a person: their box, their colours, where they were in the frame before (moved
along with their box), and their neighbours. Where people are apart, their boxes and the connected
parts of the matte decide alone; where they cross, memory and colour do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import Eye

FloatArray = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

NOBODY = -1
"""Label of what is too far from everybody's box."""

_MATTE_FROM = 13
"""Alpha from which a pixel belongs to somebody, of 255."""
_SOLID_FROM = 230
"""Alpha from which a pixel's colour is a person's own."""
_MARGIN_SHARE, _MARGIN_LEAST_PX = 0.12, 2.5
"""How far people may reach out of their boxes, which often cut hair, hands and feet."""
_MAIN_SHARE = 0.25
"""A connected part is a person's only if it holds this much of all matte in their box."""
_STRANGER_COST, _NOBODY_COST = 4.0, 5.0
_BOX_WEIGHT, _COLOUR_WEIGHT, _NEIGHBOUR_WEIGHT = 1.0, 0.5, 3.0
_FORGETTING = 0.08
"""How little the frame before binds; without it a mistake would stay for ever."""
_REACH_PX = 2.0
"""How fast memory fades away from a person's outline."""
_BINS = 8
_COLOUR_MEMORY = 0.95


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a reduced eye, in its pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class Box:
    """Where a person is in a reduced eye, in its pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def warp_to(self, other: Box) -> npt.NDArray[np.float64]:
        """Shape (2, 3): from pixel centres in this box to those at the same place in another."""
        scale_x = (other.right - other.left) / max(self.right - self.left, 1.0)
        scale_y = (other.bottom - other.top) / max(self.bottom - self.top, 1.0)
        return np.array(
            [
                [scale_x, 0, other.left - scale_x * self.left + (scale_x - 1) / 2],
                [0, scale_y, other.top - scale_y * self.top + (scale_y - 1) / 2],
            ]
        )


@dataclass(frozen=True, slots=True)
class Stander:
    """A person in one eye of a frame."""

    number: int
    box: Box
    before: Box | None
    """Where they were in the frame before."""


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """What is in a window of a reduced eye: alpha 0..255 and the colour bin of each pixel."""

    alpha: npt.NDArray[np.uint8]
    colours: npt.NDArray[np.int32]


def colour_bins(y: FloatArray, u: FloatArray, v: FloatArray) -> npt.NDArray[np.int32]:
    """Bin of each pixel from 8-bit code values; bins of U and V are fine about grey."""
    luma = np.clip(y * (_BINS / 256), 0, _BINS - 1).astype(np.int32)
    blue, red = (
        np.clip((plane - 128) / 10 + _BINS / 2, 0, _BINS - 1).astype(np.int32) for plane in (u, v)
    )
    return (luma * _BINS + blue) * _BINS + red


class PersonLabels:
    """Labels frame after frame, with a memory of where people were and what they wear."""

    def __init__(self, size_px: int) -> None:
        """Take the size of a reduced eye."""
        self._size_px = size_px
        self.shares: dict[tuple[int, Eye], FloatArray] = {}
        """How surely each pixel of an eye was a person's in the frame before, 0..1."""
        self.colours: dict[int, FloatArray] = {}
        """Counts of the colours seen on a person."""

    def label(
        self, eye: Eye, standers: Sequence[Stander], window: Window, picture: SmallPicture
    ) -> Labels:
        """The number of the person, or NOBODY, nearest to or at each pixel of a window.

        Args:
            eye: whose window.
            standers: who may be seen in it, at least one.
            window: a rectangle of the reduced eye; all else of it is forgotten.
            picture: what is in it.
        """
        seen = picture.alpha >= _MATTE_FROM
        if not seen.any():
            self._remember(eye, {}, window)
            return np.full(seen.shape, NOBODY, np.int32)
        boxes = np.stack([_box_cost(stander.box, window) for stander in standers])
        evidence = -_BOX_WEIGHT * boxes - _strangers(boxes, seen)
        evidence[:-1] if False else None
        evidence += _COLOUR_WEIGHT * self._colour_evidence(standers, picture.colours)
        evidence += self._memory(eye, standers, window)
        shares = _with_neighbours(evidence, picture.alpha)
        self._learn(standers, boxes, shares, picture)
        best, distance = _spread(np.argmax(shares, axis=0), seen)
        fade = np.exp(-distance / np.float32(_REACH_PX))
        kept = {
            stander.number: np.where(seen, share, fade * (best == at))
            for at, (stander, share) in enumerate(zip(standers, shares, strict=True))
        }
        self._remember(eye, kept, window)
        return np.array([stander.number for stander in standers], np.int32)[best]
