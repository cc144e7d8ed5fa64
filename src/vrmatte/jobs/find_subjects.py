"""The subjects of a run: from people.json, which is scouted if missing, or whole eyes."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

from vrmatte.frames import Eye, Timeline
from vrmatte.geometry.person_boxes import (
    Bounds,
    ExcludedRegion,
    HandPrompt,
    PersonBoxes,
    SpherePoint,
)
from vrmatte.geometry.person_scores import PersonScores
from vrmatte.matting.build import whole_sphere
from vrmatte.media.probe import SourceInfo
from vrmatte.plan import WHOLE_EYES, Subjects
from vrmatte.progress import Notice, Observer
from vrmatte.scout import load_or_scout, people_file
from vrmatte.settings.config import Config
from vrmatte.sheets.video_people import draw_people
from vrmatte.subjects import People, Person

LINGER_SECONDS = 0.25
"""Time before and after their boxes in which excluded people are kept out: a scout finds the first
and last frame to a tenth of a second, and misses people who are partly out of view."""


def find_subjects(
    output: Path,
    source: SourceInfo,
    fingerprint: str,
    timeline: Timeline,
    config: Config,
    observer: Observer,
) -> Subjects:
    """Find the subjects to matte, as set by `processing.projection`.

    Args:
        output: folder of people.json.
        source: the video.
        fingerprint: its identity.
        timeline: all its frames.
        config: for projection, detector and people.
        observer: receives progress and notices.

    Raises:
        ConfigError: people.json can't be used, or belongs to another video.
    """
    projection = config.processing.projection
    if projection == "half_equirect":
        return WHOLE_EYES
    if projection != "viewport":
        return Subjects(whole_sphere(len(timeline), projection))
    path = config.people.file or people_file(source.path, output)
    people = load_or_scout(path, source, fingerprint, timeline, config, observer)
    if not path.exists():  # there is no detector, which was reported
        return WHOLE_EYES
    if config.debugging.save_detection_visualization:
        draw_people(source, timeline, people, output)
    if not people.people and not people.viewports:
        observer(
            Notice(
                "nobody was found, so whole eyes are matted: slower and less exact. If there "
                f"are people, lower detection.confidence_threshold, or write boxes into {path}"
            )
        )
        return Subjects(None, (), _regions(people), people.lenses)
    return subjects_of(people)


def subjects_of(people: People) -> Subjects:
    """Return the subjects of a document that has a person or a viewport."""
    boxes = tuple(_boxes(person, people) for person in people.people)
    scores = tuple(_scores(person) for person in people.people)
    by_hand = tuple(prompt for person in people.people for prompt in _by_hand(person))
    return Subjects(people.viewports, boxes, _regions(people), people.lenses, scores, by_hand)


def knows_subjects(output: Path, source: SourceInfo, config: Config) -> bool:
    """Report whether `find_subjects` needs no detector."""
    if config.processing.projection != "viewport":
        return True
    return (config.people.file or people_file(source.path, output)).exists()


def _boxes(person: Person, people: People) -> PersonBoxes:
    def seen_by(eye: Eye) -> tuple[Bounds | None, ...]:
        return tuple(
            None if (box := timed.eye(eye)) is None else Bounds(*astuple(box))
            for timed in person.boxes
        )

    boxes = PersonBoxes(
        id=person.id,
        keep=person.keep,
        first=person.first,
        last=person.last,
        frames=tuple(timed.frame for timed in person.boxes),
        left=seen_by(Eye.LEFT),
        right=seen_by(Eye.RIGHT),
    )
    if person.keep:
        return boxes
    shot = next(s for s in people.shots if s.first <= person.first < s.last)
    return boxes.widened(round(LINGER_SECONDS * people.source.rate), shot.first, shot.last)


def _by_hand(person: Person) -> list[HandPrompt]:
    """Return the prompts of frames with points or with boxes of score 1, which users write."""
    points: dict[int, list[SpherePoint]] = {
        timed.frame: [] for timed in person.boxes if timed.score == 1
    }
    for point in person.points:
        at = SpherePoint(point.eye, point.yaw_deg, point.pitch_deg, point.is_person)
        points.setdefault(point.frame, []).append(at)
    return [HandPrompt(person.id, frame, tuple(points[frame])) for frame in sorted(points)]


def _scores(person: Person) -> PersonScores:
    return PersonScores(
        person.id,
        tuple(timed.frame for timed in person.boxes),
        tuple(timed.score for timed in person.boxes),
    )


def _regions(people: People) -> tuple[ExcludedRegion, ...]:
    return tuple(
        ExcludedRegion(Bounds(*astuple(region.box)), "both", region.first, region.last)
        for region in people.exclude_regions
    )
