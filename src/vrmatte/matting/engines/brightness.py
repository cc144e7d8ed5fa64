"""An engine without weights: bright pixels are people. For trials, benchmarks and tests.

It makes no usable mattes, but everything around the matting runs as with any other engine: chunks,
memory from frame to frame, encoders, resuming and reports.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vrmatte.matting.base import Coefficients, EngineChoice, FloatArray

BRIGHTNESS = EngineChoice(
    name="brightness",
    weights_name="none",
    weights_path="",
    weights_sha256="",
    licence="Apache-2.0",
    verified=True,
)
_SLOPE = 6.0
_THRESHOLD = 2.2
_KEPT, _ADDED = np.float32(0.8), np.float32(0.2)
"""Shares of the earlier frames and of the new one in the running mean of each pixel."""


class BrightnessEngine:
    """Matte what has been bright for some frames.

    Each matte depends on all frames before it, by a running mean of brightness and by the number of
    frames seen: a chunk that starts from a wrong state, or with a frame too many, differs from
    then on.
    """

    name = "brightness"
    settling_frames = 3
    provider = "NumPy on the CPU"

    def __init__(self) -> None:
        """Start without memory."""
        self._state: dict[str, FloatArray] = {}

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        """Return coefficients of pictures (n, 3, h, w), by their mean brightness so far."""
        grey: FloatArray = pictures.mean(axis=1)
        trail = self._state.get(f"{view}-trail", grey)
        age = self._state.get(f"{view}-age", np.zeros(1, np.float32))
        trail = (_KEPT * trail + _ADDED * grey).astype(np.float32)
        self._state |= {f"{view}-trail": trail, f"{view}-age": age + 1}
        offset = (trail - _THRESHOLD + age % 7 / 255).astype(np.float32)
        return Coefficients(np.full_like(grey, _SLOPE), offset)

    def remembers(self, view: str) -> bool:
        """Report whether a view was seen before."""
        return f"{view}-age" in self._state

    def turn(self, view: str, pixel_map: npt.NDArray[np.float64]) -> None:
        """Leave the memory where it is: a turn changes the matte, the same way in every run."""

    def forget(self, view: str) -> None:
        """Drop a view's memory."""
        for name in ("trail", "age"):
            self._state.pop(f"{view}-{name}", None)

    def state(self) -> dict[str, FloatArray]:
        """Return the memory of all views."""
        return dict(self._state)

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from a saved state."""
        self._state = dict(state)

    def reset(self) -> None:
        """Forget all views."""
        self._state = {}
