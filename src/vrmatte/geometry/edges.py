"""Sampling of an eye near its edge, without values from beyond the edge.

Filters reach a few samples around a position. Along the sides of a square, resampling repeats the
outermost samples. Along the rim of a fisheye, where black begins inside the square, positions are
moved inward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrmatte.frames import DoubleArray, Mask
from vrmatte.geometry.projection import EyeProjection, Fisheye, HalfEquirect, Projection

_REACH = 2
"""Samples that a cubic filter reaches to either side."""


def held_to_edge(eye: EyeProjection, step: int = 1) -> Projection:
    """Return the eye as a source of samples `step` luma pixels apart, with the eye's coverage."""
    return eye if isinstance(eye, HalfEquirect) else _Rim(eye, _REACH * step, endless=False)


def endless(eye: EyeProjection, step: int = 1) -> Projection:
    """Return the same with its edge values continued outwards, so that everything is covered."""
    if isinstance(eye, HalfEquirect):
        return _WholeSphere(eye.size)
    return _Rim(eye, _REACH * step, endless=True)


class _WholeSphere(HalfEquirect):
    """A half-equirectangular eye that covers everything: resampling repeats its sides."""

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True everywhere."""
        return np.isfinite(x) & np.isfinite(y)


@dataclass(frozen=True, slots=True)
class _Rim:
    """A fisheye whose outermost pixels are never read; those just inside are read instead."""

    eye: Fisheye
    unread_px: int
    endless: bool
    """True: positions beyond the circle are moved to its rim; False: they become infinite."""

    @property
    def width(self) -> int:
        return self.eye.width

    @property
    def height(self) -> int:
        return self.eye.height

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        return self.eye.directions(x, y)

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return the pixels to read for directions; infinite where there are none."""
        x, y = self.eye.pixels(dx, dy, dz)
        half = self.eye.size / 2
        radius = np.hypot(x - half, y - half)
        inward = np.minimum(1, (half - self.unread_px) / np.maximum(radius, 1e-9))
        x, y = half + (x - half) * inward, half + (y - half) * inward
        if self.endless:
            return x, y
        is_in = radius <= half
        return np.where(is_in, x, np.inf), np.where(is_in, y, np.inf)

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True where there is anything to read."""
        return np.isfinite(x) & np.isfinite(y)
