"""Scouts a video without matting it: writes people.json and a contact sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vrmatte.config import Config
from vrmatte.errors import output_error
from vrmatte.frames import EYES, Eye, PlanarFrame, Timeline
from vrmatte.media.damage import read_timeline
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.samples import key_frames, read_at
from vrmatte.media.scan import fingerprint
from vrmatte.people.document import People
from vrmatte.people.viewports import people_of
from vrmatte.plan import check_source
from vrmatte.progress import Observer, ignore
from vrmatte.quality.people_sheet import BoxMark, SheetFrame, people_sheet
from vrmatte.quality.picture import write_png
from vrmatte.scout import load_or_scout, people_file

_MOST_FRAMES = 6


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
    video, output, config = Path(video), Path(output), config or Config()
    told = config.input
    source = probe(video, layout=told.layout, projection=told.projection, lens=told.lens)
    check_source(source)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, output) from error
    timeline = read_timeline(source, told.on_damage, observer)
    document = config.people.file or people_file(video, output)
    people = load_or_scout(document, source, fingerprint(video), timeline, config, observer)
    sheet = draw_people(source, timeline, people, output)
    return Scouted(people, document, sheet, source.eye_projection.px_per_deg)


def draw_people(source: SourceInfo, timeline: Timeline, people: People, output: Path) -> Path:
    """Write the contact sheet of a video's people beside their document; returns its path."""
    sheet = output / f"{people_file(source.path, output).stem}.png"
    frames = _sheet_frames(source, timeline, people)
    write_png(people_sheet(frames, projection=source.eye_projection), sheet)
    return sheet


def _sheet_frames(source: SourceInfo, timeline: Timeline, people: People) -> list[SheetFrame]:
    places = telling_frames(people)
    frames = read_at(source, timeline, places, key_frames(source, timeline))
    return [sheet_frame(index, frame, timeline.seconds(index), people) for index, frame in frames]


def telling_frames(people: People) -> list[int]:
    """A few frames that show everybody: where each person is in mid-appearance, then even ones."""
    frames = people.source.frames
    middles = [(person.first + person.last) // 2 for person in people.people]
    even = [round((i + 0.5) * frames / _MOST_FRAMES) for i in range(_MOST_FRAMES)]
    chosen: list[int] = []
    for frame in [*middles, *even]:
        apart = min((abs(frame - other) for other in chosen), default=frames)
        if len(chosen) < _MOST_FRAMES and apart > frames // (3 * _MOST_FRAMES):
            chosen.append(min(frame, frames - 1))
    return sorted(chosen)


def sheet_frame(index: int, frame: PlanarFrame, seconds: float, people: People) -> SheetFrame:
    """A frame of the sheet, with the boxes and viewports that a document has there."""
    viewports = [
        (min(people_of(path), default=number), path.at(index))
        for number, path in enumerate(people.viewports, 1)
        if path.is_open(index)
    ]
    boxes = {eye: _marks(index, eye, people) for eye in EYES}
    return SheetFrame(f"frame {index}, {seconds:.2f} s", frame, boxes, viewports)


def _marks(index: int, eye: Eye, people: People) -> Sequence[BoxMark]:
    marks: list[BoxMark] = []
    for person in people.people:
        box = person.box_at(index, eye)
        if box is not None:
            yaw = box.yaw_min_deg, box.yaw_max_deg
            pitch = box.pitch_min_deg, box.pitch_max_deg
            marks.append(BoxMark(person.id, yaw, pitch, person.keep))
    return marks
