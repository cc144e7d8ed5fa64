"""One eye of a frame, small: what is cheap enough to be looked at in every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vrmatte.frames import EYES, Eye, FloatArray, Grey, Matte, PlanarFrame, Plane, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import EyeProjection
from vrmatte.stereo.score import Labels, label_people

SMALL_PX = 512
"""Eyes are scored at this size, or at their own if that is less."""
_FAINT = 5
"""Alpha of 255 from which a matte is there at all."""
_MARGIN_PX = 16
_LEAST_WINDOW_PX = 64
"""Optical flow needs some picture to go by."""
_STRIDE_PX = 3
_LEAST_SITES = 12


@dataclass(frozen=True, slots=True, eq=False)
class SmallEye:
    """Luma and matte of one eye, shape (S, S) each."""

    grey: Grey
    alpha: Grey
    """0 transparent .. 255 opaque."""


def small_eyes(frame: PlanarFrame, matte: Matte) -> dict[Eye, SmallEye]:
    """Both eyes of a side-by-side frame at `SMALL_PX`, or as they are if they are smaller."""
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
    """How much values rise to the right and down, per pixel."""
    across = cv2.Sobel(values, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(values, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def window_around(*mattes: Grey) -> PixelRect | None:
    """Where anything of the mattes is, and some picture around it; None: nothing is."""
    there = (np.maximum.reduce(mattes) > _FAINT).astype(np.uint8)
    left, top, columns, rows = cv2.boundingRect(there)
    if rows == 0:
        return None
    height, width = there.shape
    top, bottom = _widened(top, rows, height)
    left, right = _widened(left, columns, width)
    return PixelRect(top, left, bottom, right)


def _widened(first: int, length: int, size: int) -> tuple[int, int]:
    margin = max(_MARGIN_PX, (_LEAST_WINDOW_PX - length + 1) // 2)
    last = min(size, first + length + margin)
    return max(0, min(first - margin, size - _LEAST_WINDOW_PX)), last


class PeoplePlaces:
    """Which small pixels belong to whom, by people's boxes."""

    def __init__(self, eye: EyeProjection) -> None:
        """Take what an eye shows, at any size."""
        small = eye.resized(min(SMALL_PX, eye.size))
        sites = np.arange(small.size, dtype=np.float64) + 0.5
        dx, dy, dz = small.directions(*np.meshgrid(sites, sites))
        self._yaw_deg = np.degrees(np.arctan2(dx, dz)).astype(np.float32)
        self._pitch_deg = -np.degrees(np.arctan2(dy, np.hypot(dx, dz))).astype(np.float32)

    def labels(self, bounds: Sequence[AngularBox | None], window: PixelRect) -> Labels:
        """The number of whose box, grown a little, each pixel of a window lies in."""
        return label_people(bounds, self._yaw_deg[window.slices], self._pitch_deg[window.slices])

    def coverage(self, box: AngularBox, alpha: Grey) -> float | None:
        """How much of a box is covered, 0..1; None: it is too small to tell."""
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
