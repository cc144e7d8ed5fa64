"""The scout: a cheap first pass that finds the shots, people and viewports of a video.

It looks at a few frames per second, and at a few more where people enter or leave or a shot may
end. The result is people.json, which users may edit: an existing one is used unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from vrmatte.errors import ConfigError, output_error
from vrmatte.files import free_name
from vrmatte.frames import PlanarFrame, Timeline
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.media.naming import strip_projection_tags
from vrmatte.media.probe import SourceInfo
from vrmatte.media.samples import key_frames, read_at, shrunk_frame
from vrmatte.people.detect import Detection, Detector, detect_stereo
from vrmatte.people.document import rounded, write_people
from vrmatte.people.read_document import read_people
from vrmatte.people.refine import TrackEnd, refine, track_ends
from vrmatte.people.select import chosen, kind_of
from vrmatte.people.shots import Thumbnail, find_cuts, may_hold_cut, thumbnail
from vrmatte.people.track import (
    CONTINUES_FROM,
    Sample,
    Sighting,
    Track,
    colours_in,
    link,
    real_people,
)
from vrmatte.people.viewports import viewports_for
from vrmatte.people.yolox import open_detector
from vrmatte.platform_support import replace_file
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started
from vrmatte.settings.config import Config
from vrmatte.stereo.eye_matches import EyeMatches
from vrmatte.stereo.lenses import align, matches_in
from vrmatte.subjects import LensAlignment, People, Person, Shot, SourceIdentity, TimedBox

SURVEY_SECONDS = 0.5
"""Time between two frames of the first pass."""
LARGE_EYE_PX = 2048
LARGE_SURVEY_SECONDS = 1.0
"""The same for eyes larger than `LARGE_EYE_PX`, where decoding costs most: then key frames are
used where they are near enough, and the frames between are never decoded."""
REFINED_SECONDS = 0.1
"""Precision of the times at which people enter and leave."""
_DETECTION_EYE_PX = 1024
"""Most pixels of frames kept for a second look; detectors use fewer."""
_MOST_LENS_FRAMES = 16
"""Frames of the first pass used to align the lenses, however long the video is."""


def people_file(video: Path, output: Path) -> Path:
    """Return the path of a video's document."""
    return output / f"{strip_projection_tags(video.stem)}_people.json"


def load_or_scout(
    path: Path,
    source: SourceInfo,
    fingerprint: str,
    timeline: Timeline,
    config: Config,
    observer: Observer,
) -> People:
    """Load the people of a video from the document at `path`; scout the video if it is missing.

    An existing document is never changed; one of another video is renamed, and the video scouted.
    People excluded by the document or by `people.viewer_body` are marked so. Viewports listed in
    the document are used unchanged; without a list they are derived from the boxes.

    Args:
        path: the document, from `people_file` or `people.file`.
        source: the video.
        fingerprint: its identity.
        timeline: all its frames.
        config: for the detector and the viewer's body.
        observer: receives progress and notices.

    Returns:
        Without people, and without writing a file, if no detector is available.

    Raises:
        ConfigError: the document can't be used, belongs to another video, or is named by
            `people.file` and missing.
    """
    if not path.exists():
        if config.people.file is not None:
            raise ConfigError(
                f"people.file: {path} does not exist; remove the setting to scout the video"
            )
        detector = open_detector(config, observer)
        if detector is None:
            return People(_identity(source, fingerprint, timeline), _one_shot(timeline), (), ())
        found = scout(source, timeline, detector, config, observer, fingerprint=fingerprint)
        write_people(found, path)
    people, has_viewports = read_people(path)
    if people.source.fingerprint != fingerprint and config.people.file is None:
        aside = _set_aside(path)
        observer(Notice(f"{path}: belongs to another video and was renamed to {aside.name}"))
        return load_or_scout(path, source, fingerprint, timeline, config, observer)
    _check_source(path, people.source, _identity(source, fingerprint, timeline))
    _report_lenses(people.lenses, observer)
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
        detector: finds people in flat images.
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
    """The first pass over a video, and the second looks."""

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
        """Return the shots, and the tracks of real people in order of appearance."""
        self._survey()
        cuts = self._cuts()
        edges = [0, *cuts, len(self._timeline)]
        shots = tuple(Shot(first, last) for first, last in pairwise(edges))
        linked = [link(self._samples_in(shot), self._threshold) for shot in shots]
        ends = [
            end
            for shot, tracks in zip(shots, linked, strict=True)
            for end in self._ends(shot, tracks)
        ]
        refine(ends, self._read_small, self._look)
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
        """Return the first frames of new shots, reading all frames between unlike samples."""
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

    def _ends(self, shot: Shot, tracks: Sequence[Track]) -> Iterator[TrackEnd]:
        looked_at = [sample.frame for sample in self._samples_in(shot)]
        step = max(1, round(REFINED_SECONDS * float(_rate(self._timeline))))
        for track in tracks:
            yield from track_ends(track, tracks, looked_at, shot.first, shot.last, step)

    def _look(self, index: int, frame: PlanarFrame) -> Sample:
        detected = detect_stereo(frame, self._detector, CONTINUES_FROM, projection=self._eye)
        people = tuple(Sighting(one, colours_in(frame, one, self._eye)) for one in detected)
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
    """Return the frames of the first pass, including the first and the last of the video."""
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
    """Return at most `most` of these frames, evenly spread."""
    count = min(most, len(places))
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]


def _report_lenses(lenses: LensAlignment | None, observer: Observer) -> None:
    if lenses is None or (lenses.rows_agree and not lenses.needs_correction):
        return
    off = f"rows of the two eyes are {lenses.row_error_px:.1f} px apart in eyes of 1536 px"
    turn = (
        f"the right lens is rotated by {lenses.roll_deg:.2f} (roll), "
        f"{lenses.pitch_deg:.2f} (pitch) and {lenses.toe_in_deg:.2f} degrees (toe-in)"
    )
    if not lenses.rows_agree:
        why = "no rotation of a lens explains all of it, so comparing the eyes is less exact"
    else:
        why = f"{turn}, which is corrected wherever the eyes are compared"
    observer(Notice(f"{off}: {why}"))


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that follow each other."""
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
            _box(sighting.detection.left),
            _box(sighting.detection.right),
            round(sighting.detection.score, 3),
        )
        for frame, sighting in zip(track.frames, track.sightings, strict=True)
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
    """Check that a document belongs to the video.

    Raises:
        ConfigError: it belongs to another video.
    """
    for name in ("fingerprint", "frames", "width", "height"):
        there, here = getattr(found, name), getattr(actual, name)
        if there != here:
            raise ConfigError(
                f"{path}: belongs to another video: source.{name} is {there}, but the video's is "
                f"{here}. Remove the file, or name another in people.file"
            )


def _set_aside(path: Path) -> Path:
    """Rename a document so that nothing replaces it; return its new path."""
    aside = free_name(path, "other")
    try:
        replace_file(path, aside)
    except OSError as error:
        raise output_error(error, path) from error
    return aside
