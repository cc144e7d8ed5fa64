"""Summary of the scores of all chunks: series over time, figures, events, worst frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vrmatte.quality.frame_scores import EyeName, FrameScore
from vrmatte.quality.measures import MEASURES, MeasureName
from vrmatte.quality.score_series import Frames, ScoreSeries, SeriesKey, Values, thinned
from vrmatte.quality.worst_frames import (
    ScoreEvent,
    WorstFrame,
    events_of,
    severest_first,
    spread,
    worst_of,
)
from vrmatte.stereo.agreement import StereoFinding


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One measure of everybody, over both eyes and several summaries."""

    measure: str
    label: str
    unit: str
    median: float
    """Mean of the eyes' medians, weighted by their frames."""
    worst: float
    beyond: int
    """Eye-frames beyond the measure's limit."""
    frames: int
    """Eye-frames in which it could be measured."""


def score_lines(figures: Iterable[Mapping[str, Any]]) -> list[ScoreLine]:
    """Return one line for each measure, in the order of the page.

    Args:
        figures: `ScoreSummary.figures` of any number of summaries, as in JSON.
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
"""Within their limits these give no reason to look at a frame."""


@dataclass(frozen=True, slots=True)
class MeasureSeries:
    """One measure of one eye over time, thinned to at most 600 points that keep the extremes."""

    measure: MeasureName
    eye: EyeName
    person: int | None
    """Id as in people.json; None: everybody."""
    frames: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeasureFigure:
    """One measure of one eye in a few numbers."""

    measure: MeasureName
    eye: EyeName
    person: int | None
    frames: int
    """Number of frames in which it could be measured."""
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
    """The scores of a run, as the report shows them."""

    frames: int
    """Frames that were scored."""
    series: tuple[MeasureSeries, ...]
    figures: tuple[MeasureFigure, ...]
    """One for each series, in the same order."""
    events: tuple[ScoreEvent, ...]
    """By severity, the worst first; at most 200."""
    worst: tuple[WorstFrame, ...]
    """Spread over events, the worst first."""

    def worst_frames(self, n: int) -> tuple[WorstFrame, ...]:
        """Return the n frames most worth a look; no event fills the sheet."""
        return self.worst[:n]


def summed_up(scores: Iterable[FrameScore], findings: Iterable[StereoFinding] = ()) -> ScoreSummary:
    """Sum up the scores of a run.

    Args:
        scores: frames rising; consumed one by one, so that a long run needs little memory.
        findings: the agreement of the eyes, for events and worst frames.
    """
    gathered = ScoreSeries(scores)
    series: list[MeasureSeries] = []
    figures: list[MeasureFigure] = []
    events: list[ScoreEvent] = []
    within: list[WorstFrame] = []
    for key, frames, values in [*gathered, *gathered.relative()]:
        series.append(MeasureSeries(*key, *thinned(frames, values)))
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
    """Prefer scores of single people over everybody's, except for parts that belong to nobody."""
    if key.measure == "components_changed":
        return True
    return key.person is not None or not knows_people


def _figure(key: SeriesKey, frames: Frames, values: Values) -> MeasureFigure:
    measure = MEASURES[key.measure]
    worst = worst_of(key.measure, values)
    bad_side = 95 if measure.higher_is_worse else 5
    return MeasureFigure(
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


def _stereo_events(findings: Iterable[StereoFinding]) -> list[ScoreEvent]:
    """Return the spans of frames that the stereo stage flagged."""
    limit = MEASURES["stereo"].limit or 0.0
    events: list[ScoreEvent] = []
    last: dict[int | None, ScoreEvent] = {}
    for finding in findings:
        if not finding.flagged:
            continue
        score = round(finding.agreement.score, 4)
        at = finding.frame
        event = last.get(finding.person)
        if event is not None and at - event.last <= 3:
            worst, worst_at = min((event.worst, event.worst_frame), (score, at))
            joined = replace(event, last=at, worst=worst, worst_frame=worst_at)
            events[events.index(event)] = last[finding.person] = joined
        else:
            event = ScoreEvent("stereo", None, finding.person, at, at, score, at, limit)
            last[finding.person] = event
            events.append(event)
    return events
