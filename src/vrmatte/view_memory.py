"""The memory that engines, mask sources and refiners keep of each view between frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from vrmatte.frames import DoubleArray, FloatArray

State = Mapping[str, FloatArray]
"""Everything remembered between frames, by name."""


class ViewMemory(Protocol):
    """Memory of views; a view is known by its name, and each has a memory of its own."""

    def remembers(self, view: str) -> bool:
        """Return True if a view has memory, or if none is needed at all."""
        ...

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Move a view's memory along when its viewport turns.

        Args:
            view: the view's name.
            pixel_map: shape (3, 3), from old to new continuous pixel coordinates.
        """
        ...

    def forget(self, view: str) -> None:
        """Drop a view's memory; unknown views are ignored."""
        ...

    def state(self) -> dict[str, FloatArray]:
        """Return all that is needed to continue exactly, in fp32; empty before the first frame."""
        ...

    def restore(self, state: State) -> None:
        """Continue from a saved state; an empty one is a fresh start."""
        ...


class WithoutMemory:
    """A `ViewMemory` for what needs none."""

    def remembers(self, view: str) -> bool:
        """Return True: nothing needs to be remembered."""
        del view
        return True

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Do nothing."""

    def forget(self, view: str) -> None:
        """Do nothing."""

    def state(self) -> dict[str, FloatArray]:
        """Return the empty state."""
        return {}

    def restore(self, state: State) -> None:
        """Accept the empty state only.

        Raises:
            ValueError: the state isn't empty.
        """
        if state:
            raise ValueError(f"this engine has no state, but was given {sorted(state)}")
