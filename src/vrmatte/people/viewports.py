"""Viewports for people: one per person and shot, shared by people close together.

A viewport fits the person as projected onto its plane, so a standing person gets a tall, narrow
one. People who stay get one that stands still. People who walk far get one that follows in steps,
because every turn costs the network some of its memory. Measurements:
docs/engineering/detection.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.people.outline import Fit, Outlines, fit, outlines_of
from vrmatte.subjects import Person, Shot

MARGIN = 1.3
"""Size of a viewport relative to its content: boxes cut off hair, hands and feet, and the network
needs some surroundings."""
OPENS_EARLY_FRAMES = 5
"""Frames by which a viewport opens before its person appears: the network learns the background."""
LINGER_FRAMES = 8
"""Frames for which a viewport stays open after its person has left."""

_WIDEST_DEG = 105.0
"""Beyond this a perspective view wastes pixels on its corners; a stereographic one is used."""
_WIDEST_STEREOGRAPHIC_DEG = 200.0
_NARROWEST_DEG = 25.0
_DEAD_ZONE = 0.12
"""Share of the field of view by which a person may be off centre before the viewport turns."""
_STRETCH = 1.25
"""Largest factor by which the dead zone is widened to save a turn."""
_ENOUGH_FITS = 200
"""Most frames from which the apparent size of a person is computed, however long they stay."""
_WORTH_FOLLOWING = 1.3
"""Largest area of a still viewport, as a multiple of one that follows."""
_WORTH_SHARING = 1.15
"""Highest cost of a shared viewport, as a multiple of two separate ones."""


@dataclass(frozen=True, slots=True)
class _ViewDirections:
    """The directions of a viewport over time, and its size on the plane with margin."""

    starts: tuple[int, ...]
    """Frames at which the direction changes."""
    fits: tuple[Fit, ...]
    stereographic: bool = False

    @property
    def half(self) -> tuple[float, float]:
        """Half width and height on the plane, with margin."""
        least = math.tan(math.radians(_NARROWEST_DEG / 2))
        return (
            max(least, MARGIN * max(f.half_width for f in self.fits)),
            max(least, MARGIN * max(f.half_height for f in self.fits)),
        )

    @property
    def area(self) -> float:
        """Area on the plane; the number of network pixels is proportional to it."""
        return 4 * self.half[0] * self.half[1]

    @property
    def fov_deg(self) -> tuple[float, float]:
        """Horizontal and vertical field of view."""
        turn, part = (4, 2) if self.stereographic else (2, 1)
        width, height = (
            min(math.degrees(turn * math.atan(side / part)), _WIDEST_STEREOGRAPHIC_DEG)
            for side in self.half
        )
        return width, height

    @property
    def is_possible(self) -> bool:
        """True if a viewport can be that wide."""
        return self.stereographic or max(self.fov_deg) <= _WIDEST_DEG


@dataclass(frozen=True, slots=True)
class _Subject:
    """People who share one viewport."""

    people: tuple[Person, ...]
    outlines: Outlines
    directions: _ViewDirections

    @property
    def cost(self) -> float:
        """Network pixels over the whole span, gaps included."""
        frames = self.outlines.frames
        return self.directions.area * float(frames[-1] - frames[0] + 1)


def viewports_for(
    people: Sequence[Person], shots: Sequence[Shot], rate: Fraction
) -> tuple[ViewportPath, ...]:
    """Return viewports that show these people in all their frames, in order of opening.

    Args:
        people: those to be matted.
        shots: of the video; no viewport crosses a cut.
        rate: frames per second.
    """
    step = max(1, round(rate / 10))
    paths: list[ViewportPath] = []
    for shot in shots:
        here = [p for p in people if p.first < shot.last and p.last > shot.first]
        subjects = [_subject((person,), shot, step) for person in here]
        for subject in _shared(subjects, shot, step):
            paths.append(
                _path(subject, shot, single_shot=len(shots) == 1 or _within(subject, shot))
            )
    return tuple(sorted(paths, key=lambda path: (path.first, path.name)))


def people_of(path: ViewportPath) -> frozenset[int]:
    """Return the ids of the people in a viewport of `viewports_for`, read from its name."""
    kind, *ids = path.name.partition("@")[0].split("-")
    if kind not in ("person", "people") or not all(part.isdecimal() for part in ids):
        return frozenset()
    return frozenset(map(int, ids))


def _within(subject: _Subject, shot: Shot) -> bool:
    return all(shot.first <= p.first and p.last <= shot.last for p in subject.people)


def _subject(people: tuple[Person, ...], shot: Shot, step: int) -> _Subject:
    outlines = outlines_of(people, shot.first, shot.last, step)
    return _Subject(people, outlines, _best_directions(outlines))


def _shared(subjects: list[_Subject], shot: Shot, step: int) -> list[_Subject]:
    """Merge the viewports of people as long as that saves network pixels."""
    while True:
        best: tuple[float, _Subject, _Subject, _Subject] | None = None
        for a, b in combinations(subjects, 2):
            both = _subject(a.people + b.people, shot, step)
            gain = _WORTH_SHARING * (a.cost + b.cost) - both.cost
            if gain >= 0 and (best is None or gain > best[0]) and not both.directions.stereographic:
                best = gain, a, b, both
        if best is None:
            return subjects
        subjects = [s for s in subjects if s is not best[1] and s is not best[2]] + [best[3]]


def _best_directions(outlines: Outlines) -> _ViewDirections:
    """Return the cheapest viewport: still, following, or stereographic."""
    first = int(outlines.frames[0])
    still = _ViewDirections((first,), (fit(outlines.directions),))
    following = _following(outlines)
    if still.is_possible and still.area <= _WORTH_FOLLOWING * following.area:
        return still
    if following.is_possible:
        return following
    if still.is_possible:
        return still
    wide = fit(outlines.directions, stereographic=True)
    return _ViewDirections((first,), (wide,), stereographic=True)


def _following(outlines: Outlines) -> _ViewDirections:
    """Return directions that change only where the person would leave the dead zone."""
    thinned = outlines.directions[:: 1 + len(outlines.directions) // _ENOUGH_FITS]
    single = _ViewDirections((0,), tuple(fit(each[None]) for each in thinned))
    reach = [2 * _DEAD_ZONE * fov_deg for fov_deg in single.fov_deg]
    spans = _even_spans(outlines, reach)
    return _ViewDirections(
        tuple(int(outlines.frames[start]) for start, _ in spans),
        tuple(fit(outlines.directions[start:stop]) for start, stop in spans),
    )


def _even_spans(outlines: Outlines, reach_deg: Sequence[float]) -> list[tuple[int, int]]:
    """Return the fewest spans that the dead zone allows, with about equal motion in each."""

    def spans(part: float) -> list[tuple[int, int]]:
        return list(_calm_spans(outlines, [part * reach for reach in reach_deg]))

    fewest = spans(_STRETCH)
    low, high = 0.0, _STRETCH
    for _ in range(6):
        middle = (low + high) / 2
        found = spans(middle)
        if len(found) <= len(fewest):
            fewest, high = found, middle
        else:
            low = middle
    return fewest


def _calm_spans(outlines: Outlines, reach_deg: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield successive spans, each as long as the middle stays within `reach_deg`."""
    start = 0
    low = high = outlines.middles[0]
    for at, middle in enumerate(outlines.middles):
        new_low = tuple(map(min, low, middle))
        new_high = tuple(map(max, high, middle))
        cosine = math.cos(math.radians(middle[1]))
        moved = (new_high[0] - new_low[0]) * cosine, new_high[1] - new_low[1]
        if any(m > r for m, r in zip(moved, reach_deg, strict=True)):
            yield start, at
            start, low, high = at, middle, middle
        else:
            low, high = new_low, new_high
    yield start, len(outlines.middles)


def _path(subject: _Subject, shot: Shot, *, single_shot: bool) -> ViewportPath:
    first = max(shot.first, min(p.first for p in subject.people) - OPENS_EARLY_FRAMES)
    last = min(shot.last, max(p.last for p in subject.people) + LINGER_FRAMES)
    directions = subject.directions
    turns = [
        Turn(start if number else first, round(f.yaw_deg, 2), round(f.pitch_deg, 2))
        for number, (start, f) in enumerate(zip(directions.starts, directions.fits, strict=True))
    ]
    ids = sorted(person.id for person in subject.people)
    name = "-".join(["person" if len(ids) == 1 else "people", *map(str, ids)])
    return ViewportPath(
        name=name if single_shot else f"{name}@{shot.first}",
        first=first,
        last=last,
        hfov_deg=round(directions.fov_deg[0], 2),
        vfov_deg=round(directions.fov_deg[1], 2),
        turns=tuple(turns),
        projection="stereographic" if directions.stereographic else "perspective",
    )
