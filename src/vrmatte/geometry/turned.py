"""A projection whose eye is turned: the same picture, its directions told in another frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from vrmatte.geometry.projection import Array, Projection
from vrmatte.geometry.viewport import Viewport

Rotation = tuple[float, float, float, float, float, float, float, float, float]
"""A rotation matrix row by row: directions as a turned eye sees them to those of the frame."""

_ORTHONORMAL_WITHIN = 1e-9


def rotation_of(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Rotation:
    """The rotation of an eye that looks there, with the signs of a `Viewport`.

    Yaw is positive to the right, pitch up, roll clockwise as the eye itself turns.
    """
    looks = Viewport(yaw_deg, pitch_deg, 1, 1, roll_deg=roll_deg)
    return cast(Rotation, tuple(looks.rotation().ravel().tolist()))


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turned eye sees, as a `Projection` of the frame it is turned in.

    Raises:
        ValueError: `rotation` is no rotation (a mirror image, a scale, or anything else).
    """

    seen: Projection
    """The eye's own picture."""
    rotation: Rotation

    def __post_init__(self) -> None:
        matrix = np.reshape(self.rotation, (3, 3))
        off = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
        if not off <= _ORTHONORMAL_WITHIN or np.linalg.det(matrix) < 0:
            raise ValueError(f"no rotation: {self.rotation}")

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.seen.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.seen.height

    def directions(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Unit directions in the frame, seen at pixel coordinates."""
        a, b, c, d, e, f, g, h, i = self.rotation
        dx, dy, dz = self.seen.directions(x, y)
        return a * dx + b * dy + c * dz, d * dx + e * dy + f * dz, g * dx + h * dy + i * dz

    def pixels(self, dx: Array, dy: Array, dz: Array) -> tuple[Array, Array]:
        """Pixel coordinates of directions in the frame."""
        a, b, c, d, e, f, g, h, i = self.rotation
        return self.seen.pixels(
            a * dx + d * dy + g * dz, b * dx + e * dy + h * dz, c * dx + f * dy + i * dz
        )

    def covers(self, x: Array, y: Array) -> npt.NDArray[np.bool_]:
        """Where the eye's own picture shows anything."""
        return self.seen.covers(x, y)
