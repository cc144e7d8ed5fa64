"""Refinement of the times at which people enter and leave, on a few more frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vrmatte.frames import PlanarFrame
from vrmatte.people.track import Sample, Track

_AS_LIKELY = 0.3
"""Least likeness at which a detection at the end of a track is assigned to the track."""


@dataclass(frozen=True, slots=True)
class TrackEnd:
    """Frames in which a track may begin or end, nearest to the track first."""

    track: Track
    candidates: tuple[int, ...]
    rivals: Sequence[Track]
    """All tracks of the shot: a detection that fits another track better is not this one's."""

    @property
    def first(self) -> int:
        """The earliest frame to read."""
        return min(self.candidates)

    @property
    def last(self) -> int:
        """The latest frame to read."""
        return max(self.candidates)


def track_ends(
    track: Track,
    rivals: Sequence[Track],
    looked_at: Sequence[int],
    first: int,
    last: int,
    step: int,
) -> list[TrackEnd]:
    """Return the ends of a track that are still uncertain.

    Args:
        track: as linked from the samples.
        rivals: all tracks of the shot.
        looked_at: frames of the samples, rising.
        first: first frame of the shot.
        last: one past its last frame.
        step: frames between candidates.
    """
    begin, end = track.frames[0], track.frames[-1]
    before = max((f for f in looked_at if first <= f < begin), default=first - 1)
    after = min((f for f in looked_at if end < f < last), default=last)
    back = list(range(begin - step, before, -step))
    forth = list(range(end + step, after, step))
    # The first and last frame of a shot may not be samples, so they are candidates too.
    if before == first - 1 and begin > first and first not in back:
        back.append(first)
    if after == last and end < last - 1 and last - 1 not in forth:
        forth.append(last - 1)
    return [TrackEnd(track, tuple(found), rivals) for found in (back, forth) if found]


def refine(
    ends: Iterable[TrackEnd],
    read: Callable[[Sequence[int]], Iterable[tuple[int, PlanarFrame]]],
    look: Callable[[int, PlanarFrame], Sample],
) -> None:
    """Extend tracks to where their people enter and leave, by bisection.

    Args:
        ends: of all tracks.
        read: yields the frames with these indices, which rise.
        look: detects the people in a frame.
    """
    waiting = sorted(ends, key=lambda end: end.last)
    wanted = sorted({frame for end in waiting for frame in end.candidates})
    held: dict[int, PlanarFrame] = {}
    seen: dict[int, Sample] = {}
    for index, frame in read(wanted):
        held[index] = frame
        while waiting and waiting[0].last <= index:
            _settle(waiting.pop(0), held, seen, look)
        needed_from = min((end.first for end in waiting), default=index + 1)
        for done in [f for f in held if f < needed_from]:
            del held[done]
            seen.pop(done, None)


def _settle(
    end: TrackEnd,
    held: dict[int, PlanarFrame],
    seen: dict[int, Sample],
    look: Callable[[int, PlanarFrame], Sample],
) -> None:
    """Find the candidate furthest from the track that still shows its person."""
    low, high = -1, len(end.candidates)
    probe = high - 1  # mostly nobody enters or leaves: a shot begins or ends
    while high - low > 1:
        frame = end.candidates[probe]
        if frame not in seen:
            seen[frame] = look(frame, held[frame])
        if _goes_on(end, seen[frame]):
            low = probe
        else:
            high = probe
        probe = (low + high) // 2


def _goes_on(end: TrackEnd, sample: Sample) -> bool:
    """Return True if a frame shows the track's person, and add it."""
    track, seconds = end.track, sample.seconds
    likely = max(
        sample.sightings, key=lambda sighting: track.likeness(sighting, seconds), default=None
    )
    if likely is None:
        return False
    others = [
        rival.likeness(likely, seconds)
        for rival in end.rivals
        if rival is not track and rival.seconds[0] <= seconds <= rival.seconds[-1]
    ]
    if track.likeness(likely, seconds) < max(_AS_LIKELY, *others, 0.0):
        return False
    track.add(sample.frame, seconds, likely)
    return True
