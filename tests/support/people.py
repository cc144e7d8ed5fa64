"""People with boxes at given frames."""

from __future__ import annotations

from collections.abc import Sequence

from vrmatte.geometry.angular_box import AngularBox
from vrmatte.subjects import Person, TimedBox


def person_of(
    number: int,
    keep: bool,
    first: int,
    last: int,
    frames: Sequence[int],
    left: Sequence[AngularBox | None],
    right: Sequence[AngularBox | None],
    score: float = 0.9,
) -> Person:
    """Return a person present in frames first..last-1, with one box per frame and eye."""
    boxes = tuple(TimedBox(*timed, score=score) for timed in zip(frames, left, right, strict=True))
    lead, linger = frames[0] - first, last - 1 - frames[-1]
    return Person(number, "person", keep, 0.9, boxes, lead_frames=lead, linger_frames=linger)
