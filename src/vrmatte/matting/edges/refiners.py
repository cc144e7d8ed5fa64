"""Refiners, which give masks soft edges: a matting network or the image's colours."""

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
    """Converts masks of a view's next images into coefficients."""

    name: str
    provider: str

    def refine(
        self,
        view: str,
        pictures: FloatArray,
        trimaps: list[Trimap] | None,
        masks: FloatArray | None,
    ) -> Coefficients:
        """Return coefficients of a view's next images (n, 3, h, w).

        Args:
            view: the view's name.
            pictures: RGB 0..1.
            trimaps: of each image's mask; None: nothing is known about people.
            masks: the masks of the trimaps, shape (n, h, w).
        """
        ...


class NetworkRefiner:
    """Refines by a matting engine's own mattes, confined to the mask."""

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
        """See `Refiner.refine`; without trimaps the network's matte is unchanged."""
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
        """Return True if the engine has memory."""
        return self._engine.remembers(view)

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Transform the engine's memory."""
        self._engine.turn(view, pixel_map)

    def forget(self, view: str) -> None:
        """Drop the engine's memory of a view."""
        self._engine.forget(view)

    def state(self) -> dict[str, FloatArray]:
        """Return the engine's state."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Restore the engine."""
        self._engine.restore(state)


class GuidedRefiner(WithoutMemory):
    """Refines by moving the mask's own edge to the image's edges."""

    name = "guided"
    provider = "NumPy"

    def refine(
        self,
        view: str,
        pictures: FloatArray,
        trimaps: list[Trimap] | None,
        masks: FloatArray | None,
    ) -> Coefficients:
        """See `Refiner.refine`; without a trimap the matte is empty."""
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
    """Combine the coefficients of several images into one value."""
    slopes, offsets = zip(*parts, strict=True)
    return Coefficients(np.stack(slopes), np.stack(offsets))
