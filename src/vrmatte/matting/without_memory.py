"""The half of an engine or a refiner that knows single pictures only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrmatte.matting.base import FloatArray, State


class WithoutMemory:
    """Remembers nothing of any view."""

    def remembers(self, view: str) -> bool:
        """Yes: there is nothing to remember."""
        del view
        return True

    def turn(self, view: str, pixel_map: npt.NDArray[np.float64]) -> None:
        """Do nothing: there is no memory."""

    def forget(self, view: str) -> None:
        """Do nothing: there is no memory."""

    def state(self) -> dict[str, FloatArray]:
        """Nothing."""
        return {}

    def restore(self, state: State) -> None:
        """Accept the empty state only."""
        if state:
            raise ValueError(f"this engine has no state, but was given {sorted(state)}")
