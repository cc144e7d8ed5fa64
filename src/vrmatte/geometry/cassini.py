"""The projection in which both eyes of a parallel rig agree row by row.

An equirectangular picture lying on its side: its pole is the line through both eyes. A point seen
by both eyes keeps its angle about that line, so its row; only its column moves, by its disparity.
In a half-equirectangular picture that holds on the horizon and the central meridian alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vrmatte.geometry.projection import Array, SquarePicture


@dataclass(frozen=True, slots=True)
class Cassini(SquarePicture):
    """180 x 180 degrees: columns are angles towards the other eye, rows are angles about it.

    Columns spread evenly over asin(x), rows over atan2(y, z); straight ahead is the middle.
    """

    def directions(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Unit directions seen at pixel coordinates."""
        sideways = (x / self.size - 0.5) * math.pi
        about = (y / self.size - 0.5) * math.pi
        return np.sin(sideways), np.cos(sideways) * np.sin(about), np.cos(sideways) * np.cos(about)

    def pixels(self, dx: Array, dy: Array, dz: Array) -> tuple[Array, Array]:
        """Pixel coordinates of directions; behind the eye they lie outside 0..size."""
        # The same angle as asin(x / length), but exact near the poles too.
        sideways = np.arctan2(dx, np.hypot(dy, dz))
        about = np.arctan2(dy, dz)
        return (sideways / math.pi + 0.5) * self.size, (about / math.pi + 0.5) * self.size

    def covers(self, x: Array, y: Array) -> npt.NDArray[np.bool_]:
        """Inside the square."""
        return (x >= 0) & (x <= self.size) & (y >= 0) & (y <= self.size)

    def disparity_px(
        self, x: Array, y: Array, plane_m: float, baseline_m: float, *, from_left: bool = True
    ) -> Array:
        """Disparity of what an eye sees at (x, y) on the upright plane `plane_m` in front of it.

        Args:
            x: columns in that eye's picture.
            y: rows.
            plane_m: depth of the plane.
            baseline_m: distance between the eyes.
            from_left: whether (x, y) are in the left eye's picture or in the right eye's.

        Returns:
            left column minus right column, in pixels; positive in front of infinity.
        """
        sideways = (x / self.size - 0.5) * math.pi
        about = (y / self.size - 0.5) * math.pi
        step = baseline_m / plane_m * np.cos(about)
        sign = 1 if from_left else -1
        other = np.arctan2(np.sin(sideways) - sign * step * np.cos(sideways), np.cos(sideways))
        return sign * (sideways - other) * self.size / math.pi
