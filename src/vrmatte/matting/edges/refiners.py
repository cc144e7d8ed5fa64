"""What makes a soft edge of a mask: a matting network kept within it, or the picture's colours."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vrmatte.frames import DoubleArray, FloatArray
from vrmatte.matting.base import Coefficients, Engine, infer_settled
from vrmatte.matting.edges.guided_refiner import guided_coefficients
from vrmatte.matting.edges.mask_gate import gated
from vrmatte.matting.edges.solid_part import solid_part
from vrmatte.matting.edges.trimap import Trimap
from vrmatte.view_memory import State, ViewMemory, WithoutMemory


class Refiner(ViewMemory, Protocol):
    """Turns masks of a view's next pictures into coefficients."""

    name: str
    provider: str

    def refine(
        self,
        view: str,
        pictures: FloatArray,
        trimaps: list[Trimap] | None,
        masks: FloatArray | None,
    ) -> Coefficients:
        """Coefficients of a view's next pictures (n, 3, h, w).

        Args:
            view: the view's name.
            pictures: RGB 0..1.
            trimaps: of each picture's mask; None: nothing is known of who is where.
            masks: what they were made of, shape (n, h, w).
        """
        ...


class NetworkRefiner:
    """A matting engine's own mattes, kept within the mask."""

    def __init__(self, engine: Engine) -> None:
        """Take an engine that mattes everybody."""
        self.name, self.provider = engine.name, engine.provider
        self._engine = engine

    def refine(
        self,
        view: str,
        pictures: FloatArray,
        trimaps: list[Trimap] | None,
        masks: FloatArray | None,
    ) -> Coefficients:
        """See `Refiner.refine`; without trimaps the network's matte stays as it is."""
        del masks
        found = infer_settled(self._engine, view, pictures)
        if trimaps is None:
            return found
        parts = [
            gated(slope, offset, picture, trimap)
            for slope, offset, picture, trimap in zip(
                found.slope, found.offset, pictures, trimaps, strict=True
            )
        ]
        return stacked(parts)

    def remembers(self, view: str) -> bool:
        """Whether the engine does."""
        return self._engine.remembers(view)

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Turn the engine's memory."""
        self._engine.turn(view, pixel_map)

    def forget(self, view: str) -> None:
        """Drop the engine's memory of a view."""
        self._engine.forget(view)

    def state(self) -> dict[str, FloatArray]:
        """The engine's."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Restore the engine."""
        self._engine.restore(state)


class GuidedRefiner(WithoutMemory):
    """The mask's own edge, moved to where the picture's colours part."""

    name = "guided"
    provider = "NumPy"

    def refine(
        self,
        view: str,
        pictures: FloatArray,
        trimaps: list[Trimap] | None,
        masks: FloatArray | None,
    ) -> Coefficients:
        """See `Refiner.refine`; where nothing is known the matte is empty."""
        del view
        if trimaps is None or masks is None:
            empty = np.zeros_like(pictures[:, 0])
            return Coefficients(empty, empty.copy())
        parts = [
            guided_coefficients(picture, solid_part(mask, picture, trimap).astype(np.float32))
            for picture, trimap, mask in zip(pictures, trimaps, masks, strict=True)
        ]
        return stacked(parts)


def stacked(parts: list[tuple[FloatArray, FloatArray]]) -> Coefficients:
    """The coefficients of several pictures as one value."""
    slopes, offsets = zip(*parts, strict=True)
    return Coefficients(np.stack(slopes), np.stack(offsets))
