"""The subjects of a run: from people.json, which is scouted if missing, or whole eyes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vrmatte.frames import Timeline
from vrmatte.matting.build import whole_sphere
from vrmatte.media.probe import SourceInfo
from vrmatte.progress import Notice, Observer
from vrmatte.scout import load_or_scout, people_file
from vrmatte.settings.config import Config
from vrmatte.sheets.video_people import draw_people
from vrmatte.subjects import WHOLE_EYES, Subjects


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
        return replace(Subjects.of(people), viewports=None)
    return Subjects.of(people)


def knows_subjects(output: Path, source: SourceInfo, config: Config) -> bool:
    """Report whether `find_subjects` needs no detector."""
    if config.processing.projection != "viewport":
        return True
    return (config.people.file or people_file(source.path, output)).exists()
