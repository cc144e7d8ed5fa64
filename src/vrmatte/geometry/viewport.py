"""Viewports: perspective, stereographic or fisheye views in any direction, and their rotations.

A viewport is a direction and a field of view; with a size in pixels it becomes an image, which is a
projection like any other. All images share the centre of the eye, so turning a viewport is a pure
rotation without parallax.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np

from vrmatte.frames import DoubleArray, Mask
from vrmatte.geometry.projection import Projection

ViewProjection = Literal["perspective", "stereographic", "fisheye"]


@dataclass(frozen=True, slots=True)
class Viewport:
    """A view from one eye: its direction, field of view and projection.

    The fields of view are those of the middle row and column. A perspective view keeps straight
    lines straight and wastes pixels beyond about 100 degrees; a stereographic one keeps the form of
    small shapes and stretches less.

    Raises:
        ValueError: a field of view beyond the projection's limit (180 degrees for perspective, 360
            for the others).
    """

    yaw_deg: float
    """Yaw of the middle, positive to the right."""
    pitch_deg: float
    """Pitch of the middle, positive up."""
    hfov_deg: float
    vfov_deg: float
    projection: ViewProjection = "perspective"
    roll_deg: float = 0.0
    """Rotation of the camera about its axis, positive clockwise."""

    def __post_init__(self) -> None:
        limit_deg = 180 if self.projection == "perspective" else 360
        if not (0 < self.hfov_deg < limit_deg and 0 < self.vfov_deg < limit_deg):
            raise ValueError(
                f"a {self.projection} viewport can't be {self.hfov_deg:g} x {self.vfov_deg:g} "
                f"degrees; each must lie between 0 and {limit_deg}"
            )

    def size_for(self, density_px_per_deg: float) -> tuple[int, int]:
        """Return width and height in pixels, both even, for a density in the middle of the image.

        A half-equirectangular eye has `eye_px / 180` pixels per degree; the same density in the
        middle of a viewport loses no detail anywhere.
        """
        scale = math.degrees(density_px_per_deg) / 2
        width, height = (
            2 * max(1, round(scale * self._plane_extent(fov_deg)))
            for fov_deg in (self.hfov_deg, self.vfov_deg)
        )
        return width, height

    def picture(self, width: int, height: int) -> ViewportPicture:
        """Return the viewport as a projection of `width` x `height` pixels."""
        return ViewportPicture(self, width, height)

    def scales(self, width: int, height: int) -> tuple[float, float]:
        """Return pixels per radian in the middle of an image of this size, along x and y."""
        return width / self._plane_extent(self.hfov_deg), height / self._plane_extent(self.vfov_deg)

    def rotation(self) -> DoubleArray:
        """Return the matrix, shape (3, 3), from directions of the viewport to those of the eye.

        Its columns are the viewport's right, down and forward axes.
        """
        yaw, pitch, roll = (
            math.radians(angle) for angle in (self.yaw_deg, self.pitch_deg, self.roll_deg)
        )
        about_y = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
        about_x = [
            [1, 0, 0],
            [0, math.cos(pitch), -math.sin(pitch)],
            [0, math.sin(pitch), math.cos(pitch)],
        ]
        about_z = [
            [math.cos(roll), -math.sin(roll), 0],
            [math.sin(roll), math.cos(roll), 0],
            [0, 0, 1],
        ]
        return np.array(about_y) @ np.array(about_x) @ np.array(about_z)

    def _plane_extent(self, fov_deg: float) -> float:
        """Return the length of a field of view on a plane where a radian in the middle is 1."""
        if self.projection == "perspective":
            return 2 * math.tan(math.radians(fov_deg) / 2)
        if self.projection == "fisheye":
            return math.radians(fov_deg)
        return 4 * math.tan(math.radians(fov_deg) / 4)


@dataclass(frozen=True, slots=True)
class ViewportPicture:
    """A viewport at a size in pixels: a `Projection`, so planes can be resampled to and from it."""

    viewport: Viewport
    width: int
    height: int
    _rotation: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rotation", tuple(self.viewport.rotation().ravel().tolist()))

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return unit directions at pixel coordinates, also outside the image."""
        scale_x, scale_y = self.viewport.scales(self.width, self.height)
        u, v = (x - self.width / 2) / scale_x, (y - self.height / 2) / scale_y
        squared = u * u + v * v
        if self.viewport.projection == "perspective":
            ahead = 1 / np.sqrt(1 + squared)
            right, down = u * ahead, v * ahead
        elif self.viewport.projection == "fisheye":
            angle = np.sqrt(squared)
            shrink = np.sinc(angle / np.pi)  # sin(angle) / angle
            right, down, ahead = u * shrink, v * shrink, np.cos(angle)
        else:
            shrink = 4 / (4 + squared)
            right, down, ahead = u * shrink, v * shrink, 2 * shrink - 1
        a, b, c, d, e, f, g, h, i = self._rotation
        return (
            a * right + b * down + c * ahead,
            d * right + e * down + f * ahead,
            g * right + h * down + i * ahead,
        )

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return pixel coordinates of directions.

        Infinite for directions that the plane does not contain: those behind a perspective view,
        and straight backwards for the others.
        """
        a, b, c, d, e, f, g, h, i = self._rotation
        right = a * dx + d * dy + g * dz
        down = b * dx + e * dy + h * dz
        ahead = c * dx + f * dy + i * dz
        if self.viewport.projection == "perspective":
            depth = ahead
        elif self.viewport.projection == "fisheye":
            sideways = np.hypot(right, down)
            angle = np.arctan2(sideways, ahead)
            depth = np.where(angle > 0, sideways / np.where(angle > 0, angle, 1), ahead)
        else:
            depth = (np.sqrt(dx * dx + dy * dy + dz * dz) + ahead) / 2
        placed = depth > 0
        depth = np.where(placed, depth, 1)
        scale_x, scale_y = self.viewport.scales(self.width, self.height)
        return (
            np.where(placed, self.width / 2 + scale_x * right / depth, np.inf),
            np.where(placed, self.height / 2 + scale_y * down / depth, np.inf),
        )

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True inside the rectangle."""
        return (x >= 0) & (x <= self.width) & (y >= 0) & (y <= self.height)


