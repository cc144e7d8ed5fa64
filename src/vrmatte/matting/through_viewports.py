"""People matted as they are: each through a viewport that undoes the eye's distortion.

Measured against whole eyes at equal cost in docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from vrmatte.frames import EYES, Matte, PlanarFrame, Plane, half_of
from vrmatte.geometry.viewport import homography
from vrmatte.geometry.viewport_path import ViewportPath
from vrmatte.matting.base import Engine, FloatArray
from vrmatte.matting.guided import add_weighted
from vrmatte.matting.network_input import packed, sampled_rgb
from vrmatte.matting.view_window import ViewWindow, blend_weights


@dataclass(frozen=True, slots=True)
class SizedPath:
    """A viewport path with the size of its network pictures."""

    path: ViewportPath
    width: int
    height: int


class ViewportMatting:
    """Mattes of half-equirectangular frames through viewports that open, turn and close."""

    def __init__(self, engine: Engine, paths: Sequence[SizedPath], eye_px: int) -> None:
        """Take an engine, all viewports of the video, and the size of an eye."""
        self._engine = engine
        self._paths = paths
        self._eye_px = eye_px
        self._windows: dict[str, ViewWindow] = {}
        self._weights: list[FloatArray] = []

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of frame `index`, shape (H, W); 0 where no viewport looks."""
        self._follow(index)
        matte = np.zeros((frame.height, frame.width), np.uint8)
        eyes = [packed(frame.eye(eye)) for eye in EYES]
        reduced: dict[int, list[PlanarFrame]] = {}
        for (name, window), weight in zip(self._windows.items(), self._weights, strict=True):
            factor = _reduction(window)
            if factor not in reduced:
                reduced[factor] = [_shrunk(eye, factor) for eye in eyes]
            size = window.picture.width, window.picture.height
            pictures = [sampled_rgb(window.read(eye, factor), *size) for eye in reduced[factor]]
            found = self._engine.infer(name, np.stack(pictures))
            for view, eye in enumerate(EYES):
                laid = window.lay_back(found.slope[view], found.offset[view])
                target = half_of(matte, eye)
                add_weighted(eyes[view], laid, weight, window.region.slices, target)
        return matte

    def _follow(self, index: int) -> None:
        """Open, turn and close windows as the paths say."""
        changed = False
        for name in [n for n in self._windows if n not in self._open_names(index)]:
            del self._windows[name]
            self._engine.forget(name)
            changed = True
        for sized in self._paths:
            path = sized.path
            if not path.is_open(index):
                continue
            viewport = path.at(index)
            window = self._windows.get(path.name)
            if window is not None and window.viewport == viewport:
                continue
            size = sized.width, sized.height
            before = path.at(index - 1) if window is None else window.viewport
            if before != viewport and index > path.first:
                self._engine.turn(path.name, homography(before, viewport, size))
            self._windows[path.name] = ViewWindow(viewport, size, self._eye_px)
            changed = True
        if changed:
            self._windows = dict(sorted(self._windows.items()))
            self._weights = blend_weights(list(self._windows.values()), self._eye_px)

    def _open_names(self, index: int) -> set[str]:
        return {sized.path.name for sized in self._paths if sized.path.is_open(index)}


def _reduction(window: ViewWindow) -> int:
    """By which whole number eyes are shrunk first, so that no pixel is skipped in reading."""
    density, _ = window.viewport.scales(window.picture.width, window.picture.height)
    source = window.eye_px / np.pi
    factor = 1
    while source / (2 * factor) >= 0.9 * density and window.eye_px % (4 * factor) == 0:
        factor *= 2
    return factor


def _shrunk(eye: PlanarFrame, factor: int) -> PlanarFrame:
    if factor == 1:
        return eye

    def shrink(plane: Plane) -> Plane:
        size = plane.shape[1] // factor, plane.shape[0] // factor
        return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))

    return replace(eye, y=shrink(eye.y), u=shrink(eye.u), v=shrink(eye.v))
