"""One eye of a frame at 512 pixels, and the scores that are cheap enough for every frame.

    fine share = sum(alpha - opened(alpha)) / sum(alpha), opened by a disc of five pixels, where
                 the difference is more than 1/8
    softness   = 6 * sum(alpha * (1 - alpha)) / sum |slope of alpha|

Networks that blur lose fine structure first, while their mattes become more stable; so fine share
accompanies every measure of stability. Softness is the width of a straight ramp that holds as much
half-transparent alpha as the outline does; areas in which a network is undecided count too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vrmatte.frames import EYES, Eye, FloatArray, Grey, Mask, Matte, PlanarFrame, Plane, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import EyeProjection
from vrmatte.stereo.score import Labels, label_people

SMALL_PX = 512
"""Eyes are scored at this size, or at their original size if that is smaller."""
_FAINT = 5
"""Alpha of 255 above which a pixel belongs to the matte."""
_MARGIN_PX = 16
_LEAST_WINDOW_PX = 64
"""Optical flow needs some image around the matte."""
_STRIDE_PX = 3
_LEAST_SITES = 12
_LEAST_FINE = 32
"""Of 255: opening takes as much off the corners of blurred mattes too."""
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


@dataclass(frozen=True, slots=True, eq=False)
class SmallEye:
    """Luma and matte of one eye, shape (S, S) each."""

    grey: Grey
    alpha: Grey
    """0 transparent .. 255 opaque."""


def small_eyes(frame: PlanarFrame, matte: Matte) -> dict[Eye, SmallEye]:
    """Reduce both eyes of a side-by-side frame to `SMALL_PX`; smaller eyes stay as they are."""
    size = min(SMALL_PX, matte.shape[0])
    luma = _shrunk(frame.y, size)
    if luma.dtype != np.uint8:
        luma = cast(Plane, luma >> (frame.layout.bit_depth - 8))
    grey, alpha = luma.astype(np.uint8), np.asarray(_shrunk(matte, size), np.uint8)
    return {eye: SmallEye(half_of(grey, eye), half_of(alpha, eye)) for eye in EYES}


def _shrunk(plane: Plane, size: int) -> Plane:
    if plane.shape[0] == size:
        return plane
    width = round(plane.shape[1] * size / plane.shape[0])
    return cast(Plane, cv2.resize(plane, (width, size), interpolation=cv2.INTER_AREA))


def slopes(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the slopes of values to the right and down, per pixel."""
    across = cv2.Sobel(values, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(values, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def window_around(*mattes: Grey) -> PixelRect | None:
    """Return the window that holds these mattes with a margin; None if they are empty."""
    solid = (np.maximum.reduce(mattes) > _FAINT).astype(np.uint8)
    left, top, columns, rows = cv2.boundingRect(solid)
    if rows == 0:
        return None
    height, width = solid.shape
    top, bottom = _widened(top, rows, height)
    left, right = _widened(left, columns, width)
    return PixelRect(top, left, bottom, right)


def _widened(first: int, length: int, size: int) -> tuple[int, int]:
    margin = max(_MARGIN_PX, (_LEAST_WINDOW_PX - length + 1) // 2)
    last = min(size, first + length + margin)
    return max(0, min(first - margin, size - _LEAST_WINDOW_PX)), last


class PeoplePlaces:
    """Assignment of the pixels of a small eye to people, by their boxes."""

    def __init__(self, eye: EyeProjection) -> None:
        """Take the projection of an eye, at any size."""
        small = eye.resized(min(SMALL_PX, eye.size))
        sites = np.arange(small.size, dtype=np.float64) + 0.5
        dx, dy, dz = small.directions(*np.meshgrid(sites, sites))
        self._yaw_deg = np.degrees(np.arctan2(dx, dz)).astype(np.float32)
        self._pitch_deg = -np.degrees(np.arctan2(dy, np.hypot(dx, dz))).astype(np.float32)

    def labels(self, bounds: Sequence[AngularBox | None], window: PixelRect) -> Labels:
        """Return for each pixel of a window the number of the slightly grown box that holds it."""
        return label_people(bounds, self._yaw_deg[window.slices], self._pitch_deg[window.slices])

    def coverage(self, box: AngularBox, alpha: Grey) -> float | None:
        """Return the covered share of a box, 0..1; None if the box is too small to measure."""
        every = (slice(None, None, _STRIDE_PX), slice(None, None, _STRIDE_PX))
        yaw, pitch = self._yaw_deg[every], self._pitch_deg[every]
        inside = (
            (yaw >= box.yaw_min_deg)
            & (yaw <= box.yaw_max_deg)
            & (pitch >= box.pitch_min_deg)
            & (pitch <= box.pitch_max_deg)
        )
        if np.count_nonzero(inside) < _LEAST_SITES:
            return None
        return float(alpha[every][inside].mean()) / 255


def fine_structure(alpha: Grey) -> Grey:
    """Return the alpha that an opening removes, in the shape and range of `alpha`."""
    removed = cv2.subtract(alpha, cv2.morphologyEx(alpha, cv2.MORPH_OPEN, _DISC))
    return np.asarray(cv2.threshold(removed, _LEAST_FINE, 0, cv2.THRESH_TOZERO)[1], np.uint8)


class Softness:
    """Half-transparent alpha and slopes of a matte, to be summed up for each person."""

    def __init__(self, alpha: Grey) -> None:
        """Take a matte, 0..255, shape (h, w)."""
        values: FloatArray = alpha.astype(np.float32) / np.float32(255)
        self._undecided = values * (1 - values)
        self._steep = np.hypot(*slopes(values))

    def width_px(self, of: Mask) -> float:
        """Return the mean edge width among the pixels `of`; 0 without an edge."""
        steep = float(self._steep[of].sum())
        return 6 * float(self._undecided[of].sum()) / steep if steep > 1 else 0.0