def homography(old: Viewport, new: Viewport, size: tuple[int, int]) -> DoubleArray:
    """Return the matrix from pixels of one perspective viewport to another of the same size.

    Coordinates are continuous, the top-left pixel's centre at (0.5, 0.5). OpenCV counts from that
    centre, so its `warpPerspective` wants `T @ H @ inv(T)`, T moving by -0.5 along x and y.

    Args:
        old: viewport of the given points.
        new: viewport of the result; fields of view may differ.
        size: width and height of both images in pixels.

    Returns:
        H of shape (3, 3): `H @ (x, y, 1)` is proportional to `(x', y', 1)`; its third component is
        positive where the point is in front of the new viewport.

    Raises:
        ValueError: a viewport is not perspective, so no such matrix exists.
    """
    if old.projection != "perspective" or new.projection != "perspective":
        raise ValueError("only perspective viewports map onto each other by a homography")
    turn = new.rotation().T @ old.rotation()
    return _camera(new, size) @ turn @ np.linalg.inv(_camera(old, size))


def _camera(view: Viewport, size: tuple[int, int]) -> DoubleArray:
    """Return the matrix from the viewport's directions to homogeneous pixel coordinates."""
    width, height = size
    scale_x, scale_y = view.scales(width, height)
    return np.array([[scale_x, 0, width / 2], [0, scale_y, height / 2], [0, 0, 1]])


@dataclass(frozen=True, slots=True)
class Turn:
    """Direction of a viewport from a frame on."""

    frame: int
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True, slots=True)
class ViewportPath:
    """One viewport for frames first..last-1 of a video, with the same direction in both eyes.

    Raises:
        ValueError: it never opens, it has no turn at the first frame, its turns are out of order,
            or it turns and is not perspective (only a perspective view's memory can be warped).
    """

    name: str
    """Unique in a video; identifies the engine's memory of this path."""
    first: int
    last: int
    hfov_deg: float
    vfov_deg: float
    turns: tuple[Turn, ...]
    projection: ViewProjection = "perspective"

    def __post_init__(self) -> None:
        if self.first >= self.last:
            raise ValueError(f"viewport {self.name} never opens: {self.first} to {self.last}")
        if self.projection != "perspective" and len(self.turns) > 1:
            raise ValueError(f"viewport {self.name}: only perspective viewports turn")
        frames = [turn.frame for turn in self.turns]
        if not frames or frames[0] != self.first or frames != sorted(set(frames)):
            raise ValueError(
                f"viewport {self.name}: turns must begin at frame {self.first}, rising"
            )

    def is_open(self, frame: int) -> bool:
        """Return True if the viewport is used in a frame."""
        return self.first <= frame < self.last

    def at(self, frame: int) -> Viewport:
        """Return the viewport in a frame; frames outside its span get the nearest end."""
        position = bisect_right([turn.frame for turn in self.turns], frame) - 1
        turn = self.turns[max(0, position)]
        return Viewport(turn.yaw_deg, turn.pitch_deg, self.hfov_deg, self.vfov_deg, self.projection)


Rotation = tuple[float, float, float, float, float, float, float, float, float]
"""A rotation matrix by rows, from directions of a rotated eye to those of its frame."""

_ORTHONORMAL_WITHIN = 1e-9


def rotation_of(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Rotation:
    """Return the rotation of an eye, with the signs of a `Viewport`.

    Yaw is positive to the right, pitch up, roll clockwise.
    """
    looks = Viewport(yaw_deg, pitch_deg, 1, 1, roll_deg=roll_deg)
    return cast(Rotation, tuple(looks.rotation().ravel().tolist()))


@dataclass(frozen=True, slots=True)
class Turned:
    """The view of a rotated eye, as a `Projection` in the coordinates it is rotated in.

    Raises:
        ValueError: `rotation` is not a rotation, but a reflection, a scale or anything else.
    """

    seen: Projection
    """Projection of the eye without its rotation."""
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

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return unit directions, after the rotation, at pixel coordinates."""
        a, b, c, d, e, f, g, h, i = self.rotation
        dx, dy, dz = self.seen.directions(x, y)
        return a * dx + b * dy + c * dz, d * dx + e * dy + f * dz, g * dx + h * dy + i * dz

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return pixel coordinates of directions."""
        a, b, c, d, e, f, g, h, i = self.rotation
        return self.seen.pixels(
            a * dx + d * dy + g * dz, b * dx + e * dy + h * dz, c * dx + f * dy + i * dz
        )

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True where the image of the eye shows anything."""
        return self.seen.covers(x, y)
