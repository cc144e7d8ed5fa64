"""Projections of one eye: from pixel to direction and back.

Directions are unit vectors with x right, y down, z forward. Pixel coordinates are continuous: the
centre of the top-left pixel is (0.5, 0.5). Formulas: half-equirectangular and equidistant fisheye
as used by DeoVR and HereSphere, docs/formats.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from vrmatte.frames import DoubleArray, Mask


class Projection(Protocol):
    """A mapping between the pixels of an image and directions."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        ...

    @property
    def height(self) -> int:
        """Height in pixels."""
        ...

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return unit directions (x, y, z) at continuous pixel coordinates of any common shape."""
        ...

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return continuous pixel coordinates of directions of any length but zero."""
        ...

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return a mask of the continuous pixel coordinates at which the image shows anything."""
        ...


@dataclass(frozen=True, slots=True)
class SquarePicture:
    """An image as wide as it is high."""

    size: int
    """Width and height in pixels."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.size

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.size

    def resized(self, size: int) -> Self:
        """Return the same view, `size` pixels wide and high."""
        return replace(self, size=size)


@dataclass(frozen=True, slots=True)
class HalfEquirect(SquarePicture):
    """180 x 180 degrees: columns are longitudes, rows are latitudes."""

    @property
    def span_deg(self) -> float:
        """Angle across the middle of the image."""
        return 180

    @property
    def px_per_deg(self) -> float:
        """Pixels per degree in the middle."""
        return self.size / 180

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return unit directions at pixel coordinates."""
        lon = (x / self.size - 0.5) * math.pi
        lat = (y / self.size - 0.5) * math.pi
        return np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return pixel coordinates of directions; behind the eye they lie outside 0..size."""
        lon = np.arctan2(dx, dz)
        lat = np.arctan2(dy, np.hypot(dx, dz))
        return (lon / math.pi + 0.5) * self.size, (lat / math.pi + 0.5) * self.size

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True inside the square."""
        return (x >= 0) & (x <= self.size) & (y >= 0) & (y <= self.size)


@dataclass(frozen=True, slots=True)
class Fisheye(SquarePicture):
    """Equidistant fisheye: the radius grows with the angle, the circle touches the square."""

    fov_deg: float
    """Field of view of the full circle in degrees."""

    @property
    def span_deg(self) -> float:
        """Angle across the middle of the image."""
        return self.fov_deg

    @property
    def px_per_deg(self) -> float:
        """Pixels per degree, the same everywhere along the radius."""
        return self.size / self.fov_deg

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return unit directions at pixel coordinates."""
        half = self.size / 2
        u, v = (x - half) / half, (y - half) / half
        radius = np.hypot(u, v)
        angle = radius * math.radians(self.fov_deg / 2)
        scale = np.sinc(angle / math.pi) * math.radians(self.fov_deg / 2)  # sin(angle) / radius
        return u * scale, v * scale, np.cos(angle)

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return pixel coordinates of directions."""
        half = self.size / 2
        sideways = np.hypot(dx, dy)
        radius = np.arctan2(sideways, dz) / math.radians(self.fov_deg / 2)
        scale = half * radius / np.where(sideways > 0, sideways, 1)
        return half + dx * scale, half + dy * scale

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True inside the circle."""
        half = self.size / 2
        return np.hypot(x - half, y - half) <= half


EyeProjection = HalfEquirect | Fisheye
"""Projections of one eye of a video."""


def shown_pixels(projection: Projection) -> Mask:
    """Return a mask, shape (height, width), of the pixels whose centres are covered."""
    columns = np.arange(projection.width, dtype=np.float64) + 0.5
    rows = np.arange(projection.height, dtype=np.float64) + 0.5
    return projection.covers(*np.meshgrid(columns, rows))


@dataclass(frozen=True, slots=True)
class Cassini(SquarePicture):
    """180 x 180 degrees: columns are angles towards the other eye, rows are angles about it.

    Columns spread evenly over asin(x), rows over atan2(y, z); straight ahead is the middle.
    """

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return unit directions at pixel coordinates."""
        sideways = (x / self.size - 0.5) * math.pi
        about = (y / self.size - 0.5) * math.pi
        return np.sin(sideways), np.cos(sideways) * np.sin(about), np.cos(sideways) * np.cos(about)

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return pixel coordinates of directions; behind the eye they lie outside 0..size."""
        # The same angle as asin(x / length), but exact near the poles too.
        sideways = np.arctan2(dx, np.hypot(dy, dz))
        about = np.arctan2(dy, dz)
        return (sideways / math.pi + 0.5) * self.size, (about / math.pi + 0.5) * self.size

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True inside the square."""
        return (x >= 0) & (x <= self.size) & (y >= 0) & (y <= self.size)

    def disparity_px(
        self,
        x: DoubleArray,
        y: DoubleArray,
        plane_m: float,
        baseline_m: float,
        *,
        from_left: bool = True,
    ) -> DoubleArray:
        """Return the disparity at (x, y) on the upright plane `plane_m` in front of an eye.

        Args:
            x: columns in the image of that eye.
            y: rows.
            plane_m: depth of the plane.
            baseline_m: distance between the eyes.
            from_left: True: (x, y) are pixels of the left eye; False: of the right eye.

        Returns:
            Left column minus right column, in pixels; positive in front of infinity.
        """
        sideways = (x / self.size - 0.5) * math.pi
        about = (y / self.size - 0.5) * math.pi
        step = baseline_m / plane_m * np.cos(about)
        sign = 1 if from_left else -1
        other = np.arctan2(np.sin(sideways) - sign * step * np.cos(sideways), np.cos(sideways))
        return sign * (sideways - other) * self.size / math.pi
