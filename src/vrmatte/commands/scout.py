"""Scouts a video without matting it: writes people.json and a contact sheet to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vrmatte.errors import output_error
from vrmatte.jobs.job_folder import reachable_output
from vrmatte.media.damage import read_timeline
from vrmatte.media.scan import fingerprint
from vrmatte.media.source import open_source
from vrmatte.progress import Observer, ignore
from vrmatte.scout import load_or_scout, people_file
from vrmatte.settings.config import Config
from vrmatte.sheets.video_people import draw_people
from vrmatte.subjects import People


@dataclass(frozen=True, slots=True)
class Scouted:
    """What scouting found and where it lies."""

    people: People
    """As a run uses them: who isn't kept is marked so."""
    document: Path
    sheet: Path
    px_per_deg: float
    """Density of the source's eyes."""


def scout_video(
    video: Path | str, output: Path | str, config: Config | None = None, observer: Observer = ignore
) -> Scouted:
    """Find the people of a video, or read an edited document of them, and draw both.

    Args:
        video: side-by-side half-equirectangular or fisheye video.
        output: directory for the document and the sheet; made when missing.
        config: settings; defaults where None.
        observer: receives progress events and notices.

    Raises:
        VrmatteError: see `vrmatte.errors` for the tree and the exit codes.
    """
    video, config = Path(video), config or Config()
    output = reachable_output(Path(output), video.stem)
    source = open_source(video, config.input)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, output) from error
    timeline = read_timeline(source, config.input.on_damage, observer)
    document = config.people.file or people_file(video, output)
    people = load_or_scout(document, source, fingerprint(video), timeline, config, observer)
    sheet = draw_people(source, timeline, people, output)
    return Scouted(people, document, sheet, source.eye_projection.px_per_deg)
