"""Scores of all chunks, summed up for people: series over time, figures, events, worst frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vrmatte.quality.frame_scores import EyeName, FrameScore
from vrmatte.quality.measures import MEASURES, MeasureName
from vrmatte.quality.series import Frames, Gathered, SeriesKey, Values, thinned
from vrmatte.quality.worst_frames import (
    Event,
    WorstFrame,
    events_of,
    severest_first,
    spread,
    worst_of,
)
from vrmatte.stereo.agreement import StereoFinding


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One measure of everybody, over both eyes and all the summaries it was taken from."""

    measure: str
    label: str
    unit: str
    median: float
    """Mean of the eyes' medians, weighted by their frames."""
    worst: float
    beyond: int
    """Eye-frames beyond the measure's limit."""
    frames: int
    """Eye-frames it could be told of."""


def score_lines(figures: Iterable[Mapping[str, Any]]) -> list[ScoreLine]:
    """One line for each measure, in the order of the page.

    Args:
        figures: of any number of summaries, as JSON holds them (`ScoreSummary.figures`).
    """
    by_measure: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for figure in figures:
        if figure["person"] is None and figure["frames"]:
            by_measure[figure["measure"]].append(figure)
    lines: list[ScoreLine] = []
    for name, measure in MEASURES.items():
        if name in by_measure:
            eyes = by_measure[name]
            frames = sum(eye["frames"] for eye in eyes)
            worst = (max if measure.higher_is_worse else min)(eye["worst"] for eye in eyes)
            median = sum(eye["median"] * eye["frames"] for eye in eyes) / frames
            beyond = sum(eye["beyond"] for eye in eyes)
            lines.append(
                ScoreLine(
                    name,
                    measure.label,
                    measure.unit,
                    round(median, 4),
                    round(worst, 4),
                    beyond,
                    frames,
                )
            )
    return lines


_MOST_EVENTS = 200
_PRESENCE: tuple[MeasureName, ...] = ("coverage", "components_changed")
"""Within their limits they are no reason to look at a frame."""


@dataclass(frozen=True, slots=True)
class Series:
    """One measure of one eye over time, thinned to at most 600 points that keep the extremes."""

    measure: MeasureName
    eye: EyeName
    person: int | None
    """Id as in people.json; None: everybody."""
    frames: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one eye in a few numbers."""

    measure: MeasureName
    eye: EyeName
    person: int | None
    frames: int
    """How many frames it could be told of."""
    mean: float
    median: float
    percentile_95: float
    """Towards the bad side: 95 % of frames are better."""
    worst: float
    worst_frame: int
    beyond: int
    """Frames beyond the measure's limit."""


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """All that is shown of the scores."""

    frames: int
    """Frames that were scored."""
    series: tuple[Series, ...]
    figures: tuple[Figure, ...]
    """One for each series, in the same order."""
    events: tuple[Event, ...]
    """By severity, the worst first; at most 200."""
    worst: tuple[WorstFrame, ...]
    """Spread over events, the worst first."""

    def worst_frames(self, n: int) -> tuple[WorstFrame, ...]:
        """The n frames most worth looking at; no event fills the sheet."""
        return self.worst[:n]


def summed_up(scores: Iterable[FrameScore], findings: Iterable[StereoFinding] = ()) -> ScoreSummary:
    """Sum up the scores of a run.

    Args:
        scores: frames rising; drawn one by one, so that a long run's needn't be held at once.
        findings: how the eyes agreed, for events and worst frames.
    """
    gathered = Gathered(scores)
    series: list[Series] = []
    figures: list[Figure] = []
    events: list[Event] = []
    within: list[WorstFrame] = []
    for key, frames, values in [*gathered, *gathered.relative()]:
        series.append(Series(*key, *thinned(frames, values)))
        figure = _figure(key, frames, values)
        figures.append(figure)
        if not _is_judged(key, gathered.knows_people):
            continue
        events += events_of(key, frames, values)
        limit = MEASURES[key.measure].limit
        if limit is not None and not figure.beyond and key.measure not in _PRESENCE:
            where = figure.worst_frame, key.eye, key.person
            within.append(WorstFrame(*where, key.measure, figure.worst, limit, beyond=False))
    events += _stereo_events(findings)
    return ScoreSummary(
        frames=gathered.frames,
        series=tuple(series),
        figures=tuple(figures),
        events=tuple(severest_first(events)[:_MOST_EVENTS]),
        worst=spread(events, within, gathered.frames),
    )


def _is_judged(key: SeriesKey, knows_people: bool) -> bool:
    """People's own scores tell more than everybody's, but for parts that belong to nobody."""
    if key.measure == "components_changed":
        return True
    return key.person is not None or not knows_people


def _figure(key: SeriesKey, frames: Frames, values: Values) -> Figure:
    measure = MEASURES[key.measure]
    worst = worst_of(key.measure, values)
    bad_side = 95 if measure.higher_is_worse else 5
    return Figure(
        measure=key.measure,
        eye=key.eye,
        person=key.person,
        frames=len(values),
        mean=round(float(np.mean(values)), 4),
        median=round(float(np.median(values)), 4),
        percentile_95=round(float(np.percentile(values, bad_side)), 4),
        worst=round(float(values[worst]), 4),
        worst_frame=int(frames[worst]),
        beyond=int(np.count_nonzero(measure.is_beyond(values))),
    )


def _stereo_events(findings: Iterable[StereoFinding]) -> list[Event]:
    """Spans of frames that the stereo stage flagged."""
    limit = MEASURES["stereo"].limit or 0.0
    events: list[Event] = []
    last: dict[int | None, Event] = {}
    for finding in findings:
        if not finding.flagged:
            continue
        score = round(finding.agreement.score, 4)
        at = finding.frame
        event = last.get(finding.person)
        if event is not None and at - event.last <= 3:
            worst, worst_at = min((event.worst, event.worst_frame), (score, at))
            joined = Event("stereo", None, finding.person, event.first, at, worst, worst_at, limit)
            events[events.index(event)] = last[finding.person] = joined
        else:
            last[finding.person] = Event("stereo", None, finding.person, at, at, score, at, limit)
            events.append(last[finding.person])
    return events
