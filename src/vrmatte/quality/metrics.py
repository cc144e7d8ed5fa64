"""Distance of a matte video from exact truth, by the field's definitions.

MAD and band MAD are times 1000 (as in the Robust Video Matting paper, arXiv 2108.11515): the mean
of |alpha - truth| over all pixels, and over the truth's edge band: pixels with 0.02 < truth < 0.98,
widened by 4 px. IoU compares masks at 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from vrmatte.errors import InputError
from vrmatte.frames import Matte

_BAND_KERNEL = np.ones((9, 9), np.uint8)


@dataclass(frozen=True, slots=True)
class MatteError:
    """How far a matte is from the truth."""

    frames: int
    mad: float
    band_mad: float
    iou: float


def measure_error(mattes: Iterable[Matte], truths: Iterable[Matte], skip: int = 0) -> MatteError:
    """Compare mattes with truths of the same size, leaving out the first `skip` frames.

    Raises:
        InputError: different numbers of frames, or nothing left to compare.
    """
    mads: list[float] = []
    bands: list[float] = []
    ious: list[float] = []
    try:
        for index, (matte, truth) in enumerate(zip(mattes, truths, strict=True)):
            if index < skip:
                continue
            difference = cv2.absdiff(matte, truth)
            band = cv2.dilate(((truth > 5) & (truth < 250)).astype(np.uint8), _BAND_KERNEL) > 0
            ours, theirs = matte > 127, truth > 127
            mads.append(float(difference.mean()) / 0.255)
            if band.any():
                bands.append(float(difference[band].mean()) / 0.255)
            if theirs.any():
                ious.append(float((ours & theirs).sum() / (ours | theirs).sum()))
    except ValueError as error:
        raise InputError("matte and truth hold different numbers of frames") from error
    if not mads:
        raise InputError("matte and truth have no frames to compare")
    return MatteError(
        len(mads), float(np.mean(mads)), float(np.mean(bands or [0])), float(np.mean(ious or [1]))
    )
