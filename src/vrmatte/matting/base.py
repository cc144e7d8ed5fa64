"""What a matting engine is, and the plain value that says which one was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from vrmatte.frames import Matte, PlanarFrame

EngineKind = Literal["rvm", "selfie"]
FloatArray = npt.NDArray[np.float32]
State = Mapping[str, FloatArray]
"""Everything an engine remembers between frames, by name; the first axis counts the views."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine with which weights, as plain values that travel to workers and reports."""

    name: EngineKind
    weights_name: str
    weights_path: str
    weights_sha256: str
    licence: str
    verified: bool
    """Whether the weights have the digest that vrmatte knows."""
    notices: tuple[str, ...] = ()
    """What the user should know about this choice; it also stands in the report."""


class Engine(Protocol):
    """Makes mattes of successive frames.

    One instance serves one sequence: the views of a frame (left eye, right eye) go in together,
    and their number and sizes stay the same until `reset`.
    """

    name: str
    warmup_frames: int
    """Frames to run and throw away when a sequence starts without saved state."""
    provider: str
    """Where it runs, for the report."""

    def matte(self, pictures: Sequence[PlanarFrame]) -> list[Matte]:
        """One matte per picture, each at its picture's size; advances the state by one frame."""
        ...

    def state(self) -> dict[str, FloatArray]:
        """All that is needed to go on exactly, in fp32; empty before the first frame."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a saved state; an empty one is a fresh start."""
        ...

    def reset(self) -> None:
        """Forget all frames; sizes may change after this."""
        ...
