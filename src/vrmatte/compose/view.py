"""Intermediate results that the deliverables of one frame share: edges, projection, foreground.

Each is computed once, when the first deliverable needs it.
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
    """Layout, colour and projection of source frames, and the projection of composed images."""

    layout: PixelLayout
    color: ColorTags
    source: EyeProjection
    """Projection of each eye of the source."""
    target: EyeProjection
    """Projection of each eye of the images."""


class Preparation:
    """Prepares frames of one source for all deliverables."""

    def __init__(self, view: SourceView, config: Config, *, continued: bool = True) -> None:
        """Read the settings for edges and foreground colours.

        Args:
            view: layout and projections.
            config: settings.
            continued: extend foreground colours beyond the edge, for images with straight alpha.
        """
        output = config.output
        self.edges = EdgeControls(output.edge.choke_px, output.edge.feather_px)
        self.reprojector = Reprojector(view.source, view.target, view.layout, view.color)
        despill = Despill(output.foreground.despill, output.background_color)
        self.estimator = ForegroundEstimator(view.layout, view.color, despill, continued=continued)
        self.packed_estimator = ForegroundEstimator(view.layout, view.color, despill)

    def __call__(self, frame: PlanarFrame, matte: Matte, number: int = 0) -> PreparedFrame:
        """Return a prepared frame; `number` counts in the whole source."""
        return PreparedFrame(self, frame, matte, number)


class PreparedFrame:
    """One frame and its matte, with everything that is derived from them on demand."""

    def __init__(
        self, preparation: Preparation, frame: PlanarFrame, stored: Matte, number: int = 0
    ) -> None:
        self._preparation = preparation
        self._results: dict[str, Any] = {}
        self._lock = threading.RLock()
        self.frame = frame
        """The frame as decoded."""
        self.stored = stored
        """The matte as stored."""
        self.number = number
        """Frame number in the whole source."""

    @property
    def matte(self) -> Matte:
        """The matte with the edge adjusted by `output.edge`."""
        return self.once("matte", lambda: self._preparation.edges(self.stored))

    @property
    def shown_matte(self) -> Matte:
        """The adjusted matte in the projection of the images."""
        return self.once("shown_matte", lambda: self._preparation.reprojector.matte(self.matte))

    def in_view(self, grey: Matte) -> Matte:
        """Return a grey image of the frame's size in the projection of the images."""
        return self._preparation.reprojector.matte(grey)

    @property
    def shown(self) -> PlanarFrame:
        """The frame in the projection of the images."""
        return self.once("shown", lambda: self._preparation.reprojector.frame(self.frame))

    @property
    def foreground(self) -> PlanarFrame:
        """The frame with foreground colours; if they are continued, black far from people."""
        return self.once(
            "foreground", lambda: self._preparation.estimator(self.shown, self.shown_matte)
        )

    @property
    def decontaminated(self) -> PlanarFrame:
        """The decoded frame, with foreground colours in soft edges only."""
        return self.once(
            "decontaminated", lambda: self._preparation.packed_estimator(self.frame, self.matte)
        )

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """Return the result of `make`, computed once for all threads that ask for `name`."""
        with self._lock:
            if name not in self._results:
                self._results[name] = make()
            return self._results[name]
