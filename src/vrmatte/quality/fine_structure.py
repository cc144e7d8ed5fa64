"""How much of a matte is finer than a few pixels, and how much is undecided.

    fine share = sum(alpha - opened(alpha)) / sum(alpha), opened by a disc of five pixels, where
                 the difference is more than a shade (1/8)
    softness   = 6 * sum(alpha * (1 - alpha)) / sum |slope of alpha|

Networks that blur lose fine structure first, while their mattes become calmer; so it stands beside
every figure of calm. Softness is the width of a straight ramp that holds as much half-transparent
alpha as the outline does; whole areas in which a network couldn't decide count too.
"""

from __future__ import annotations

import cv2
import numpy as np

from vrmatte.frames import FloatArray, Grey, Mask
from vrmatte.quality.small_eye import slopes

_SHADE = 32
"""Of 255: an opening shaves so much off the corners of blurred mattes too."""
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


def fine_structure(alpha: Grey) -> Grey:
    """What an opening takes away, shape and range of `alpha`; 0 where it is but a shade."""
    away = cv2.subtract(alpha, cv2.morphologyEx(alpha, cv2.MORPH_OPEN, _DISC))
    return np.asarray(cv2.threshold(away, _SHADE, 0, cv2.THRESH_TOZERO)[1], np.uint8)


class Softness:
    """Half-transparent alpha and steepness of a matte, to be summed up for each person."""

    def __init__(self, alpha: Grey) -> None:
        """Take a matte, 0..255, shape (h, w)."""
        values: FloatArray = alpha.astype(np.float32) / np.float32(255)
        self._undecided = values * (1 - values)
        self._steep = np.hypot(*slopes(values))

    def width_px(self, of: Mask) -> float:
        """Mean width of the edge among the pixels `of`; 0 where there is none."""
        steep = float(self._steep[of].sum())
        return 6 * float(self._undecided[of].sum()) / steep if steep > 1 else 0.0
