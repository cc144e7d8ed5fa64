"""Whole frames as RGBA, to compare files with."""

from __future__ import annotations

from typing import Literal

from vrmatte.compose.rgba import RgbaPainter, RgbaSamples
from vrmatte.frames import StraightFrame


def paint_rgba(frame: StraightFrame, light: Literal["video", "linear"]) -> RgbaSamples:
    """Return a whole frame as RGBA, shape (H, W, 4)."""
    picture = frame.picture
    size = (picture.width, picture.height)
    painter = RgbaPainter(size, picture.layout, picture.color, light)
    return painter.rows(frame, 0, picture.height)
