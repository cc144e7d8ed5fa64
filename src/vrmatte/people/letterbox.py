"""Helpers for detectors with a square input: letterboxing, and removal of duplicate boxes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.people.detect import ViewBox

STRIDES = (8, 16, 32)
"""Sizes of the grid cells of YOLO networks, in pixels of their input."""
PAD_CODE = 114
"""Grey, of 255, around an image that does not fill the input."""
_SAME_IOU = 0.45
"""Boxes that overlap more show the same person."""


def fitted(picture: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.uint8]:
    """Return an image (h, w, 3) at another scale; the same object if its size stays."""
    height, width = (round(side * scale) for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return picture
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=kind), np.uint8)


def laid_in(picture: npt.NDArray[np.uint8], side_px: int, left: int, top: int) -> FloatArray:
    """Return an image (h, w, 3) in a grey square, shape (3, side, side), 0..255."""
    height, width = picture.shape[:2]
    square = np.full((3, side_px, side_px), PAD_CODE, np.float32)
    square[:, top : top + height, left : left + width] = picture.transpose(2, 0, 1)
    return square


def without_duplicates(
    corners: npt.NDArray[Any], scores: FloatArray, scale: float, width: int, height: int
) -> list[ViewBox]:
    """Return the boxes of an image of `width` x `height`, one per person, best score first.

    Args:
        corners: x0, y0, x1, y1 in the fitted image, shape (n, 4).
        scores: shape (n,).
        scale: of the fitted image.
        width: of the original image.
        height: of the original image.
    """
    inside = np.clip(corners / scale, 0, [width, height, width, height])
    kept = keep_best(inside, scores, _SAME_IOU)
    return [
        ViewBox(x0, y0, x1, y1, score)
        for x0, y0, x1, y1, score in np.column_stack([inside, scores])[kept].tolist()
    ]


def keep_best(corners: npt.NDArray[Any], scores: npt.NDArray[Any], most_iou: float) -> list[int]:
    """Return indices of boxes, best first, that overlap no better one by more than `most_iou`.

    Args:
        corners: x0, y0, x1, y1, shape (n, 4).
        scores: shape (n,).
        most_iou: largest overlap of boxes that show different things.
    """
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    waiting, kept = np.argsort(-scores, kind="stable"), list[int]()
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[waiting, :2])
        high = np.minimum(corners[best, 2:], corners[waiting, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        waiting = waiting[shared <= most_iou * (area[best] + area[waiting] - shared)]
    return kept
