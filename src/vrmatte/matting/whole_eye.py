"""The plain way: each eye as it lies in the frame goes into the network."""

from __future__ import annotations

import numpy as np

from vrmatte.frames import EYES, Matte, PlanarFrame
from vrmatte.matting.base import Engine, FloatArray, State, infer_settled
from vrmatte.matting.guided import apply_coefficients
from vrmatte.matting.network_input import packed, sampled_rgb

VIEW = "eye"


class WholeEyeMatting:
    """Mattes of half-equirectangular frames by whole eyes."""

    def __init__(self, engine: Engine, scale: float) -> None:
        """Take an engine and network pixels per source pixel."""
        self._engine = engine
        self._scale = scale

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of the next frame, shape (H, W)."""
        del index
        eyes = [packed(frame.eye(eye)) for eye in EYES]
        width, height = network_size(eyes[0], self._scale)
        pictures = np.stack([sampled_rgb(eye, width, height) for eye in eyes])
        found = infer_settled(self._engine, VIEW, pictures)
        mattes = [
            apply_coefficients(eye, slope, offset)
            for eye, slope, offset in zip(eyes, found.slope, found.offset, strict=True)
        ]
        return np.concatenate(mattes, axis=1)

    def state(self) -> dict[str, FloatArray]:
        """The engine's memory."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Give the engine its memory back."""
        self._engine.restore(state)


def network_size(picture: PlanarFrame, scale: float) -> tuple[int, int]:
    """Width and height in network pixels."""
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
