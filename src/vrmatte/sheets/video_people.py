"""The contact sheet of a video's people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrmatte.frames import EYES, Eye, PlanarFrame, Timeline
from vrmatte.media.probe import SourceInfo
from vrmatte.media.samples import key_frames, read_at
from vrmatte.people.viewports import people_of
from vrmatte.scout import people_file
from vrmatte.sheets.people_sheet import BoxMark, SheetFrame, people_sheet
from vrmatte.sheets.picture import write_png
from vrmatte.subjects import People

_MOST_FRAMES = 6


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
        box = person.seen_box_at(index, eye)
        if box is not None:
            yaw = box.yaw_min_deg, box.yaw_max_deg
            pitch = box.pitch_min_deg, box.pitch_max_deg
            marks.append(BoxMark(person.id, yaw, pitch, person.keep))
    return marks
