"""`vrmatte scout`: find the people of a video; write people.json and a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vrmatte.files import make_folder
from vrmatte.jobs.job_folder import reachable_output
from vrmatte.media.damage import read_timeline
from vrmatte.media.naming import check_video_name
from vrmatte.media.scan import fingerprint
from vrmatte.media.source import open_source
from vrmatte.progress import Observer, ignore
from vrmatte.scout import load_or_scout, people_file
from vrmatte.settings.config import Config
from vrmatte.sheets.video_people import draw_people
from vrmatte.subjects import People


@dataclass(frozen=True, slots=True)
class Scouted:
    """People of a video, and the files that show them."""

    people: People
    """As a run uses them; `keep` is False for people whose matte is removed."""
    document: Path
    sheet: Path
    px_per_deg: float
    """Resolution of the source's eyes."""


def scout_video(
    video: Path | str, output: Path | str, config: Config | None = None, observer: Observer = ignore
) -> Scouted:
    """Find the people of a video, or read their edited document, and draw a contact sheet.

    Args:
        video: side-by-side half-equirectangular or fisheye video.
        output: directory for the document and the sheet; created if missing.
        config: settings; defaults where None.
        observer: receives progress events and notices.

    Raises:
        VrmatteError: see `vrmatte.errors` for the subclasses and their exit codes.
    """
    video, config = Path(video), config or Config()
    check_video_name(video)
    output = reachable_output(Path(output), video.stem)
    source = open_source(video, config.input)
    make_folder(output)
    timeline = read_timeline(source, config.input.on_damage, observer)
    document = config.people.file or people_file(video, output)
    people = load_or_scout(document, source, fingerprint(video), timeline, config, observer)
    sheet = draw_people(source, timeline, people, output)
    return Scouted(people, document, sheet, source.eye_projection.px_per_deg)
