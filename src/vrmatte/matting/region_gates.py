"""Angular regions as gates over an eye's pixels: shut inside, soft over the pixels around them."""

from __future__ import annotations

import numpy as np

from vrmatte.frames import Matte
from vrmatte.geometry.person_boxes import Bounds
from vrmatte.geometry.projection import EyeProjection
from vrmatte.matting.base import FloatArray
from vrmatte.matting.eye_chart import EyeChart
from vrmatte.matting.person_places import Window

_MOST_KEPT = 4
"""Gates of so many regions are kept: those of one shot are needed for each of its frames."""


class RegionGates:
    """Takes what lies in angular regions out of mattes of one kind of eye."""

    def __init__(self, eye: EyeProjection) -> None:
        """Take what an eye shows."""
        self._chart = EyeChart(eye)
        self._soft_px = max(1.0, eye.size / 1024)
        self._gates: dict[Bounds, tuple[Window, FloatArray] | None] = {}

    def shut(self, bounds: Bounds, matte: Matte) -> None:
        """Take a region out of one eye's matte, in place."""
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

    def _gate(self, bounds: Bounds) -> tuple[Window, FloatArray] | None:
        """0 inside to 1 outside, in the window around the region; None: nowhere in the eye."""
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
