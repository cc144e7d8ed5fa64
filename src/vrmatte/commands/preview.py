"""`vrmatte preview`: one frame, matted as a run would, to check before a long run."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.view import Preparation
from vrmatte.deliverable_kinds import KINDS
from vrmatte.deliverables.decide import source_view
from vrmatte.errors import ConfigError, DamagedInputError
from vrmatte.files import make_folder
from vrmatte.frames import Matte, PlanarFrame, Rgb, Timeline
from vrmatte.matting.build import build_matting, sized_paths, whole_sphere
from vrmatte.matting.engines.choose import choose_engine, load_engine
from vrmatte.media.damage import read_timeline
from vrmatte.media.decode import decode_after_seek, read_frames
from vrmatte.media.planes import to_planar
from vrmatte.media.probe import SourceInfo
from vrmatte.media.scan import fingerprint, origin_pts
from vrmatte.media.source import open_source
from vrmatte.people.detect import detect_stereo
from vrmatte.people.document import rounded
from vrmatte.people.select import chosen, kind_of
from vrmatte.people.track import CONTINUES_FROM
from vrmatte.people.yolox import open_detector
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.scout import load_or_scout
from vrmatte.settings.config import Config
from vrmatte.sheets.picture import write_png
from vrmatte.sheets.preview_sheet import PreviewFrame, preview_sheet
from vrmatte.sheets.video_people import sheet_frame
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.stereo.lenses import align, matches_in
from vrmatte.subjects import WHOLE_EYES, People, Person, Shot, SourceIdentity, Subjects, TimedBox

_MOST_EYE_PX = 640
"""Width of an eye in the picture; four of them make 2560 pixels."""
_DEFAULT_RATE = Fraction(30)


@dataclass(frozen=True, slots=True)
class Previewed:
    """Result of matting one frame, and the picture that shows it."""

    picture: Path
    at_seconds: float
    """Time of the frame, the first at or after the time asked for."""
    people: People
    engine: str
    findings: tuple[StereoFinding, ...]
    """Stereo agreement, person by person."""
    covered: float
    """Mean alpha, as a share of the frame."""
    seconds: float
    """Wall time."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """One frame of a source, and the people in it."""

    frame: PlanarFrame
    index: int
    """Number of the frame in the timeline of the people's document."""
    at_seconds: float
    people: People


def preview_frame(
    video: Path | str,
    at_seconds: float,
    picture: Path | str,
    config: Config | None = None,
    observer: Observer = ignore,
) -> Previewed:
    """Matte a single frame and write a picture of it.

    People are detected in that frame alone, unless `people.file` names a document; the network
    settles on that frame. Only the neighbourhood of the frame is read, so the length of the video
    doesn't matter.

    Args:
        video: side-by-side half-equirectangular or fisheye video.
        at_seconds: time of the frame; the first frame at or after it is used.
        picture: PNG file to write.
        config: settings of a run; defaults where None.
        observer: receives notices.

    Raises:
        VrmatteError: see `vrmatte.errors` for the subclasses and their exit codes.
    """
    began = time.monotonic()
    video, picture, config = Path(video), Path(picture), config or Config()
    source = open_source(video, config.input)
    choice = choose_engine(config, observer)
    moment = _moment(source, at_seconds, config, observer)
    findings: list[StereoFinding] = []
    subjects = _subjects(source, moment.people, config, observer)
    engine = load_engine(choice, config, observer)
    paths = None
    if subjects.viewports is not None:
        paths = sized_paths(subjects.viewports, config, source.eye_projection)
    matting = build_matting(
        engine, paths, config, source.eye_projection, subjects, on_finding=findings.append
    )
    matte = matting.matte(moment.index, moment.frame)
    make_folder(picture.parent)
    write_png(_sheet(source, moment, matte, config), picture)
    covered = float(np.mean(matte)) / 255
    taken = round(time.monotonic() - began, 3)
    return Previewed(
        picture,
        moment.at_seconds,
        moment.people,
        choice.name,
        tuple(findings),
        round(covered, 5),
        taken,
    )


def _moment(source: SourceInfo, at_seconds: float, config: Config, observer: Observer) -> _Moment:
    if config.people.file is None:
        frame = _frame_at(source, at_seconds)
        people = _people_in(frame, source, config, observer)
        return _Moment(frame, 0, _seconds_of(source, frame), people)
    timeline = read_timeline(source, config.input.on_damage, observer)
    index = _index_at(source, timeline, at_seconds)
    identity = fingerprint(source.path)
    people = load_or_scout(config.people.file, source, identity, timeline, config, observer)
    with closing(read_frames(source, timeline, index, index + 1)) as frames:
        return _Moment(next(frames), index, timeline.seconds(index), people)


