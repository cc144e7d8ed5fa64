"""The same points seen by both eyes, here and there: sparse, to a fraction of a pixel.

Corners of the left eye are followed into the right one and back again; who doesn't come back to
where it started is dropped. Nothing is assumed of how the lenses stand but that they look nearly
the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vrmatte.frames import DoubleArray, FloatArray, Grey, Mask
from vrmatte.geometry.projection import Projection

"""One eye's picture, shape (H, W)."""

_MOST_CORNERS = 600
_CORNER_QUALITY = 0.002
"""Of the best corner's: walls and shadows have corners too, far weaker than a window's."""
_WINDOW = (21, 21)
_TERMINATE = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.005)
_PYRAMID_LEVELS = 3
_BACK_WITHIN_PX = 0.3
_MOST_UNLIKE = 0.5
"""Mean difference of two windows, of the deviation within one: noise against noise is above 0.9."""
_MOST_OFF_AXIS_DEG = 72.0
"""Farther out lenses are dim, and masks drawn over a picture's rim would pass for scenery."""
_MOST_ROWS_APART_DEG = 3.0
"""No camera that records VR180 is off by more."""
_CLOSER_DEG, _FARTHER_DEG = 20.0, 3.0
"""How far to the left a point may move from the left eye to the right one, as near things do (20
degrees are 0.18 m), and to the right, as nothing does unless the lenses are turned."""


@dataclass(frozen=True, slots=True, eq=False)
class EyeMatches:
    """Directions of the same points, unit length, shape (points, 3)."""

    left: DoubleArray
    right: DoubleArray
    """As the right eye sees them, in its own frame."""

    def __len__(self) -> int:
        return len(self.left)


def match_eyes(left: Grey, right: Grey, projection: Projection) -> EyeMatches:
    """Points that both eyes see in one frame.

    Args:
        left: what the left eye sees.
        right: what the right eye sees, of the same shape.
        projection: of both pictures. Where disparity keeps to rows (`Cassini`) the most is found.

    Raises:
        ValueError: a picture isn't of the projection's size.
    """
    shape = (projection.height, projection.width)
    if left.shape != shape or right.shape != shape:
        raise ValueError(f"pictures are {left.shape} and {right.shape}; the projection is {shape}")
    first, second = _evened(left), _evened(right)
    distance_px = max(4, projection.width // 80)
    corners = _corners(first, distance_px)
    if not len(corners):
        return EyeMatches(np.empty((0, 3)), np.empty((0, 3)))
    found, there = _follow(first, second, corners)
    back, returned = _follow(second, first, found)
    astray = np.abs(back - corners).reshape(-1, 2).max(axis=1)
    sure = there & returned & (astray < _BACK_WITHIN_PX)
    from_left = _directions(corners.reshape(-1, 2)[sure], projection)
    from_right = _directions(found.reshape(-1, 2)[sure], projection)
    plausible = _plausible(from_left, from_right)
    return EyeMatches(from_left[plausible], from_right[plausible])


def epipolar_angles(directions: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Angle about the baseline (rows of a Cassini picture) and towards it (its columns), radians.

    A point has the same first angle in two eyes that are not turned, however far it is.
    """
    x, y, z = directions.T
    return np.arctan2(y, z), np.arctan2(x, np.hypot(y, z))


def _evened(picture: Grey) -> Grey:
    """Contrast made alike everywhere, so that dark corners count too."""
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(picture), np.uint8)


def _corners(picture: Grey, distance_px: int) -> FloatArray:
    # OpenCV's stubs leave out that it answers None where there is no corner at all.
    found: Any = cv2.goodFeaturesToTrack(picture, _MOST_CORNERS, _CORNER_QUALITY, distance_px)
    return np.empty((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)


def _follow(one: Grey, other: Grey, points: FloatArray) -> tuple[FloatArray, Mask]:
    """Where points of one picture lie in the other, and which of them were found."""
    found, status, unlike = cv2.calcOpticalFlowPyrLK(
        one,
        other,
        points,
        points.copy(),
        winSize=_WINDOW,
        maxLevel=_PYRAMID_LEVELS,
        criteria=_TERMINATE,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    alike = np.ravel(unlike) < _MOST_UNLIKE * _deviation(one, points)
    return np.asarray(found, np.float32), alike & (np.ravel(status) == 1)


def _deviation(picture: Grey, points: FloatArray) -> DoubleArray:
    """Standard deviation of the picture within the window around each point."""
    samples = picture.astype(np.float32)
    mean = cv2.blur(samples, _WINDOW)
    spread = np.sqrt(np.maximum(cv2.blur(samples * samples, _WINDOW) - mean * mean, 0))
    columns, rows = np.rint(points.reshape(-1, 2)).astype(int).T
    height, width = picture.shape
    return spread[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]


def _directions(points: FloatArray, projection: Projection) -> DoubleArray:
    # OpenCV counts from the middle of the first pixel.
    x, y = (points.astype(np.float64) + 0.5).T
    return np.stack(projection.directions(x, y), axis=1)


def _plausible(left: DoubleArray, right: DoubleArray) -> Mask:
    rows_left, columns_left = epipolar_angles(left)
    rows_right, columns_right = epipolar_angles(right)
    nearer = np.degrees(columns_left - columns_right)
    ahead = np.minimum(left[:, 2], right[:, 2]) > math.cos(math.radians(_MOST_OFF_AXIS_DEG))
    alike = np.abs(np.degrees(rows_left - rows_right)) < _MOST_ROWS_APART_DEG
    return ahead & alike & (nearer > -_FARTHER_DEG) & (nearer < _CLOSER_DEG)
