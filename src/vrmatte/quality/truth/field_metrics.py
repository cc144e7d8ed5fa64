"""How much the slopes of a matte differ from those of the truth: the field's "Grad".

Slopes are taken with first derivatives of a Gaussian (sigma 1.4, 9 x 9 pixels, the kernel's squares
sum to 1), their lengths compared, the squared differences summed up (Rhemann et al., CVPR 2009).
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
    """Sum over all pixels; grows with their number, so only equal sizes can be compared."""
    difference = _slope(matte) - _slope(truth)
    return float(np.vdot(difference, difference))


def _slope(alpha: Alpha) -> Alpha:
    """Length of the gradient at each pixel."""
    along, across = _kernels()
    dx = cv2.sepFilter2D(alpha, -1, along, across, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(alpha, -1, across, along, borderType=cv2.BORDER_REPLICATE)
    return cast(Alpha, cv2.magnitude(dx, dy))


def _kernels() -> tuple[Alpha, Alpha]:
    """The derivative, and the Gaussian across it."""
    at = np.arange(-_HALF, _HALF + 1, dtype=np.float64)
    bell = np.exp(-(at**2) / (2 * _SIGMA**2))
    slope = -at * bell
    return (
        (slope / np.linalg.norm(slope)).astype(np.float32),
        (bell / np.linalg.norm(bell)).astype(np.float32),
    )


_STEPS = 10

_AIR = np.float32(0.15)


def connectivity_error(matte: Alpha, truth: Alpha) -> float:
    """Sum over all pixels of |connectedness in the matte - connectedness in the truth|."""
    level = _levels(np.minimum(matte, truth))
    return float(np.abs(_hanging(matte, level) - _hanging(truth, level)).sum(dtype=np.float64))


def _hanging(alpha: Alpha, level: Alpha) -> Alpha:
    """How far each pixel lies above what it is connected to."""
    above = alpha - level
    above[above < _AIR] = 0
    return above


def _levels(both: Alpha) -> Alpha:
    """Up to which level each pixel is connected."""
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


def _box(mask: Mask) -> tuple[slice, slice] | None:
    """The rectangle that holds all of a mask; None: it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


_MARGIN_PX = 32
"""Nothing of the truth that moves is looked for further off; beyond, everything stands still."""


def moving_error(before: Alpha, truth_before: Alpha, matte: Alpha, truth: Alpha) -> float:
    """Sum over all pixels p of |(a - g)^2 at p before - (a - g)^2 at p + motion now|."""
    past, now = np.square(before - truth_before), np.square(matte - truth)
    box = _moving(truth_before, truth)
    if box is not None:
        now[box] = _carried_back(now[box], truth_before[box], truth[box])
    return float(np.abs(past - now).sum(dtype=np.float64))


def _carried_back(error: Alpha, truth_before: Alpha, truth: Alpha) -> Alpha:
    """The error as it lies where its pixels were before."""
    pictures = [np.rint(255 * alpha).astype(np.uint8) for alpha in (truth_before, truth)]
    still = np.zeros((*error.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(pictures[0], pictures[1], still, 0.5, 3, 15, 3, 5, 1.2, 0)
    steps = np.rint(flow).astype(np.int64)
    height, width = error.shape
    rows, columns = np.ogrid[:height, :width]
    return error[
        np.clip(rows + steps[..., 1], 0, height - 1),
        np.clip(columns + steps[..., 0], 0, width - 1),
    ]


def _moving(truth_before: Alpha, truth: Alpha) -> tuple[slice, slice] | None:
    """Where anything may move: around what changed; None: nothing did."""
    changed = truth_before != truth
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not rows.size:
        return None
    return (
        slice(max(0, int(rows[0]) - _MARGIN_PX), int(rows[-1]) + 1 + _MARGIN_PX),
        slice(max(0, int(columns[0]) - _MARGIN_PX), int(columns[-1]) + 1 + _MARGIN_PX),
    )
