"""A viewport over time: it may turn by steps to follow somebody, and never changes its size."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from vrmatte.geometry.viewport import Viewport, ViewProjection


@dataclass(frozen=True, slots=True)
class Turn:
    """From this frame on the viewport looks there."""

    frame: int
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True, slots=True)
class ViewportPath:
    """One viewport for frames first..last-1 of a video; both eyes look the same way.

    Raises:
        ValueError: it never opens, no turn at the first frame, turns out of order, or a
            stereographic viewport that turns (only perspective memory can turn along).
    """

    name: str
    """Tells this path's engine state from others'; unique in a video."""
    first: int
    last: int
    hfov_deg: float
    vfov_deg: float
    turns: tuple[Turn, ...]
    projection: ViewProjection = "perspective"

    def __post_init__(self) -> None:
        if self.first >= self.last:
            raise ValueError(f"viewport {self.name} never opens: {self.first} to {self.last}")
        if self.projection != "perspective" and len(self.turns) > 1:
            raise ValueError(f"viewport {self.name}: only perspective viewports turn")
        frames = [turn.frame for turn in self.turns]
        if not frames or frames[0] != self.first or frames != sorted(set(frames)):
            raise ValueError(
                f"viewport {self.name}: turns must begin at frame {self.first}, rising"
            )

    def is_open(self, frame: int) -> bool:
        """Whether anybody looks through it at this frame."""
        return self.first <= frame < self.last

    def at(self, frame: int) -> Viewport:
        """Where it looks at this frame; frames outside its span see its nearest end."""
        position = bisect_right([turn.frame for turn in self.turns], frame) - 1
        turn = self.turns[max(0, position)]
        return Viewport(turn.yaw_deg, turn.pitch_deg, self.hfov_deg, self.vfov_deg, self.projection)
