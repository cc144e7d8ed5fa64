"""Boxes of people in a reduced eye, and the evidence that a box gives about a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vrmatte.frames import DoubleArray, FloatArray

_MARGIN_SHARE, _MARGIN_LEAST_PX = 0.12, 2.5
"""Distance that people often reach beyond their boxes, which cut hair, hands and feet."""
_LEAST_OCCUPIED = 0.15
"""Share of the outermost columns of a box that its person fills, with hands and feet."""
_DISPARITY_DOUBT_PX = 0.4
"""Typical error of the disparity of boxes."""


@dataclass(frozen=True, slots=True)
class GridBox:
    """Box of a person in a reduced eye, in longitudes and latitudes of a `LonLatGrid`.

    On a half-equirectangular eye these are its pixels.
    """

    left: float
    right: float
    top: float
    bottom: float

    def grown(self, share: float, least_px: float) -> GridBox:
        """Return the box with a margin: a share of its size, but at least a minimum."""
        across = max(least_px, share * (self.right - self.left))
        down = max(least_px, share * (self.bottom - self.top))
        return GridBox(self.left - across, self.right + across, self.top - down, self.bottom + down)

    def meets(self, other: GridBox) -> bool:
        """Return True if the boxes overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def union(self, other: GridBox) -> GridBox:
        """Return the smallest box that contains both."""
        return GridBox(
            min(self.left, other.left),
            max(self.right, other.right),
            min(self.top, other.top),
            max(self.bottom, other.bottom),
        )

    def occupied(self, across: FloatArray) -> FloatArray:
        """Return the share of each column that the person may fill, 0..1."""
        half = max((self.right - self.left) / 2, 0.5)
        off = (across - np.float32((self.left + self.right) / 2)) / np.float32(half)
        return np.maximum(1 - off * off, np.float32(_LEAST_OCCUPIED))

    def outside(self, across: FloatArray, down: FloatArray) -> FloatArray:
        """Return the distance of each place from the box, in margins; 0 inside."""
        return np.hypot(
            _beyond(across, self.left, self.right), _beyond(down, self.top, self.bottom)
        )

    def scales_to(self, other: GridBox) -> tuple[float, float]:
        """Return the scale of another box to this one, across and down."""
        return (
            (other.right - other.left) / max(self.right - self.left, 1.0),
            (other.bottom - other.top) / max(self.bottom - self.top, 1.0),
        )

    def warp_to(self, other: GridBox) -> DoubleArray:
        """Return the matrix, shape (2, 3), from pixel centres in this box to those in another.

        It is valid where boxes are counted in pixels, on half-equirectangular eyes.
        """
        scale_x, scale_y = self.scales_to(other)
        return np.array(
            [
                [scale_x, 0, other.left - scale_x * self.left + (scale_x - 1) / 2],
                [0, scale_y, other.top - scale_y * self.top + (scale_y - 1) / 2],
            ]
        )


@dataclass(frozen=True, slots=True)
class PersonInEye:
    """A person in one eye of a frame."""

    number: int
    box: GridBox
    before: GridBox
    """The box in the frame before; the current one for people who have just entered."""
    disparity_px: float | None = None
    """Disparity between the eyes, larger for closer people; None: unknown."""

    def nearer_than(self, other: PersonInEye) -> float:
        """Return the likelihood that this person is nearer than another, 0..1."""
        if self.disparity_px is None or other.disparity_px is None:
            return 0.5
        odds = (self.disparity_px - other.disparity_px) / _DISPARITY_DOUBT_PX
        return (1 + math.tanh(odds / 2)) / 2


def _beyond(at: FloatArray, low: float, high: float) -> FloatArray:
    margin = max(_MARGIN_LEAST_PX, _MARGIN_SHARE * (high - low))
    beyond = np.maximum(np.maximum(low - at, at - high), 0) / margin
    return beyond.astype(np.float32)
