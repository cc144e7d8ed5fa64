"""People who join late, followed back through the pictures just before.

A detector often finds somebody some frames after they came in. Where those frames are still at
hand, the network follows them backwards from the picture they were prompted in. It starts from what
the forward pass remembers of that picture, so it isn't looked at again; every earlier picture is
looked at once, for all who joined after it, and nobody is followed back twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.masks.source import FloatArray, Prompt

Earlier = Mapping[tuple[int, int], FloatArray]
"""By picture of the view and person, how surely a pixel shows them, shape (h, w)."""


@dataclass(slots=True)
class _Joined:
    """Somebody who was prompted for the first time."""

    picture: int
    person: int
    ago: int
    """How many frames."""
    memory: dict[str, Any]


@dataclass(slots=True)
class _Past:
    """What is held of one view."""

    frames: deque[FloatArray]
    """Newest last; each of shape (pictures, 3, h, w)."""
    joined: list[_Joined] = field(default_factory=list[_Joined])


class Lookback:
    """Passes pictures on to a source and holds the last of them.

    What it holds is no part of the source's state: who goes on from a saved state begins without.
    """

    def __init__(self, source: Sam2Source, frames: int) -> None:
        """Take a source, and how many frames before the present one are held, at least 1."""
        if frames < 1:
            raise ValueError(f"at least one frame must be held, {frames} were asked for")
        self._source = source
        self._held = frames + 1
        self._past: dict[str, _Past] = {}

    def masks(
        self, view: str, pictures: FloatArray, prompts: Sequence[Prompt]
    ) -> Mapping[int, FloatArray]:
        """As `Sam2Source.masks`, noting who joins."""
        known = [self._people(view, at) for at in range(len(pictures))]
        found = self._source.masks(view, pictures, prompts)
        past = self._past.setdefault(view, _Past(deque(maxlen=self._held)))
        past.frames.append(pictures)
        for joined in past.joined:
            joined.ago += 1
        past.joined = [joined for joined in past.joined if joined.ago < len(past.frames) - 1]
        for at, before in enumerate(known):
            follower = self._source.follower(view, at)
            if follower is not None and len(past.frames) > 1:
                past.joined += [
                    _Joined(at, person, 0, follower.memory_of(person))
                    for person in follower.people
                    if person not in before
                ]
        return found

    def _people(self, view: str, picture: int) -> list[int]:
        follower = self._source.follower(view, picture)
        return [] if follower is None else follower.people

    def earlier(self, view: str) -> Sequence[Earlier]:
        """Where those who joined lately were before they did.

        Each of them is followed back by the first call after they joined, and by no other.

        Returns:
            For each frame held, oldest first and the present one last, who was followed back
            through it.
        """
        past = self._past.get(view)
        if past is None:
            return []
        found: list[dict[tuple[int, int], FloatArray]] = [{} for _ in past.frames]
        for picture in sorted({joined.picture for joined in past.joined}):
            of_it = [joined for joined in past.joined if joined.picture == picture]
            frames = [frame[picture] for frame in past.frames]
            for at, masks in enumerate(_followed_back(self._source, frames, of_it)):
                found[at] |= {(picture, person): mask for person, mask in masks.items()}
        past.joined = []
        return found

    def forget(self, view: str) -> None:
        """Drop a view's pictures, with what the source remembers of it."""
        self._past.pop(view, None)
        self._source.forget(view)


def _followed_back(
    source: Sam2Source, frames: Sequence[FloatArray], joined: Sequence[_Joined]
) -> list[dict[int, FloatArray]]:
    """Masks for each frame, oldest first, of all who joined after it."""
    follower = source.new_follower()
    found: list[dict[int, FloatArray]] = []
    for ago, frame in enumerate(reversed(frames)):
        # The network only sees pictures that follow one another: time runs forward to it.
        follower.frame = ago
        found.append(follower.step(frame, ()))
        for one in joined:
            if one.ago == ago:
                follower.adopt(one.person, ago, one.memory)
    return found[::-1]
