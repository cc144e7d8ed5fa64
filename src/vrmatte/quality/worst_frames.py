"""Frames worth a look: values beyond their limits, and the worst ones within them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from vrmatte.quality.frame_scores import EyeName
from vrmatte.quality.measures import MEASURES, MeasureName
from vrmatte.quality.score_series import Frames, SeriesKey, Values

_SAMPLED: frozenset[MeasureName] = frozenset(("jaggedness_px", "edge_width_px", "image_agreement"))
_GAP_FRAMES = 3
"""Values beyond a limit that are at most this far apart belong to one event."""
_SAMPLED_GAP_FRAMES = 16
_URGENCY: tuple[MeasureName, ...] = (
    "coverage",
    "stereo",
    "area_change",
    "components_changed",
    "unrest",
    "fine_kept",
    "softness_px",
    "jaggedness_px",
    "image_agreement",
    "edge_width_px",
)
"""Severities of different measures can't be compared, so measures take turns in this order."""
_KEPT = 24
_LEAST_APART = 8
_PARTS = 50
"""Shown frames are at least this fraction of the clip apart."""


@dataclass(frozen=True, slots=True)
class ScoreEvent:
    """A span of frames in which a measure is beyond its limit."""

    measure: MeasureName
    eye: EyeName | None
    """None: both eyes compared with each other."""
    person: int | None
    first: int
    last: int
    """The last such frame, inclusive."""
    worst: float
    worst_frame: int
    limit: float

    @property
    def severity(self) -> float:
        """Distance beyond the limit, relative to it."""
        return MEASURES[self.measure].severity(self.worst)


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """A frame worth a look, with the reason."""

    frame: int
    eye: EyeName | None
    """None: both eyes compared with each other."""
    person: int | None
    reason: MeasureName
    """Key into `measures.MEASURES`."""
    value: float
    limit: float
    beyond: bool
    """False: the worst value, but within the limit."""


def events_of(key: SeriesKey, frames: Frames, values: Values) -> list[ScoreEvent]:
    """Return the spans in which a series is beyond its measure's limit; frames rise."""
    measure = MEASURES[key.measure]
    if measure.limit is None:
        return []
    beyond = measure.is_beyond(values)
    gap = _SAMPLED_GAP_FRAMES if key.measure in _SAMPLED else _GAP_FRAMES
    frames, values = frames[beyond], values[beyond]
    cuts = np.flatnonzero(np.diff(frames) > gap) + 1
    events: list[ScoreEvent] = []
    for part in np.split(np.arange(len(frames)), cuts):
        if len(part):
            worst = part[worst_of(key.measure, values[part])]
            span = int(frames[part[0]]), int(frames[part[-1]])
            value = round(float(values[worst]), 4)
            at = int(frames[worst])
            events.append(
                ScoreEvent(key.measure, key.eye, key.person, *span, value, at, measure.limit)
            )
    return events


def worst_of(measure: MeasureName, values: Values) -> int:
    """Return the index of the worst value, the first of equals."""
    return int(np.argmax(values) if MEASURES[measure].higher_is_worse else np.argmin(values))


def severest_first(events: Iterable[ScoreEvent]) -> list[ScoreEvent]:
    """Sort by severity; of equals, the earlier comes first."""
    return sorted(events, key=lambda event: (-event.severity, event.worst_frame))


def spread(
    events: Sequence[ScoreEvent], within: Sequence[WorstFrame], frames: int
) -> tuple[WorstFrame, ...]:
    """Choose frames for a sheet, the most urgent first, none near another.

    Args:
        events: spans beyond limits.
        within: the worst frame of each series within its limit, to fill the sheet.
        frames: the number of frames in the clip.
    """
    shown = [_shown(event) for event in severest_first(events)]
    rest = sorted(
        (replace(frame, beyond=False) for frame in within),
        key=lambda frame: -MEASURES[frame.reason].severity(frame.value),
    )
    apart = max(_LEAST_APART, frames // _PARTS)
    kept: list[WorstFrame] = []
    for frame in [*_in_turns(shown), *_in_turns(rest)]:
        if all(abs(frame.frame - other.frame) >= apart for other in kept):
            kept.append(frame)
        if len(kept) == _KEPT:
            break
    return tuple(kept)


def _shown(event: ScoreEvent) -> WorstFrame:
    where = event.worst_frame, event.eye, event.person
    return WorstFrame(*where, event.measure, event.worst, event.limit, beyond=True)


def _in_turns(frames: Sequence[WorstFrame]) -> list[WorstFrame]:
    """Return the first frame of each measure, then the second of each, and so on."""
    by_measure = [[f for f in frames if f.reason == measure] for measure in _URGENCY]
    return [f for turn in zip_longest(*by_measure) for f in turn if f is not None]
