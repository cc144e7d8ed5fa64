"""Engines for matting tests that need no weights: one that paints, one that remembers."""

from __future__ import annotations

import cv2
import numpy as np

from vrmatte.frames import Eye, PlanarFrame
from vrmatte.matting.base import Coefficients
from vrmatte.matting.engines.rvm import RvmEngine


def constant(alpha):
    """Every pixel has this alpha, whatever the picture."""
    return lambda pictures: (np.zeros_like(pictures[:, 0]), np.full_like(pictures[:, 0], alpha))


def guide_of_the_eye(pictures):
    """The full-size picture's brightness is the matte."""
    return np.ones_like(pictures[:, 0]), np.zeros_like(pictures[:, 0])


def guide_of_the_view(pictures):
    """The view's brightness, as the engine saw it, is the matte."""
    return np.zeros_like(pictures[:, 0]), pictures.mean(axis=1)


class PaintingEngine:
    """Answers as it is told to, and writes down what it was asked."""

    name = "painting"
    settling_frames = 0
    provider = "tests"

    def __init__(self, paint, by_view=None):
        self._paint = paint
        self._by_view = by_view or {}
        self.calls: list[tuple] = []
        self.seen: dict[str, np.ndarray] = {}

    def infer(self, view, pictures):
        self.calls.append(("infer", view))
        self.seen[view] = pictures
        return Coefficients(*self._by_view.get(view, self._paint)(pictures))

    def remembers(self, view):
        return True

    def turn(self, view, pixel_map):
        self.calls.append(("turn", view, pixel_map))

    def forget(self, view):
        self.calls.append(("forget", view))

    def state(self):
        return {}

    def restore(self, state):
        pass

    def reset(self):
        pass

    def told(self, *kinds):
        """The calls of these kinds, without what came along."""
        return [call[:2] for call in self.calls if call[0] in kinds]


class TrailNetwork:
    """A recurrent network of four lines: its alpha hangs on all it has seen of each place."""

    provider = "tests"

    def step(self, pictures, memory):
        guide = pictures.mean(axis=1, keepdims=True)
        trail = np.float32(0.75) * memory[0] + np.float32(0.25) * guide
        size = pictures.shape[3] // 2, pictures.shape[2] // 2
        coarse = np.stack([cv2.resize(of_one[0], size)[None] for of_one in trail])
        slow = np.float32(0.9) * memory[3] + np.float32(0.1) * coarse
        back = [cv2.resize(of_one[0], pictures.shape[:1:-1]) for of_one in slow]
        found = Coefficients(np.full_like(guide[:, 0], 0.5), trail[:, 0] - np.stack(back))
        return found, (trail, 1 - trail, coarse, slow)


def trail_engine():
    return RvmEngine(TrailNetwork())


def side_by_side(left, right):
    """A frame of two eyes."""
    planes = [np.hstack(pair) for pair in zip(planes_of(left), planes_of(right), strict=True)]
    return PlanarFrame(*planes, left.layout, left.color)


def planes_of(picture):
    return picture.y, picture.u, picture.v


def halves(frame):
    return [frame.eye(eye) for eye in Eye]
