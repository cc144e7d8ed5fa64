"""A cheap first look at a video: its shots, its people, and the viewports they are seen through.

Some frames a second are looked at; where somebody comes or goes, or a shot may end, a few more.
What is found is people.json, which people may edit: an existing one is used as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from vrmatte.errors import ConfigError
from vrmatte.frames import PlanarFrame, Timeline
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.media.naming import strip_projection_tags
from vrmatte.media.probe import SourceInfo
from vrmatte.media.samples import key_frames, read_at, shrunk_frame
from vrmatte.people.detect import Detection, Detector, detect_stereo
from vrmatte.people.document import rounded, write_people
from vrmatte.people.read_document import read_people
from vrmatte.people.refine import TrackEnd, brinks_of, refine
from vrmatte.people.select import chosen, kind_of
from vrmatte.people.shots import Thumbnail, find_cuts, may_hold_cut, thumbnail
from vrmatte.people.track import CONTINUES_FROM, Found, Sample, Track, colours_in, link, real_people
from vrmatte.people.viewports import viewports_for
from vrmatte.people.yolox import open_detector
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started
from vrmatte.settings.config import Config
from vrmatte.stereo.eye_matches import EyeMatches
from vrmatte.stereo.lenses import align, matches_in
from vrmatte.subjects import LensAlignment, People, Person, Shot, SourceIdentity, TimedBox

SURVEY_SECONDS = 0.5
"""Between two frames of the first pass."""
LARGE_EYE_PX = 2048
LARGE_SURVEY_SECONDS = 1.0
"""The same for eyes larger than `LARGE_EYE_PX`, where decoding costs most: then key frames are
taken where there are any near enough, and what lies between is never decoded."""
REFINED_SECONDS = 0.1
"""How exactly it is told when somebody comes and goes."""
_DETECTION_EYE_PX = 1024
"""Frames kept for a second look are no larger; detectors see less than that."""
_MOST_LENS_FRAMES = 16
"""So many of the frames of the first pass tell how the lenses stand, however long the video is."""


def people_file(video: Path, output: Path) -> Path:
    """Where the document of a video lies."""
    return output / f"{strip_projection_tags(video.stem)}_people.json"


def load_or_scout(
    path: Path,
    source: SourceInfo,
    fingerprint: str,
    timeline: Timeline,
    config: Config,
    observer: Observer,
) -> People:
    """The people of a video as a run uses them: from the document at `path`, made when missing.

    An existing document is never changed. Who isn't kept, by the document or by
    `people.viewer_body`, is marked so. Viewports that the document lists are used as they are;
    where it has no such list they are made from the boxes.

    Args:
        path: the document, as of `people_file` or `people.file`.
        source: the video.
        fingerprint: its identity.
        timeline: all its frames.
        config: for the detector and the viewer's body.
        observer: receives progress and notices.

    Returns:
        Without people, and without a file, where no detector can be had.

    Raises:
        ConfigError: the document can't be used, speaks of another video, or is named by
            `people.file` and missing.
    """
    if not path.exists():
        if config.people.file is not None:
            raise ConfigError(f"people.file: {path} is not there; leave it out to scout the video")
        detector = open_detector(config, observer)
        if detector is None:
            return People(_identity(source, fingerprint, timeline), _one_shot(timeline), (), ())
        found = scout(source, timeline, detector, config, observer, fingerprint=fingerprint)
        write_people(found, path)
    people, has_viewports = read_people(path)
    _check_source(path, people.source, _identity(source, fingerprint, timeline))
    _tell_of_lenses(people.lenses, observer)
    return chosen(people, config.people.viewer_body, derive_viewports=not has_viewports)


def scout(
    source: SourceInfo,
    timeline: Timeline,
    detector: Detector,
    config: Config,
    observer: Observer,
    *,
    fingerprint: str = "",
) -> People:
    """Find shots, people and viewports of a side-by-side video.

    Args:
        source: the video.
        timeline: all its frames.
        detector: finds people in flat pictures.
        config: for `detection.confidence_threshold`.
        observer: receives progress.
        fingerprint: the video's identity, for the document.
    """
    look = _Scout(source, timeline, detector, config.detection.confidence_threshold, observer)
    shots, tracks = look.run()
    people = tuple(_person(number, track) for number, track in enumerate(tracks, 1))
    identity = _identity(source, fingerprint, timeline)
    viewports = viewports_for(people, shots, identity.rate)
    return People(identity, shots, people, viewports, lenses=align(look.eye_matches))


class _Scout:
    """One pass over a video, and the second looks."""

    def __init__(
        self,
        source: SourceInfo,
        timeline: Timeline,
        detector: Detector,
        threshold: float,
        observer: Observer,
    ) -> None:
        self._source, self._timeline = source, timeline
        self._eye = source.eye_projection
        self._detector, self._threshold = detector, threshold
        self._observer = observer
        self._keys = key_frames(source, timeline)
        self._samples: dict[int, Sample] = {}
        self._thumbnails: dict[int, Thumbnail] = {}
        self.eye_matches: list[EyeMatches] = []

    def run(self) -> tuple[tuple[Shot, ...], list[Track]]:
        """Shots, and the tracks of real people in order of appearance."""
        self._survey()
        cuts = self._cuts()
        edges = [0, *cuts, len(self._timeline)]
        shots = tuple(Shot(first, last) for first, last in pairwise(edges))
        linked = [link(self._samples_in(shot), self._threshold) for shot in shots]
        brinks = [
            brink
            for shot, tracks in zip(shots, linked, strict=True)
            for brink in self._brinks(shot, tracks)
        ]
        refine(brinks, self._read_small, self._look)
        people = [
            track
            for shot, tracks in zip(shots, linked, strict=True)
            for track in real_people(tracks, self._threshold, self._seconds_of(shot))
        ]
        return shots, people

    def _survey(self) -> None:
        places = survey_frames(self._timeline, self._keys, self._source.height)
        compared = set(evenly(places, _MOST_LENS_FRAMES))
        self._observer(Started("scout", len(places)))
        for done, (index, frame) in enumerate(self._read(places), 1):
            self._thumbnails[index] = thumbnail(frame, self._eye)
            self._samples[index] = self._look(index, frame)
            if index in compared:
                self.eye_matches.append(matches_in(frame, self._eye))
            self._observer(Advanced("scout", done))
        self._observer(Finished("scout"))

    def _cuts(self) -> list[int]:
        """First frames of new shots; every frame is seen between samples that differ much."""
        doubtful = [
            (a, b)
            for a, b in pairwise(sorted(self._thumbnails))
            if may_hold_cut(self._thumbnails[a], self._thumbnails[b])
        ]
        cuts: list[int] = []
        for first, last in _joined(doubtful):
            stop = min(last + 1, len(self._timeline))
            tiny = [thumbnail(frame, self._eye) for _, frame in self._read(range(first, stop))]
            cuts += [first + at for at in find_cuts(tiny)]
        return cuts

    def _brinks(self, shot: Shot, tracks: Sequence[Track]) -> Iterator[TrackEnd]:
        looked_at = [sample.frame for sample in self._samples_in(shot)]
        step = max(1, round(REFINED_SECONDS * float(_rate(self._timeline))))
        for track in tracks:
            yield from brinks_of(track, tracks, looked_at, shot.first, shot.last, step)

    def _look(self, index: int, frame: PlanarFrame) -> Sample:
        found = detect_stereo(frame, self._detector, CONTINUES_FROM, projection=self._eye)
        people = tuple(Found(one, colours_in(frame, one, self._eye)) for one in found)
        return Sample(index, self._timeline.seconds(index), people)

    def _samples_in(self, shot: Shot) -> list[Sample]:
        return [self._samples[f] for f in sorted(self._samples) if shot.first <= f < shot.last]

    def _seconds_of(self, shot: Shot) -> float:
        return self._timeline.seconds(shot.last - 1) - self._timeline.seconds(shot.first)

    def _read(self, indices: Sequence[int]) -> Iterator[tuple[int, PlanarFrame]]:
        return read_at(self._source, self._timeline, indices, self._keys)

    def _read_small(self, indices: Sequence[int]) -> Iterator[tuple[int, PlanarFrame]]:
        for index, frame in self._read(indices):
            yield index, shrunk_frame(frame, _DETECTION_EYE_PX)


def survey_frames(timeline: Timeline, keys: Sequence[int], eye_px: int) -> list[int]:
    """Which frames the first pass looks at, the first and the last among them."""
    large = eye_px > LARGE_EYE_PX
    stride = round((LARGE_SURVEY_SECONDS if large else SURVEY_SECONDS) / timeline.time_base)
    key_pts = timeline.pts[np.asarray(keys if large else (), np.int64)]
    places = [0]
    while True:
        wanted = int(timeline.pts[places[-1]]) + stride
        near = key_pts[np.abs(key_pts - wanted) <= stride // 2]
        if near.size:
            wanted = int(near[np.argmin(np.abs(near - wanted))])
        place = max(int(np.searchsorted(timeline.pts, wanted)), places[-1] + 1)
        if place >= len(timeline):
            return sorted({*places, len(timeline) - 1})
        places.append(place)


def evenly(places: Sequence[int], most: int) -> list[int]:
    """At most so many of these places, evenly spread."""
    count = min(most, len(places))
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]


def _tell_of_lenses(lenses: LensAlignment | None, observer: Observer) -> None:
    if lenses is None or (lenses.rows_agree and not lenses.needs_correction):
        return
    off = f"rows of the two eyes lie {lenses.row_error_px:.1f} px apart in eyes of 1536 px"
    turn = (
        f"the right lens is turned by {lenses.roll_deg:.2f} (roll), {lenses.pitch_deg:.2f} (pitch) "
        f"and {lenses.toe_in_deg:.2f} degrees (toe-in)"
    )
    if not lenses.rows_agree:
        why = "no turn of a lens explains all of it, so comparing the eyes is less exact"
    else:
        why = f"{turn}, which is made good wherever the eyes are compared"
    observer(Notice(f"{off}: {why}"))


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that follow each other made one."""
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and joined[-1][1] == first:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return joined


