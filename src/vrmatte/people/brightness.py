"""A detector without weights: bright regions are people. For trials and tests."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.people.detect import Pictures, ViewBox

_LEAST_MEAN = 140
_LEAST_PX = 60
_SCORE = 0.9


class BrightnessDetector:
    """Detects connected regions whose mean of red, green and blue is above 140 of 255."""

    name = "brightness"
    input_px = 320

    def detect(self, pictures: Pictures) -> list[list[ViewBox]]:
        """Return the boxes in each of n views (n, h, w, 3), RGB 0..255."""
        return [_boxes(picture.mean(axis=2) > _LEAST_MEAN) for picture in pictures]


def _boxes(bright: npt.NDArray[np.bool_]) -> list[ViewBox]:
    stats: Any = cv2.connectedComponentsWithStats(bright.astype(np.uint8))[2]
    return [
        ViewBox(float(x), float(y), float(x + width), float(y + height), _SCORE)
        for x, y, width, height, area in stats[1:].tolist()
        if area > _LEAST_PX
    ]
