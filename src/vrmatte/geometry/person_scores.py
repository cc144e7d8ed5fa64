"""How surely people are people, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PersonScores:
    """The detector's scores of one person, 0..1; drawn by hand: 1.

    Raises:
        ValueError: no score, not one for each frame, or frames that don't rise.
    """

    id: int
    frames: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.frames or len(self.frames) != len(self.scores):
            raise ValueError(f"person {self.id}: give one score per frame")
        if list(self.frames) != sorted(set(self.frames)):
            raise ValueError(f"person {self.id}: frames of scores must rise")

    def at(self, frame: int) -> float:
        """The score in a frame: even between two known ones, beyond them the nearest."""
        return float(np.interp(frame, self.frames, self.scores))
