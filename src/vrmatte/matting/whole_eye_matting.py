"""The plain way: each eye as it lies in the frame goes into the network."""

from __future__ import annotations

import numpy as np

from vrmatte.frames import EYES, FloatArray, Matte, PlanarFrame, half_of
from vrmatte.geometry.projection import EyeProjection, shown_pixels
from vrmatte.matting.base import AGAIN, Engine, infer_settled
from vrmatte.matting.guided import apply_coefficients
from vrmatte.matting.network_input import packed, sampled_rgb
from vrmatte.view_memory import State

VIEW = "eye"


class WholeEyeMatting:
    """Mattes of side-by-side frames by whole eyes."""

    def __init__(self, engine: Engine, scale: float, eye: EyeProjection | None = None) -> None:
        """Take an engine, network pixels per source pixel, and what an eye shows.

        Where it shows nothing the matte is empty; None: all of it shows something.
        """
        self._engine = engine
        self._scale = scale
        nothing = None if eye is None else ~shown_pixels(eye)
        self._nothing = nothing if nothing is not None and nothing.any() else None

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of the next frame, shape (H, W)."""
        del index
        return self._matte(frame, VIEW)

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of a frame as it is found without memory; nothing is kept."""
        del index
        view = f"{VIEW}{AGAIN}"
        matte = self._matte(frame, view)
        self._engine.forget(view)
        return matte

    def _matte(self, frame: PlanarFrame, view: str) -> Matte:
        eyes = [packed(frame.eye(eye)) for eye in EYES]
        width, height = network_size(eyes[0], self._scale)
        pictures = np.stack([sampled_rgb(eye, width, height) for eye in eyes])
        found = infer_settled(self._engine, view, pictures)
        mattes = [
            apply_coefficients(eye, slope, offset)
            for eye, slope, offset in zip(eyes, found.slope, found.offset, strict=True)
        ]
        matte = np.concatenate(mattes, axis=1)
        if self._nothing is not None:
            for eye in EYES:
                half_of(matte, eye)[self._nothing] = 0
        return matte

    def state(self) -> dict[str, FloatArray]:
        """The engine's memory."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Give the engine its memory back."""
        self._engine.restore(state)


def network_size(picture: PlanarFrame, scale: float) -> tuple[int, int]:
    """Width and height in network pixels."""
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
