"""People matted as they are: each through a viewport that undoes the eye's distortion.

Measured against whole eyes at equal cost in docs/quality.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from vrmatte.frames import EYES, FloatArray, Matte, PlanarFrame, Plane, half_of
from vrmatte.geometry.projection import EyeProjection
from vrmatte.geometry.viewport import ViewportPath, homography
from vrmatte.matting.base import AGAIN, Engine, infer_settled
from vrmatte.matting.guided import add_weighted
from vrmatte.matting.network_input import packed, sampled_rgb
from vrmatte.matting.view_window import ViewWindow, blend_weights
from vrmatte.view_memory import State


@dataclass(frozen=True, slots=True)
class SizedPath:
    """A viewport path with the size of its network pictures."""

    path: ViewportPath
    width: int
    height: int


Tell = Callable[[int, Mapping[str, ViewWindow], str], None]
"""Told of each frame before the engine sees it: its number, the views it is seen through by name,
and the ending of the names by which the engine knows them."""


class ViewportMatting:
    """Mattes of side-by-side frames through viewports that open, turn and close."""

    def __init__(
        self,
        engine: Engine,
        paths: Sequence[SizedPath],
        eye: EyeProjection,
        tell: Tell | None = None,
    ) -> None:
        """Take an engine, all viewports of the video, what an eye shows, and who is told of views.

        Raises:
            ValueError: two paths of one name.
        """
        names = [sized.path.name for sized in paths]
        if len(set(names)) < len(names):
            raise ValueError(f"names of viewports must differ: {sorted(names)}")
        self._engine = engine
        self._paths = paths
        self._eye = eye
        self._tell = tell
        self._windows: dict[str, ViewWindow] = {}
        self._weights: list[Matte] = []
        self._index: int | None = None

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of frame `index`, shape (H, W); 0 where no viewport looks.

        Frames come in order. At the first one, and wherever the order jumps, the engine has been
        reset or has the state after frame `index - 1`; the same frame may be shown again.
        """
        self._follow(index)
        return self._matte(frame, "")

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of the frame just matted as it is found without memory; nothing is kept."""
        if index != self._index:
            raise ValueError(f"frame {index} was not matted last, {self._index} was")
        matte = self._matte(frame, AGAIN)
        for name in self._windows:
            self._engine.forget(f"{name}{AGAIN}")
        return matte

    def _matte(self, frame: PlanarFrame, ending: str) -> Matte:
        matte = np.zeros((frame.height, frame.width), np.uint8)
        eyes = [packed(frame.eye(eye)) for eye in EYES]
        if self._tell is not None and self._index is not None:
            self._tell(self._index, self._windows, ending)
        views = zip(
            self._windows.items(),
            self._weights,
            seen_through(self._windows.values(), eyes),
            strict=True,
        )
        for (name, window), weight, pictures in views:
            found = infer_settled(self._engine, f"{name}{ending}", pictures)
            for view, eye in enumerate(EYES):
                laid = window.lay_back(found.slope[view], found.offset[view])
                target = half_of(matte, eye)
                add_weighted(eyes[view], laid, weight, window.region.slices, target)
        return matte

    def state(self) -> dict[str, FloatArray]:
        """The engine's memory; where windows look is known from the paths."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Give the engine its memory back."""
        self._engine.restore(state)
        self._windows, self._index = {}, None

    def _follow(self, index: int) -> None:
        """Open, turn and close windows as the paths say.

        Memory turns by what the paths say of this frame and the one before, not by what was seen
        here last, so it makes no difference whether a run was interrupted.
        """
        if self._index is None or index not in (self._index, self._index + 1):
            self._windows = {}
            for sized in self._paths:
                if not sized.path.is_open(index):
                    self._engine.forget(sized.path.name)
        is_open = {s.path.name: s for s in self._paths if s.path.is_open(index)}
        for name in self._windows.keys() - is_open.keys():
            self._engine.forget(name)
        windows: dict[str, ViewWindow] = {}
        for name, sized in sorted(is_open.items()):
            path, size = sized.path, (sized.width, sized.height)
            before, viewport = path.at(index - 1), path.at(index)
            if before != viewport and index != self._index:
                self._engine.turn(name, homography(before, viewport, size))
            window = self._windows.get(name)
            if window is None or window.viewport != viewport:
                window = ViewWindow(viewport, size, self._eye)
            windows[name] = window
        if self._index is None or list(windows.values()) != list(self._windows.values()):
            self._weights = blend_weights(list(windows.values()), self._eye.size)
        self._windows, self._index = windows, index


def seen_through(
    windows: Iterable[ViewWindow], eyes: Sequence[PlanarFrame]
) -> Iterator[FloatArray]:
    """What each of these windows sees of a frame's eyes, shape (pictures, 3, h, w), RGB 0..1."""
    reduced: dict[int, list[PlanarFrame]] = {}
    for window in windows:
        factor = _reduction(window)
        if factor not in reduced:
            reduced[factor] = [_shrunk(eye, factor) for eye in eyes]
        size = window.picture.width, window.picture.height
        yield np.stack([sampled_rgb(window.read(eye, factor), *size) for eye in reduced[factor]])


def _reduction(window: ViewWindow) -> int:
    """By which whole number eyes are shrunk first, so that no pixel is skipped in reading."""
    density, _ = window.viewport.scales(window.picture.width, window.picture.height)
    source = window.eye.size / math.radians(window.eye.span_deg)
    factor = 1
    while source / (2 * factor) >= 0.9 * density and window.eye.size % (4 * factor) == 0:
        factor *= 2
    return factor


def _shrunk(eye: PlanarFrame, factor: int) -> PlanarFrame:
    if factor == 1:
        return eye

    def shrink(plane: Plane) -> Plane:
        size = plane.shape[1] // factor, plane.shape[0] // factor
        return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))

    return replace(eye, y=shrink(eye.y), u=shrink(eye.u), v=shrink(eye.v))
