"""A tiny deterministic engine for tests of the job around it: no weights, no network, a memory.

Its matte hangs on all frames it has seen, so a chunk begun with the wrong state or a frame too many
differs from then on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from vrmatte.frames import FloatArray
from vrmatte.matting.base import Coefficients, EngineChoice
from vrmatte.subjects import WHOLE_EYES

CHOICE = EngineChoice(
    name="selfie",
    weights_name="stand-in",
    weights_path="",
    weights_sha256="5" * 64,
    licence="Apache-2.0",
    verified=True,
)


class StandInEngine:
    """Bright things are people; how long they have been there, and how many frames ago, shows."""

    name = "stand-in"
    settling_frames = 3
    provider = "tests"

    def __init__(self) -> None:
        self._state: dict[str, np.ndarray] = {}

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        grey = pictures.mean(axis=1)
        trail = self._state.get(f"{view}-trail", grey)
        age = self._state.get(f"{view}-age", np.zeros(1, np.float32))
        trail = np.float32(0.8) * trail + np.float32(0.2) * grey
        self._state |= {f"{view}-trail": trail, f"{view}-age": age + 1}
        return Coefficients(np.full_like(grey, 6), trail - 2.2 + age % 7 / 255)

    def remembers(self, view: str) -> bool:
        return f"{view}-age" in self._state

    def turn(self, view: str, pixel_map: npt.NDArray[np.float64]) -> None:
        """Its memory stays where it is: a turn changes the matte, the same way in every run."""

    def forget(self, view: str) -> None:
        for part in ("trail", "age"):
            self._state.pop(f"{view}-{part}", None)

    def state(self) -> dict[str, np.ndarray]:
        return dict(self._state)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._state = dict(state)

    def reset(self) -> None:
        self._state = {}


def use_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run in this test use the stand-in, whatever engine its settings name."""
    monkeypatch.setattr("vrmatte.commands.run.choose_engine", lambda *_: CHOICE)
    # Nobody is looked for: the job is what these tests are about.
    monkeypatch.setattr("vrmatte.commands.run.find_subjects", lambda *_: WHOLE_EYES)
    monkeypatch.setattr("vrmatte.jobs.chunks.load_engine", lambda *_: StandInEngine())


def main() -> None:
    """`python -m stand_in_engine ARGUMENTS`: the command line `vrmatte ARGUMENTS`, stood in."""
    from vrmatte.cli.main import main as vrmatte

    use_stand_in(pytest.MonkeyPatch())
    sys.argv[0] = "vrmatte"
    vrmatte()


if __name__ == "__main__":
    main()
