"""The outline of a matte in full size: whether it is smooth, sharp, and on the picture's edges.

The outline is where alpha crosses one half, between pixels (marching squares). Hair is left out:
points with a wide ramp or on strands, and their neighbours.

    jaggedness      = root mean square distance, across the outline, from its own smoothed course
    edge width      = median of 1 / |gradient of alpha|
    offset          = how far out the outline lies from the picture's greatest step across it, as
                      three pixels on one side differ from three on the other, within 4 px
    image agreement = share of points with an offset of at most one pixel

Points where the picture has no step worth the name have no offset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import contourpy
import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import DoubleArray, FloatArray, Grey, Mask
from vrmatte.quality.frame_scores import ContourScore
from vrmatte.quality.small_eye import slopes

Points = npt.NDArray[np.float64]

_LEAST_POINTS = 200
"""Of a line; what is shorter are crumbs."""
_SMOOTHED_SAMPLES = 3
_TRIMMED = 0.9
_HAIR_PX = 10.0
"""Width of the ramp from which it is hair."""
_STRAND_PX = 3
_STRAND = 0.25
"""Where an opening leaves less than this on the outline, a strand was there."""
_HAIR_NEAR = 0.05
_REACH_PX = 4
_SIDE_PX = 3
_LEAST_STEP = 12.0
"""Codes of 255 between both sides of an edge."""
_BESIDE_PX = 1.0
_LEAST_DECIDED = 0.2
"""Share of the outline with a step beside it, from which the picture says anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Points of an outline, hair left out, with what was found at each; arrays of equal length."""

    x: FloatArray
    """In pixels of the picture that was looked at; centres are whole numbers."""
    y: FloatArray
    off_px: FloatArray
    """Distance from the smoothed course."""
    width_px: FloatArray
    offset_px: FloatArray
    """Outward from the picture's edge; NaN where it has none."""

    def score(self, of: Mask) -> ContourScore | None:
        """What the points `of` say together; None: too few."""
        points = int(np.count_nonzero(of))
        if points < _LEAST_POINTS:
            return None
        offsets = self.offset_px[of]
        offsets = offsets[~np.isnan(offsets)]
        decided = len(offsets) >= _LEAST_DECIDED * points
        beside = float((np.abs(offsets) <= _BESIDE_PX).mean()) if decided else None
        return ContourScore(
            points=points,
            jaggedness_px=_trimmed_rms(self.off_px[of]),
            edge_width_px=float(np.median(self.width_px[of])),
            image_agreement=beside,
            offset_px=float(offsets.mean()) if decided else None,
        )


def _trimmed_rms(values: FloatArray) -> float:
    """Root mean square of all but the greatest: corners and fingertips are no jags."""
    squares = np.sort(np.square(values))
    return float(np.sqrt(squares[: math.ceil(_TRIMMED * len(squares))].mean()))


def outline(alpha: Grey, luma: FloatArray) -> Outline:
    """Find the outline of a matte and judge each of its points.

    Args:
        alpha: 0..255, shape (h, w).
        luma: the picture, 0..255, same shape.
    """
    lines = [_judged_line(line, _Ramp(alpha)) for line in _lines(alpha)]
    found = np.concatenate([*lines, np.empty((0, 6), np.float32)])
    x, y, off, width, out_x, out_y = (np.ascontiguousarray(column) for column in found.T)
    return Outline(x, y, off, width, _offsets(luma, x, y, out_x, out_y))


class _Ramp:
    """How alpha rises, and where strands are."""

    def __init__(self, alpha: Grey) -> None:
        values = alpha.astype(np.float32) / np.float32(255)
        self.across, self.down = slopes(values)
        square = cv2.getStructuringElement(cv2.MORPH_RECT, (_STRAND_PX, _STRAND_PX))
        self.opened = np.asarray(cv2.morphologyEx(alpha, cv2.MORPH_OPEN, square))


def _lines(alpha: Grey) -> Iterator[Points]:
    generator = contourpy.contour_generator(z=alpha.astype(np.float32))
    for line in generator.lines(127.5):
        points = np.asarray(line, np.float64)
        if len(points) >= _LEAST_POINTS:
            yield points


def _judged_line(points: Points, ramp: _Ramp) -> FloatArray:
    """Rows of x, y, distance, width and outward normal of a line's points that aren't hair."""
    closed = bool(np.allclose(points[0], points[-1]))
    course = _smoothed(points, closed)
    tangent = np.gradient(course, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    off = ((points - course) * normal).sum(axis=1)
    x, y = (points[:, i].astype(np.float32) for i in (0, 1))
    rise = np.stack([_at(ramp.across, x, y), _at(ramp.down, x, y)], axis=1)
    normal *= np.where((rise * normal).sum(axis=1, keepdims=True) > 0, -1, 1)
    steep = np.linalg.norm(rise, axis=1)
    width = 1 / np.maximum(steep, 1e-3)
    strand = _at(ramp.opened.astype(np.float32), x, y) < _STRAND * 255
    hair = ((width > _HAIR_PX) | strand).astype(np.float64)
    kept = _smoothed(np.stack([hair, hair], axis=1), closed)[:, 0] < _HAIR_NEAR
    rows = np.stack([x, y, off, width, normal[:, 0], normal[:, 1]], axis=1)
    return rows[kept].astype(np.float32)


def _smoothed(points: Points, closed: bool) -> Points:
    reach = 4 * _SMOOTHED_SAMPLES
    mode = "wrap" if closed else "edge"
    inner = points[:-1] if closed else points
    padded = np.pad(inner, ((reach, reach), (0, 0)), mode=mode)
    smooth = cv2.GaussianBlur(padded, (1, 2 * reach + 1), sigmaX=1, sigmaY=_SMOOTHED_SAMPLES)
    kept = np.asarray(smooth, np.float64)[reach:-reach]
    return np.concatenate([kept, kept[:1]]) if closed else kept


def _at(values: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Values between pixels; outside the picture those of its border."""
    rows, columns = values.shape
    x, y = np.clip(x, 0, columns - 1.001), np.clip(y, 0, rows - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    dx, dy = x - left, y - top
    upper = values[top, left] * (1 - dx) + values[top, left + 1] * dx
    lower = values[top + 1, left] * (1 - dx) + values[top + 1, left + 1] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, np.float32)


def _offsets(
    luma: FloatArray, x: FloatArray, y: FloatArray, out_x: FloatArray, out_y: FloatArray
) -> FloatArray:
    """How far out each point lies from the greatest step of the picture across the outline."""
    if len(x) == 0:
        return np.empty(0, np.float32)
    farthest = _REACH_PX + _SIDE_PX
    across = [_at(luma, x + k * out_x, y + k * out_y) for k in range(-farthest, farthest + 1)]
    summed = np.cumsum([np.zeros_like(x), *across], axis=0, dtype=np.float64)
    steps: list[DoubleArray] = []
    for at in range(_SIDE_PX, _SIDE_PX + 2 * _REACH_PX + 1):
        inner = summed[at] - summed[at - _SIDE_PX]
        outer = summed[at + 1 + _SIDE_PX] - summed[at + 1]
        steps.append(np.abs(outer - inner) / _SIDE_PX)
    greatest = np.argmax(steps, axis=0)
    is_step = np.max(steps, axis=0) >= _LEAST_STEP
    return np.where(is_step, _REACH_PX - greatest, np.nan).astype(np.float32)
