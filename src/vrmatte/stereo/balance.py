"""Small differences between the eyes' outlines, shared out without touching their detail.

Where one eye's outline lies a fraction of a pixel further out than the other's, both are moved to
the middle. The difference is averaged along the outline first: what is left of errors in carrying
a matte pushes it in on one side of a hair and out on the other, while a fat outline is fat on both.
Then it is given to the pixels that are soft anyway, so the eye's own edge keeps its shape.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

from vrmatte.frames import FloatArray, Matte
from vrmatte.stereo.evidence import Evidence

_SIGMA_SHARE = 4 / 512
"""Length over which differences are averaged, as a share of the picture."""
_ONE_SIDED = (0.3, 0.9)
"""Differences count from the first share of one sign among them, fully from the second."""
_EVEN = 0.005
"""What pixels that aren't soft take part with; it fills holes."""
_LEAST_GAIN = 0.004
"""Below one step of an 8-bit matte nothing is done."""


def gain(evidence: Evidence, share: float | FloatArray) -> FloatArray:
    """By how much soft pixels are to move, so that the eye goes `share` of the way to the other.

    Returns:
        Shape (S, S): times softness 4a(1-a) it is what is added to alpha.
    """
    sigma = _SIGMA_SHARE * evidence.own.shape[0]

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)

    difference = (evidence.told - evidence.own) * evidence.seen * np.float32(share)
    surplus = mean(difference)
    one_sided = np.abs(surplus) / (mean(np.abs(difference)) + np.float32(1e-4))
    low, high = _ONE_SIDED
    trust = np.clip((one_sided - low) / (high - low), 0, 1)
    softness = 4 * evidence.own * (1 - evidence.own)
    found = trust * surplus / (mean(softness) + np.float32(_EVEN))
    return np.where(np.abs(found) < _LEAST_GAIN, np.float32(0), found).astype(np.float32)


def apply_gain(matte: Matte, reduced: FloatArray) -> None:
    """Move the outlines of one eye's full-size matte, in place.

    Args:
        matte: shape (E, E).
        reduced: the gain over the reduced eye, shape (e, e).
    """
    rows = np.flatnonzero(reduced.any(axis=1))
    if rows.size == 0:
        return
    wide = cv2.resize(reduced, (matte.shape[1], len(reduced)), interpolation=cv2.INTER_LINEAR)
    scale = matte.shape[0] / len(reduced)
    first = max(0, int((rows[0] - 1) * scale))
    last = min(matte.shape[0], int((rows[-1] + 2) * scale) + 1)
    _apply(matte, np.asarray(wide, np.float32), first, last)


@njit(nogil=True, cache=True)
def _apply(matte: Matte, wide: FloatArray, first: int, last: int) -> None:
    height, width = matte.shape
    small = wide.shape[0]
    even, half, step = np.float32(_EVEN), np.float32(0.5), np.float32(1 / 255)
    zero, span, four = np.float32(0), np.float32(255), np.float32(4)
    for i in range(first, last):
        at = min(max((i + 0.5) * small / height - 0.5, 0.0), small - 1.0)
        above = int(at)
        below = min(above + 1, small - 1)
        share = np.float32(at - above)
        upper, lower, row = wide[above], wide[below], matte[i]
        for j in range(width):
            # What is transparent stays so: a limb that is missing altogether is no soft edge.
            if row[j] == 0:
                continue
            alpha = np.float32(row[j]) * step
            gain = upper[j] + share * (lower[j] - upper[j])
            moved = alpha + gain * (four * alpha * (np.float32(1) - alpha) + even)
            row[j] = np.uint8(min(max(moved * span, zero), span) + half)
