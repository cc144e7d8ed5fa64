"""The page's view of who is there when, and of the shots as chapters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vrmatte.frames import EYES, Eye
from vrmatte.quality.measures import MEASURES
from vrmatte.report.page.content import PageContent, WorstLook
from vrmatte.report.page.plots import Lane, people_plot
from vrmatte.report.page.wording import clock, measured
from vrmatte.subjects import Person

MOST_LANES = 30
MOST_SHOTS = 400


@dataclass(frozen=True, slots=True)
class PeopleView:
    """The timeline of people."""

    plot: str
    count: int
    kept: int
    left_out: int
    """So many more than there is room for."""


@dataclass(frozen=True, slots=True)
class ChapterView:
    """One shot."""

    number: int
    first: int
    last: int
    """The last frame itself."""
    begins: str
    ends: str
    people: str
    worst: str
    """What is worst in it, in words; empty: nothing is beyond a limit."""
    worst_frame: int | None
    """Frame whose pictures stand on the page."""


def people_view(content: PageContent) -> PeopleView | None:
    """Who is there when; None where nobody was looked for."""
    people = [p for p in content.people if p.last > content.first and p.first < content.last]
    if not people:
        return None
    lanes = [_lane(person, content) for person in people[:MOST_LANES]]
    plot = people_plot("people", "who is there when, by eye", lanes, content.span)
    kept = sum(person.keep for person in people)
    return PeopleView(plot, len(people), kept, len(people) - len(lanes))


def chapters(content: PageContent) -> list[ChapterView]:
    """The shots within what was made, the first `MOST_SHOTS` of them."""
    shots = [s for s in content.shots if s.last > content.first and s.first < content.last]
    starts = [shot.first for shot in shots]
    worst = _worst_by_shot(content.worst, starts)
    return [
        _chapter(number, max(s.first, content.first), min(s.last, content.last), worst, content)
        for number, s in enumerate(shots[:MOST_SHOTS], 1)
    ]


def _lane(person: Person, content: PageContent) -> Lane:
    there = {eye: _spans(person, eye, content) for eye in EYES}
    label = f"person {person.id}" if person.keep else f"{person.id}, left out"
    return Lane(label, person.keep, there)


def _spans(person: Person, eye: Eye, content: PageContent) -> Sequence[tuple[float, float]]:
    """When an eye sees somebody: their time, but for gaps between boxes it isn't in."""
    seen = [timed.eye(eye) is not None for timed in person.boxes]
    if not any(seen):
        return []
    edges = [person.first, *((a + b) // 2 for a, b in pairwise(person.frames)), person.last]
    spans: list[tuple[float, float]] = []
    for is_seen, first, last in zip(seen, edges, edges[1:], strict=False):
        first, last = max(first, content.first), min(last, content.last)
        if not is_seen or last <= first:
            continue
        begin, end = content.seconds(first), _end(last, content)
        if spans and abs(spans[-1][1] - begin) < 1e-6:
            begin = spans.pop()[0]
        spans.append((begin, end))
    return spans


def _end(last: int, content: PageContent) -> float:
    return content.seconds(last) if last < content.last else content.span.last_seconds


def _worst_by_shot(looks: Sequence[WorstLook], starts: Sequence[int]) -> dict[int, WorstLook]:
    """The most urgent frame of each shot; they come in that order."""
    found: dict[int, WorstLook] = {}
    for look in looks:
        found.setdefault(bisect_right(starts, look.worst.frame), look)
    return found


def _chapter(
    number: int, first: int, last: int, worst: dict[int, WorstLook], content: PageContent
) -> ChapterView:
    there = [p for p in content.people if p.keep and p.first < last and p.last > first]
    look = worst.get(number)
    words = ""
    if look is not None:
        measure = MEASURES[look.worst.reason]
        words = f"{measure.label}, {measured(look.worst.value, measure.unit)}"
    return ChapterView(
        number=number,
        first=first,
        last=last - 1,
        begins=clock(content.seconds(first)),
        ends=clock(_end(last, content)),
        people=", ".join(str(person.id) for person in there) or "nobody",
        worst=words,
        worst_frame=None if look is None else look.worst.frame,
    )
