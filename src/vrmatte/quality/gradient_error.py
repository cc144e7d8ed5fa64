"""How much the slopes of a matte differ from those of the truth: the field's "Grad".

Slopes are taken with first derivatives of a Gaussian (sigma 1.4, 9 x 9 pixels, the kernel's squares
sum to 1), their lengths compared, the squared differences summed up (Rhemann et al., CVPR 2009).
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

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
