"""The metrics Grad, Conn and MESSDdt of a matte against ground truth.

Grad compares slopes by first derivatives of a Gaussian (sigma 1.4, 9 x 9 pixels, the kernel's
squares sum to 1): the squared differences of their lengths are summed (Rhemann et al., CVPR 2009).
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import Mask

Alpha = npt.NDArray[np.float32]
"""A matte, shape (H, W), 0..1."""

_SIGMA = 1.4
_HALF = 4


def gradient_error(matte: Alpha, truth: Alpha) -> float:
    """Return Grad, summed over all pixels; only equal sizes can be compared."""
    difference = _slope(matte) - _slope(truth)
    return float(np.vdot(difference, difference))


def _slope(alpha: Alpha) -> Alpha:
    """Return the length of the gradient at each pixel."""
    along, across = _kernels()
    dx = cv2.sepFilter2D(alpha, -1, along, across, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(alpha, -1, across, along, borderType=cv2.BORDER_REPLICATE)
    return cast(Alpha, cv2.magnitude(dx, dy))


def _kernels() -> tuple[Alpha, Alpha]:
    """Return the derivative, and the Gaussian across it."""
    at = np.arange(-_HALF, _HALF + 1, dtype=np.float64)
    bell = np.exp(-(at**2) / (2 * _SIGMA**2))
    slope = -at * bell
    return (
        (slope / np.linalg.norm(slope)).astype(np.float32),
        (bell / np.linalg.norm(bell)).astype(np.float32),
    )


_STEPS = 10
_AIR = np.float32(0.15)
"""Height above its connected level from which a pixel counts as disconnected."""


def connectivity_error(matte: Alpha, truth: Alpha) -> float:
    """Return Conn: the sum of |connectedness in the matte - connectedness in the truth|."""
    level = _levels(np.minimum(matte, truth))
    return float(np.abs(_hanging(matte, level) - _hanging(truth, level)).sum(dtype=np.float64))


def _hanging(alpha: Alpha, level: Alpha) -> Alpha:
    """Return the height of each pixel above its connected level."""
    above = alpha - level
    above[above < _AIR] = 0
    return above


def _levels(both: Alpha) -> Alpha:
    """Return the level up to which each pixel is connected."""
    levels = np.zeros_like(both)
    box = _box(both >= np.float32(1 / _STEPS))
    if box is None:
        return levels
    inside = both[box]
    belongs = np.ones(inside.shape, np.bool_)
    for step in range(1, _STEPS + 1):
        belongs &= _largest_part(inside >= np.float32(step / _STEPS))
        levels[box][belongs] = step / _STEPS
    return levels


def _largest_part(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    if count < 2:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest)


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Return the rectangle around a mask; None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


_MARGIN_PX = 32
"""Motion is searched up to this distance from changed pixels."""


def moving_error(before: Alpha, truth_before: Alpha, matte: Alpha, truth: Alpha) -> float:
    """Return the sum over pixels p of |(a - g)^2 at p before - (a - g)^2 at p + motion now|."""
    past, now = np.square(before - truth_before), np.square(matte - truth)
    box = _moving(truth_before, truth)
    if box is not None:
        now[box] = _carried_back(now[box], truth_before[box], truth[box])
    return float(np.abs(past - now).sum(dtype=np.float64))


def _carried_back(error: Alpha, truth_before: Alpha, truth: Alpha) -> Alpha:
    """Move the error back to the pixels' previous positions."""
    images = [np.rint(255 * alpha).astype(np.uint8) for alpha in (truth_before, truth)]
    still = np.zeros((*error.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(images[0], images[1], still, 0.5, 3, 15, 3, 5, 1.2, 0)
    steps = np.rint(flow).astype(np.int64)
    height, width = error.shape
    rows, columns = np.ogrid[:height, :width]
    return error[
        np.clip(rows + steps[..., 1], 0, height - 1),
        np.clip(columns + steps[..., 0], 0, width - 1),
    ]


def _moving(truth_before: Alpha, truth: Alpha) -> tuple[slice, slice] | None:
    """Return the rectangle in which anything may move; None if nothing changed."""
    box = _box(truth_before != truth)
    if box is None:
        return None
    rows, columns = (
        slice(max(0, int(side.start) - _MARGIN_PX), int(side.stop) + _MARGIN_PX) for side in box
    )
    return rows, columns
