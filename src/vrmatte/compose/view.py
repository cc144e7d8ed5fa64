"""What all pictures made of one frame share: its edges, its projection, the people's own colours.

Each is made when the first deliverable asks for it, and once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from vrmatte.compose.edge_controls import EdgeControls
from vrmatte.compose.foreground.estimate import Despill, ForegroundEstimator
from vrmatte.compose.reproject import Reprojector
from vrmatte.frames import ColorTags, Matte, PixelLayout, PlanarFrame
from vrmatte.geometry.projection import EyeProjection
from vrmatte.settings.config import Config

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SourceView:
    """How frames come, and how they are to be shown."""

    layout: PixelLayout
    color: ColorTags
    shows: EyeProjection
    """What each eye of the source shows."""
    to_show: EyeProjection
    """What each eye of the pictures is to show."""


class Preparation:
    """Prepares frames of one kind for all deliverables."""

    def __init__(self, view: SourceView, config: Config, *, continued: bool = True) -> None:
        """Take how frames come and are shown, and settings of edges and colours.

        Where no file shows colours beyond the people's edge they need not be `continued` there.
        """
        output = config.output
        self.edges = EdgeControls(output.edge.choke_px, output.edge.feather_px)
        self.reprojector = Reprojector(view.shows, view.to_show, view.layout, view.color)
        despill = Despill(output.foreground.despill, output.background_color)
        self.estimator = ForegroundEstimator(view.layout, view.color, despill, continued=continued)
        self.packed_estimator = ForegroundEstimator(view.layout, view.color, despill)

    def __call__(self, frame: PlanarFrame, matte: Matte, number: int = 0) -> PreparedFrame:
        """A frame and its stored matte, ready to be asked; `number` as in the whole source."""
        return PreparedFrame(self, frame, matte, number)


class PreparedFrame:
    """One frame, and what is made of it on demand."""

    def __init__(self, by: Preparation, frame: PlanarFrame, stored: Matte, number: int = 0) -> None:
        self._by = by
        self._made: dict[str, Any] = {}
        self._lock = threading.RLock()
        self.frame = frame
        """As it came."""
        self.stored = stored
        """The matte as it is kept."""
        self.number = number
        """Of the frame, in the whole source."""

    @property
    def matte(self) -> Matte:
        """The matte with the edge that was asked for."""
        return self.once("matte", lambda: self._by.edges(self.stored))

    @property
    def shown_matte(self) -> Matte:
        """The same in the projection of the pictures."""
        return self.once("shown_matte", lambda: self._by.reprojector.matte(self.matte))

    def in_view(self, grey: Matte) -> Matte:
        """A picture of numbers as large as the frame, in the projection of the pictures."""
        return self._by.reprojector.matte(grey)

    @property
    def shown(self) -> PlanarFrame:
        """The frame in the projection of the pictures."""
        return self.once("shown", lambda: self._by.reprojector.frame(self.frame))

    @property
    def foreground(self) -> PlanarFrame:
        """The people's own colours; where they are continued, black far from them."""
        return self.once("foreground", lambda: self._by.estimator(self.shown, self.shown_matte))

    @property
    def decontaminated(self) -> PlanarFrame:
        """The frame as it came, with the people's own colours in soft edges alone."""
        return self.once(
            "decontaminated", lambda: self._by.packed_estimator(self.frame, self.matte)
        )

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """What is made once, though several files' threads ask for it."""
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]
