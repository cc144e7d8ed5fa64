"""How much a matte's error changes along the truth's own motion: the field's "MESSDdt".

An error that rides along with a moving person disturbs less than one that stays behind or comes and
goes (Erofeev et al., BMVC 2015). The motion is the flow between the truth's two mattes, by
Farnebäck's method, in whole pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from vrmatte.quality.gradient_error import Alpha

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
