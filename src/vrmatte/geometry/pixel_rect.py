"""A rectangle of the Cassini picture: where arrays lie that hold only what people need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Where arrays of shape (rows, columns) lie in a Cassini picture of `size` pixels."""

    size: int
    """Width and height of the whole picture."""
    top: int
    left: int
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def at(self) -> tuple[slice, slice]:
        """Index of the rectangle in the whole picture."""
        return (
            slice(self.top, self.top + self.rows),
            slice(self.left, self.left + self.columns),
        )