def _person(number: int, track: Track) -> Person:
    boxes = tuple(
        TimedBox(
            frame,
            _box(found.detection.left),
            _box(found.detection.right),
            round(found.detection.score, 3),
        )
        for frame, found in zip(track.frames, track.found, strict=True)
    )
    confidence = round(float(np.median([box.score for box in boxes])), 3)
    return Person(number, kind_of(boxes), keep=True, confidence=confidence, boxes=boxes)


def _box(detection: Detection | None) -> AngularBox | None:
    return None if detection is None else rounded(detection.box)


def _identity(source: SourceInfo, fingerprint: str, timeline: Timeline) -> SourceIdentity:
    return SourceIdentity(fingerprint, len(timeline), source.width, source.height, _rate(timeline))


def _rate(timeline: Timeline) -> Fraction:
    seconds = (timeline.end_pts - int(timeline.pts[0])) * timeline.time_base
    return (len(timeline) / seconds).limit_denominator(1001)


def _one_shot(timeline: Timeline) -> tuple[Shot, ...]:
    return (Shot(0, len(timeline)),)


def _check_source(path: Path, found: SourceIdentity, actual: SourceIdentity) -> None:
    """Refuse a document of another video.

    Raises:
        ConfigError: it speaks of another.
    """
    for name in ("fingerprint", "frames", "width", "height"):
        there, here = getattr(found, name), getattr(actual, name)
        if there != here:
            raise ConfigError(
                f"{path}: speaks of another video: source.{name} is {there}, the video's is "
                f"{here}. Remove the file, or name another in people.file"
            )
