"""Values over time, one series for each measure, eye and person, gathered from frame scores."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vrmatte.frames import Mask
from vrmatte.quality.frame_scores import EyeName, FrameScore, MotionScore
from vrmatte.quality.measures import MeasureName

Values = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]

_COMING_FRAMES = 6
"""Of somebody's time, at both ends: boxes tell comings and goings to a tenth of a second."""
_LEAST_AREA = 1e-4
"""Share of the eye from which growth means something."""
_MOSTLY_HIDDEN = 0.5
"""Of somebody's usual area: with less, shares and changes of it say nothing."""
_LEAST_FLOOR_PX = 0.1
"""A picture that stands perfectly still would make any unrest endless."""
_POINTS = 600


class SeriesKey(NamedTuple):
    """What a series tells of."""

    measure: MeasureName
    eye: EyeName
    person: int | None


def _floats() -> array[float]:
    return array("f")


class _Growing:
    """A series while it is gathered: eight bytes a value."""

    def __init__(self) -> None:
        self.frames, self.values = array("l"), array("f")

    def add(self, frame: int, value: float) -> None:
        self.frames.append(frame)
        self.values.append(value)


class Gathered:
    """All series of a run."""

    def __init__(self, scores: Iterable[FrameScore]) -> None:
        """Take the scores, each eye's frames rising."""
        self._growing: defaultdict[SeriesKey, _Growing] = defaultdict(_Growing)
        self._last: dict[tuple[EyeName, int | None], FrameScore] = {}
        self._times: dict[tuple[EyeName, int], tuple[int, int]] = {}
        self._areas: defaultdict[tuple[EyeName, int], array[float]] = defaultdict(_floats)
        frames: set[int] = set()
        for score in scores:
            frames.add(score.frame)
            self._take(score)
        self.frames = len(frames)
        self._first, self._latest = min(frames, default=0), max(frames, default=0)

    def __iter__(self) -> Iterator[tuple[SeriesKey, Frames, Values]]:
        """Each series that holds anything, in a fixed order."""
        for key in self._keys():
            frames, values = self._arrays(key)
            if key.measure == "components_changed":
                values = np.where(self._somebody_comes(key.eye, frames), 0.0, values)
            if len(values):
                yield key, frames, values

    def _keys(self) -> list[SeriesKey]:
        return sorted(self._growing, key=lambda key: (key.eye, key.person or -1, key.measure))

    @property
    def knows_people(self) -> bool:
        """Whether anybody's own scores are among them."""
        return bool(self._times)

    def _take(self, score: FrameScore) -> None:
        where = score.eye, score.person
        before = self._last.get(where)
        self._last[where] = score
        if score.person is not None:
            first, _ = self._times.get((score.eye, score.person), (score.frame, 0))
            self._times[score.eye, score.person] = first, score.frame
            areas = self._areas[score.eye, score.person]
            # Frames in which an eye doesn't see them count as hidden.
            areas.extend([0.0] * (score.frame - first - len(areas)))
            areas.append(score.area)
        if score.coverage is not None:
            self._add("coverage", score, score.coverage)
        if score.area > _LEAST_AREA:
            self._add("fine_share", score, score.fine_share)
            self._add("softness_px", score, score.softness_px)
        if score.contour is not None:
            self._add("jaggedness_px", score, score.contour.jaggedness_px)
            self._add("edge_width_px", score, score.contour.edge_width_px)
            if score.contour.image_agreement is not None:
                self._add("image_agreement", score, score.contour.image_agreement)
            if score.contour.offset_px is not None:
                self._add("offset_px", score, score.contour.offset_px)
        if score.motion is not None:
            self._take_motion(score, score.motion)
        elif before is not None and score.person is not None and before.frame == score.frame - 1:
            self._across_chunks(before, score)

    def _take_motion(self, score: FrameScore, motion: MotionScore) -> None:
        self._add("band_difference", score, motion.band_difference)
        self._add("wander_px", score, motion.wander_px)
        self._add("picture_wander_px", score, motion.picture_wander_px)
        self._add("area_change", score, abs(motion.area_change))
        if score.person is None:
            self._add("components_changed", score, motion.appeared + motion.vanished)

    def _across_chunks(self, before: FrameScore, score: FrameScore) -> None:
        """Where a chunk begins nothing was carried along; areas are compared as they are."""
        if max(before.area, score.area) > _LEAST_AREA:
            change = abs(score.area - before.area) / max(before.area, score.area)
            self._add("area_change", score, change)

    def _add(self, measure: MeasureName, score: FrameScore, value: float) -> None:
        self._growing[SeriesKey(measure, score.eye, score.person)].add(score.frame, value)

    def _arrays(self, key: SeriesKey) -> tuple[Frames, Values]:
        """A series as far as it says anything."""
        growing = self._growing[key]
        frames = np.asarray(growing.frames, np.int64)
        values = np.asarray(growing.values, np.float64)
        if key.person is None:
            return frames, values
        told = self._can_be_told(key, frames)
        return frames[told], values[told]

    def relative(self) -> Iterator[tuple[SeriesKey, Frames, Values]]:
        """What is told as a multiple of the clip's own: unrest, and fine structure kept."""
        for key in self._keys():
            frames, values = self._arrays(key)
            if key.measure == "fine_share" and len(values) and np.median(values) > 0:
                yield key._replace(measure="fine_kept"), frames, values / np.median(values)
            elif key.measure == "wander_px" and len(values):
                _, floors = self._arrays(key._replace(measure="picture_wander_px"))
                floor = np.maximum(floors, max(float(np.mean(floors)), _LEAST_FLOOR_PX))
                yield key._replace(measure="unrest"), frames, values / floor

    def _can_be_told(self, key: SeriesKey, frames: Frames) -> Mask:
        """Frames in which somebody neither just comes nor goes, nor is mostly hidden."""
        assert key.person is not None
        first, last = self._times[key.eye, key.person]
        # Who is there when the clip begins doesn't come, and who is there at its end doesn't go.
        earliest = first if first == self._first else first + _COMING_FRAMES
        latest = last if last == self._latest else last - _COMING_FRAMES
        settled = (frames >= earliest) & (frames <= latest)
        if key.measure == "coverage":
            return settled
        areas = np.asarray(self._areas[key.eye, key.person], np.float64)
        shows = areas >= _MOSTLY_HIDDEN * np.median(areas)
        showed = np.concatenate([shows[:1], shows[:-1]])
        if key.measure != "area_change":
            return shows[frames - first]
        return showed[frames - first] & settled

    def _somebody_comes(self, eye: EyeName, frames: Frames) -> Mask:
        coming = np.zeros(len(frames), np.bool_)
        for (of_eye, _), times in self._times.items():
            ends = {*times} - {self._first, self._latest} if of_eye == eye else ()
            for time in ends:
                coming |= np.abs(frames - time) <= _COMING_FRAMES
        return coming


def thinned(frames: Frames, values: Values) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """At most `_POINTS` points: of each stretch the least and the greatest."""
    if len(values) > _POINTS:
        parts = np.array_split(np.arange(len(values)), _POINTS // 2)
        kept = {int(part[find(values[part])]) for part in parts for find in (np.argmin, np.argmax)}
        at = np.array(sorted(kept))
        frames, values = frames[at], values[at]
    return tuple(frames.tolist()), tuple(round(value, 4) for value in values.tolist())
