"""A soft matte out of a mask and the picture's colours alone, without any network.

The colour guided filter (He, Sun, Tang, 2013): around each place the mask is explained as a linear
function of R, G and B, and that function is the matte. Edges follow the picture's; where person and
background have like colours the mask's own blurred edge stays.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.matting.edges.colour_model import PAIRS, factored, solved
from vrmatte.matting.guided import fit_coefficients

Floats = npt.NDArray[np.floating[Any]]

_RADIUS_PX, _EPSILON = 2, 1e-4
_FIT_RADIUS_PX, _FIT_EPSILON = 1, 1e-5


def guided_coefficients(picture: FloatArray, mask: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients for the mean of R, G and B that give the guided matte; (h, w) each.

    Args:
        picture: shape (3, h, w), RGB 0..1.
        mask: shape (h, w), 0..1.
    """
    alpha = colour_guided(picture, mask, _RADIUS_PX, _EPSILON)
    return fit_coefficients(picture.mean(axis=0), alpha, _FIT_RADIUS_PX, _FIT_EPSILON)


def colour_guided(
    picture: FloatArray, mask: FloatArray, radius_px: int, epsilon: float
) -> FloatArray:
    """The mask as a locally linear function of the picture's colours, 0..1, shape (h, w)."""
    side = 2 * radius_px + 1

    def mean(values: Floats) -> FloatArray:
        blurred = cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32)

    means, mean_mask = [mean(channel) for channel in picture], mean(mask)
    spread = [mean(picture[i] * picture[j]) - means[i] * means[j] for i, j in PAIRS]
    shared = np.stack([mean(picture[i] * mask) - means[i] * mean_mask for i in range(3)])
    slopes = solved(factored(spread, epsilon), shared)
    offset = mean_mask - sum(a * m for a, m in zip(slopes, means, strict=True))
    alpha = mean(np.asarray(offset, np.float32))
    for a, channel in zip(slopes, picture, strict=True):
        alpha += mean(a) * channel
    return np.clip(alpha, 0, 1)
