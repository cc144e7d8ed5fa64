"""Borders of boxes and viewports as they curve on an eye, for drawing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrmatte.frames import DoubleArray
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import EyeProjection
from vrmatte.geometry.viewport import Viewport

Polyline = npt.NDArray[np.int32]
"""Pixels, shape (points, 2)."""

_POINTS = 64


def box_outline(eye: EyeProjection, box: AngularBox) -> Polyline:
    """Return a box's closed border, clockwise from its upper left corner."""
    x, y = _around()
    lon = np.radians(box.yaw_min_deg + x * (box.yaw_max_deg - box.yaw_min_deg))
    lat = np.radians(box.pitch_max_deg + y * (box.pitch_min_deg - box.pitch_max_deg))
    points = eye.pixels(np.sin(lon) * np.cos(lat), -np.sin(lat), np.cos(lon) * np.cos(lat))
    return np.stack(points, axis=1).round().astype(np.int32)


def viewport_outline(eye: EyeProjection, viewport: Viewport) -> list[Polyline]:
    """Return the parts of a viewport's border that the eye shows."""
    x, y = _around()
    u, v = eye.pixels(*viewport.picture(1, 1).directions(x, y))
    hidden = np.flatnonzero(~eye.covers(u, v))
    points = np.stack([u, v], axis=1)
    parts = np.split(points, hidden)
    shown = [parts[0], *(part[1:] for part in parts[1:])]  # each begins with a hidden point
    return [part.round().astype(np.int32) for part in shown if len(part) > 1]


def _around() -> tuple[DoubleArray, DoubleArray]:
    """Return points around a square of side 1, clockwise from its upper left corner and back."""
    along, one, zero = np.linspace(0, 1, _POINTS), np.ones(_POINTS), np.zeros(_POINTS)
    x = np.concatenate([along, one, along[::-1], zero])
    return x, np.concatenate([zero, along, one, along[::-1]])
