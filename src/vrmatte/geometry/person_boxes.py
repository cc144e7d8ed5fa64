"""Who is where and who is wanted, as plain values: what the exclusion of people needs to know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from vrmatte.frames import Eye

_BOXES_FOR_DISPARITY = 5


class Bounds(NamedTuple):
    """A box on the sphere in degrees: yaw positive to the right, pitch positive up."""

    yaw_min_deg: float
    yaw_max_deg: float
    pitch_min_deg: float
    pitch_max_deg: float


@dataclass(frozen=True, slots=True)
class PersonBoxes:
    """One person in frames first..last-1, seen in some of them.

    Raises:
        ValueError: frames that don't rise, or not one box per frame and eye.
    """

    id: int
    keep: bool
    """Whether the person belongs in the matte."""
    first: int
    last: int
    frames: tuple[int, ...]
    """When the boxes were taken, rising."""
    left: tuple[Bounds | None, ...]
    """Where the left eye sees the person in those frames; None: it doesn't, or nobody knows."""
    right: tuple[Bounds | None, ...]

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.left) == len(self.right):
            raise ValueError(f"person {self.id}: give one box per frame and eye")
        if list(self.frames) != sorted(set(self.frames)):
            raise ValueError(f"person {self.id}: frames of boxes must rise")

    def is_there(self, frame: int) -> bool:
        """Whether the person's time includes this frame."""
        return self.first <= frame < self.last

    def widened(self, frames: int, first: int, last: int) -> PersonBoxes:
        """The same person, there so many frames earlier and later, within frames first..last-1.

        Boxes are taken every now and then; people come before their first and go after their last.
        """
        return replace(
            self, first=max(first, self.first - frames), last=min(last, self.last + frames)
        )

    def at(self, frame: int, eye: Eye) -> Bounds | None:
        """Where an eye sees the person.

        Between two known boxes the person moves evenly, before the first and after the last it
        stands still; None outside first..last-1 and in an eye that never sees the person.
        """
        if not self.is_there(frame):
            return None
        boxes = self.left if eye is Eye.LEFT else self.right
        known = [(at, box) for at, box in zip(self.frames, boxes, strict=True) if box is not None]
        return _between(known, frame) if known else None

    def disparity_deg(self, frame: int) -> float | None:
        """How much further right the left eye sees the person; None: no box shows both eyes' view.

        The nearer, the more. A mean over the few boxes nearest in time, for a single box is hardly
        as exact as the difference is large.
        """
        both = [
            (abs(at - frame), (a.yaw_min_deg + a.yaw_max_deg - b.yaw_min_deg - b.yaw_max_deg) / 2)
            for at, a, b in zip(self.frames, self.left, self.right, strict=True)
            if a is not None and b is not None
        ]
        nearest = sorted(both)[:_BOXES_FOR_DISPARITY]
        return sum(disparity for _, disparity in nearest) / len(nearest) if nearest else None


class SpherePoint(NamedTuple):
    """A direction that shows a person, or doesn't."""

    eye: Literal["left", "right"]
    yaw_deg: float
    pitch_deg: float
    is_person: bool


@dataclass(frozen=True, slots=True)
class HandPrompt:
    """A frame in which somebody said by hand where a person is: by a box, by points, or both."""

    person: int
    frame: int
    points: tuple[SpherePoint, ...] = ()
    """Besides the person's box in that frame."""


@dataclass(frozen=True, slots=True)
class ExcludedRegion:
    """What lies here in frames first..last-1 leaves the matte, whoever it is."""

    bounds: Bounds
    eye: Literal["both", "left", "right"]
    first: int
    last: int

    def at(self, frame: int, eye: Eye) -> Bounds | None:
        """The region as it counts for one eye of a frame; None where it doesn't."""
        counts = self.first <= frame < self.last and self.eye in ("both", eye.value)
        return self.bounds if counts else None


def _between(known: Sequence[tuple[int, Bounds]], frame: int) -> Bounds:
    after = bisect_left(known, frame, key=lambda item: item[0])
    if after == 0:
        return known[0][1]
    if after == len(known):
        return known[-1][1]
    (f0, a), (f1, b) = known[after - 1], known[after]
    share = (frame - f0) / (f1 - f0)
    return Bounds(*((1 - share) * x + share * y for x, y in zip(a, b, strict=True)))