def _seconds_of(source: SourceInfo, frame: PlanarFrame) -> float:
    begin = origin_pts(source, source.start_seconds)
    return float((frame.pts - begin) * source.time_base)


def _index_at(source: SourceInfo, timeline: Timeline, at_seconds: float) -> int:
    index = timeline.index_at(at_seconds)
    if index == len(timeline):
        raise _too_late(source, at_seconds, timeline.seconds(index - 1))
    return index


def _frame_at(source: SourceInfo, at_seconds: float) -> PlanarFrame:
    """Return the first frame at or after a time, decoded from the key frame before it.

    Raises:
        ConfigError: the video ends before that time.
        DamagedInputError: no frame can be decoded there.
    """
    begin = origin_pts(source, source.start_seconds)
    wanted = begin + round(Fraction(at_seconds) / source.time_base)
    last: int | None = None
    # MPEG-TS has no index, and seeking in a short one may miss every key frame.
    for seek, tolerant in ((wanted, False), (wanted, True), (None, True)):
        with closing(decode_after_seek(source, seek, tolerant=tolerant)) as frames:
            for frame in frames:
                is_whole = (frame.width, frame.height) == (source.width, source.height)
                if frame.pts is None or not is_whole or frame.is_corrupt:
                    continue
                last = frame.pts
                if last >= wanted:
                    return to_planar(frame, source.layout, source.color)
    if last is None:
        raise DamagedInputError(
            f"{source.path}: no frame can be decoded at {at_seconds:g} s; choose another --at, "
            "or copy the file again"
        )
    raise _too_late(source, at_seconds, float((last - begin) * source.time_base))


def _too_late(source: SourceInfo, at_seconds: float, last_seconds: float) -> ConfigError:
    return ConfigError(
        f"--at {at_seconds:g}: the last frame of {source.path} is at {last_seconds:.3f} s; choose "
        "an earlier time"
    )


def _people_in(
    frame: PlanarFrame, source: SourceInfo, config: Config, observer: Observer
) -> People:
    """Return the people in a frame, as a document of that frame alone."""
    eye = source.eye_projection
    rate = source.average_rate or _DEFAULT_RATE
    identity = SourceIdentity("", 1, source.width, source.height, rate)
    nobody = People(identity, (Shot(0, 1),), (), ())
    if config.processing.projection != "viewport":
        return nobody
    detector = open_detector(config, observer)
    if detector is None:
        return nobody
    threshold = config.detection.confidence_threshold
    detections = detect_stereo(frame, detector, threshold, CONTINUES_FROM, projection=eye)
    people: list[Person] = []
    for number, pair in enumerate(detections, 1):
        left, right = (None if e is None else rounded(e.box) for e in (pair.left, pair.right))
        boxes = (TimedBox(0, left, right, round(pair.score, 3)),)
        people.append(Person(number, kind_of(boxes), True, boxes[0].score, boxes))
    lenses = align([matches_in(frame, eye)])
    whole = People(identity, nobody.shots, tuple(people), (), lenses=lenses)
    return chosen(whole, config.people.viewer_body, derive_viewports=True)


def _subjects(source: SourceInfo, people: People, config: Config, observer: Observer) -> Subjects:
    projection = config.processing.projection
    if projection == "half_equirect":
        return WHOLE_EYES
    if projection != "viewport":
        return Subjects(whole_sphere(people.source.frames, projection))
    if people.people or people.viewports:
        return Subjects.of(people)
    observer(
        Notice(
            f"{source.path}: no people were detected in this frame, so whole eyes are matted; if "
            "there are people, lower detection.confidence_threshold"
        )
    )
    return WHOLE_EYES


def _sheet(source: SourceInfo, moment: _Moment, matte: Matte, config: Config) -> Rgb:
    prepared = Preparation(source_view(source, config), config)(moment.frame, matte)
    people = moment.frame
    if config.output.foreground.estimate in KINDS["greenscreen"].foreground:
        people = prepared.decontaminated
    grounds = (
        GreenScreen(colour, source.layout, source.color).compose(people, prepared.matte)
        for colour in (config.output.background_color, (0, 0, 0))
    )
    overview = sheet_frame(moment.index, moment.frame, moment.at_seconds, moment.people)
    overview = replace(overview, title=f"people and viewports, at {moment.at_seconds:.3f} s")
    eye_px = min(source.height, _MOST_EYE_PX)
    shown = PreviewFrame(overview, prepared.matte, *grounds)
    return preview_sheet(shown, eye_px, source.eye_projection)
