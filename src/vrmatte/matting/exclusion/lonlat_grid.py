"""Longitudes and latitudes of the pixels of an eye, and the pixels that angular boxes cover.

Both are counted in pixels from the left and upper edge of the hemisphere, `px_per_deg` per degree.
On a half-equirectangular eye they are columns and rows; on a fisheye they are curves.
"""

from __future__ import annotations

import math
from functools import cached_property

import cv2
import numpy as np

from vrmatte.frames import DoubleArray, FloatArray, Matte
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import EyeProjection, HalfEquirect
from vrmatte.matting.exclusion.person_in_eye import GridBox

_POINTS = 32
"""Number of points along each side of a box."""
_SLACK_PX = 1.0
"""Distance that an outline may bulge between two points."""
_KEPT_PX = 512
"""Largest eye whose coordinates are cached; those of larger eyes are computed for each window."""
_ROWS_AT_ONCE = 128
_AT_THE_END_DEG = 89
"""Directions further from straight ahead are at the edge of the hemisphere."""


class LonLatGrid:
    """An eye at full size, or reduced by an integer factor."""

    def __init__(self, eye: EyeProjection, factor: int = 1) -> None:
        """Take the projection of the eye at full size, and the factor by which it is reduced."""
        self._eye = eye
        self._factor = factor
        self.px_per_deg = eye.px_per_deg / factor
        # An even size: windows start at even pixels, to match subsampled chroma.
        self.size_px = 2 * -(-eye.size // (2 * factor))

    def box(self, bounds: AngularBox) -> GridBox:
        """Convert bounds in degrees to a box of this grid."""
        return GridBox(
            (bounds.yaw_min_deg + 90) * self.px_per_deg,
            (bounds.yaw_max_deg + 90) * self.px_per_deg,
            (90 - bounds.pitch_max_deg) * self.px_per_deg,
            (90 - bounds.pitch_min_deg) * self.px_per_deg,
        )

    def rectangle(self, box: GridBox) -> GridBox:
        """Return the bounding rectangle, in pixels, of a box as the eye shows it."""
        if isinstance(self._eye, HalfEquirect):
            return box
        x, y = self._outline(box)
        return GridBox(
            float(x.min()) - _SLACK_PX,
            float(x.max()) + _SLACK_PX,
            float(y.min()) - _SLACK_PX,
            float(y.max()) + _SLACK_PX,
        )

    def window(self, box: GridBox) -> PixelRect | None:
        """Return the smallest even-sided rectangle around a box; None: the eye does not show it."""
        held = self.rectangle(box)
        top, left = (2 * max(0, math.floor(at / 2)) for at in (held.top, held.left))
        bottom, right = (
            min(self.size_px, 2 * math.ceil(at / 2)) for at in (held.bottom, held.right)
        )
        return PixelRect(top, left, bottom, right) if top < bottom and left < right else None

    def places(self, window: PixelRect) -> tuple[FloatArray, FloatArray]:
        """Return longitude and latitude of pixel centres; both broadcast to the window's shape."""
        if not isinstance(self._eye, HalfEquirect):
            if self.size_px > _KEPT_PX:
                return self._curved_places(window)
            across, down = self._all_places
            return across[window.slices], down[window.slices]
        columns = np.arange(window.left, window.right, dtype=np.float32) + np.float32(0.5)
        rows = np.arange(window.top, window.bottom, dtype=np.float32) + np.float32(0.5)
        return columns[None, :], rows[:, None]

    def carried(
        self, values: FloatArray, before: GridBox, now: GridBox, window: PixelRect
    ) -> FloatArray:
        """Return values around the box `before`, moved to the box `now`, in a window."""
        if isinstance(self._eye, HalfEquirect):
            warp = now.warp_to(before)
            warp[:, 2] += warp[:, :2] @ (window.left, window.top)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            moved = cv2.warpAffine(values, warp, (window.width, window.height), flags=flags)
            return np.asarray(moved, np.float32)
        across, down = self.places(window)
        scale_x, scale_y = now.scales_to(before)
        x, y = self._pixels(
            before.left + scale_x * (across.astype(np.float64) - now.left),
            before.top + scale_y * (down.astype(np.float64) - now.top),
        )
        x, y = (at.astype(np.float32) - np.float32(0.5) for at in (x, y))
        return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR), np.float32)

    @cached_property
    def _all_places(self) -> tuple[FloatArray, FloatArray]:
        return self._curved_places(PixelRect(0, 0, self.size_px, self.size_px))

    def _curved_places(self, window: PixelRect) -> tuple[FloatArray, FloatArray]:
        """Do the same for a fisheye; what it sees behind the hemisphere belongs to its edge."""
        across = np.empty((window.height, window.width), np.float32)
        down = np.empty_like(across)
        columns = (np.arange(window.left, window.right, dtype=np.float64) + 0.5) * self._factor
        rows_from_top = np.arange(window.top, window.bottom, dtype=np.float64)
        for first in range(0, window.height, _ROWS_AT_ONCE):
            here = slice(first, first + _ROWS_AT_ONCE)
            rows = (rows_from_top[here] + 0.5) * self._factor
            dx, dy, dz = self._eye.directions(*np.meshgrid(columns, rows))
            dz = np.maximum(dz, 0)
            across[here] = (np.degrees(np.arctan2(dx, dz)) + 90) * self.px_per_deg
            down[here] = (np.degrees(np.arctan2(dy, np.hypot(dx, dz))) + 90) * self.px_per_deg
        return across, down

    def _outline(self, box: GridBox) -> tuple[DoubleArray, DoubleArray]:
        """Return points around a box in pixels, moved to the rim at the edge of the hemisphere."""
        end = 180 * self.px_per_deg
        left, right, top, bottom = (
            min(max(at, 0), end) for at in (box.left, box.right, box.top, box.bottom)
        )
        along = np.linspace(0, 1, _POINTS)
        across, down = left + (right - left) * along, top + (bottom - top) * along
        across = np.concatenate([across, across, np.full(_POINTS, left), np.full(_POINTS, right)])
        down = np.concatenate([np.full(_POINTS, top), np.full(_POINTS, bottom), down, down])
        x, y = self._pixels(across, down)
        middle = self._eye.size / self._factor / 2
        is_at_end = np.hypot(x - middle, y - middle) > _AT_THE_END_DEG * self.px_per_deg
        outward = np.where(is_at_end, max(1.0, self._eye.span_deg / (2 * _AT_THE_END_DEG)), 1.0)
        return middle + (x - middle) * outward, middle + (y - middle) * outward

    def _pixels(self, across: DoubleArray, down: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return continuous pixel coordinates of longitudes and latitudes."""
        lon, lat = (np.radians(at / self.px_per_deg - 90) for at in (across, down))
        x, y = self._eye.pixels(np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat))
        return x / self._factor, y / self._factor


_MOST_KEPT = 4
"""Number of regions whose gates are cached: those of a shot are needed for each of its frames."""


class RegionGates:
    """Removes angular regions from mattes of one kind of eye."""

    def __init__(self, eye: EyeProjection) -> None:
        """Take the projection of an eye."""
        self._chart = LonLatGrid(eye)
        self._soft_px = max(1.0, eye.size / 1024)
        self._gates: dict[AngularBox, tuple[PixelRect, FloatArray] | None] = {}

    def shut(self, bounds: AngularBox, matte: Matte) -> None:
        """Remove a region from the matte of one eye, in place."""
        if bounds not in self._gates:
            if len(self._gates) == _MOST_KEPT:
                self._gates.pop(next(iter(self._gates)))
            self._gates[bounds] = self._gate(bounds)
        gate = self._gates[bounds]
        if gate is not None:
            window, is_open = gate
            part = matte[window.slices]
            is_open = is_open[: part.shape[0], : part.shape[1]]
            part[...] = np.rint(part * is_open).astype(np.uint8)

    def _gate(self, bounds: AngularBox) -> tuple[PixelRect, FloatArray] | None:
        """Return the gate, 0 inside to 1 outside, and its window; None: outside the eye."""
        box = self._chart.box(bounds)
        window = self._chart.window(box.grown(0, self._soft_px))
        if window is None:
            return None
        across, down = self._chart.places(window)

        def inside(at: FloatArray, low: float, high: float) -> FloatArray:
            beyond = np.maximum(np.float32(low) - at, at - np.float32(high))
            return np.asarray(np.clip(1 - beyond / np.float32(self._soft_px), 0, 1), np.float32)

        shut = inside(down, box.top, box.bottom) * inside(across, box.left, box.right)
        return window, np.float32(1) - shut
