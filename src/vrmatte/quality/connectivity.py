"""How much of a matte hangs together as it does in the truth: the field's "Conn".

For each pixel: up to which level, in steps of a tenth, does it belong to the largest part that is
at least that opaque in both pictures? What lies 0.15 or more above that level hangs in the air
(Rhemann et al., CVPR 2009). Parts touch by their sides, not by their corners.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.quality.gradient_error import Alpha

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


def _largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    if count < 2:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest)


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The rectangle that holds all of a mask; None: it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
