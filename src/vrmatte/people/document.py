"""people.json: who is in a video, where, and what becomes of them; made by scout, edited by hand.

The values are here, and how they are written; `read_document.py` reads them back. The format is
told in docs/people.md.
"""

from __future__ import annotations

import json
import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

from vrmatte.errors import output_error
from vrmatte.frames import Eye
from vrmatte.geometry.viewport_path import ViewportPath
from vrmatte.people.sphere import AngularBox
from vrmatte.stereo.lenses import LensAlignment

VERSION = 1
PersonKind = Literal["person", "viewer_body"]


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which video a document speaks of."""

    fingerprint: str
    """Of the content, as of `media.scan.fingerprint`."""
    frames: int
    width: int
    height: int
    rate: Fraction
    """Frames per second on average; for people, frame numbers count."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames first..last-1 between two cuts."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TimedBox:
    """Where a person is in one frame; None in an eye that doesn't see them."""

    frame: int
    left: AngularBox | None
    right: AngularBox | None
    score: float
    """How surely this is a person, 0..1; of boxes drawn by hand 1."""

    def eye(self, eye: Eye) -> AngularBox | None:
        """The box in one eye."""
        return self.left if eye is Eye.LEFT else self.right

    @property
    def boxes(self) -> list[AngularBox]:
        """The boxes there are."""
        return [box for box in (self.left, self.right) if box is not None]


@dataclass(frozen=True, slots=True)
class TimedPoint:
    """A place that shows a person, or doesn't, as somebody said by hand."""

    frame: int
    eye: Literal["left", "right"]
    yaw_deg: float
    pitch_deg: float
    is_person: bool


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one shot, from the frame of the first box to that of the last."""

    id: int
    kind: PersonKind
    keep: bool
    """Whether the person belongs in the matte."""
    confidence: float
    """How surely it is a person, 0..1."""
    boxes: tuple[TimedBox, ...]
    """Rising frames; between two of them the person moves evenly."""
    points: tuple[TimedPoint, ...] = ()
    """For engines that follow whom they are pointed at."""

    @property
    def first(self) -> int:
        """The first frame that shows the person."""
        return self.boxes[0].frame

    @property
    def last(self) -> int:
        """One past the last frame that shows the person."""
        return self.boxes[-1].frame + 1

    def box_at(self, frame: int, eye: Eye) -> AngularBox | None:
        """Where one eye sees the person in any frame; None while it doesn't."""
        if not self.first <= frame < self.last:
            return None
        at = bisect_left(self.boxes, frame, key=lambda box: box.frame)
        later = next((box for box in islice(self.boxes, at, None) if box.eye(eye)), None)
        if later is None:
            return None
        after = later.eye(eye)
        if later.frame == frame:
            return after
        before = next((i for i in range(at - 1, -1, -1) if self.boxes[i].eye(eye)), None)
        if before is None:
            return None
        earlier = self.boxes[before]
        share = (frame - earlier.frame) / (later.frame - earlier.frame)
        a, b = earlier.eye(eye), after
        assert a is not None
        assert b is not None
        return AngularBox(
            *((1 - share) * x + share * y for x, y in zip(astuple(a), astuple(b), strict=True))
        )


@dataclass(frozen=True, slots=True)
class ExcludedRegion:
    """What lies here in frames first..last-1 leaves the matte, in both eyes."""

    first: int
    last: int
    box: AngularBox


@dataclass(frozen=True, slots=True)
class People:
    """All that people.json holds."""

    source: SourceIdentity
    shots: tuple[Shot, ...]
    """All frames of the video, without gaps."""
    people: tuple[Person, ...]
    viewports: tuple[ViewportPath, ...]
    exclude_regions: tuple[ExcludedRegion, ...] = ()
    lenses: LensAlignment | None = None
    """How the right lens stands to the left; None: not known, so rows are taken as they are."""
    version: int = VERSION


def write_people(people: People, path: Path) -> None:
    """Write the document; an earlier one is replaced at once or not at all.

    Raises:
        OutputError: it can't be written.
        DiskFullError: there is no space.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = file.name
            file.write(as_json(people))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise output_error(error, path) from error


def as_json(people: People) -> str:
    """The document as text: one box, turn or shot a line, angles to a hundredth of a degree."""
    source = people.source
    lenses = [f'"lenses": {_flat(_lenses(people.lenses))}'] if people.lenses else []
    parts = [
        f'"version": {people.version}',
        f'"source": {_flat(_source(source))}',
        *lenses,
        f'"shots": {_lines(_flat({"first": s.first, "last": s.last}) for s in people.shots)}',
        f'"people": {_lines(_person(person) for person in people.people)}',
        f'"exclude_regions": {_lines(_region(region) for region in people.exclude_regions)}',
        f'"viewports": {_lines(_viewport(path) for path in people.viewports)}',
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def rounded(box: AngularBox) -> AngularBox:
    """The box as the document holds it."""
    return AngularBox(*map(_angle, astuple(box)))


def _source(source: SourceIdentity) -> dict[str, object]:
    return {
        "fingerprint": source.fingerprint,
        "frames": source.frames,
        "width": source.width,
        "height": source.height,
        "rate": str(source.rate),
    }


def _lenses(lenses: LensAlignment) -> dict[str, object]:
    # A hundredth of a degree is a tenth of a pixel in an eye of 1536: too coarse here.
    return {
        "correct": lenses.needs_correction,
        "rows_agree": lenses.rows_agree,
        "roll": round(lenses.roll_deg, 3) + 0.0,
        "pitch": round(lenses.pitch_deg, 3) + 0.0,
        "toe_in": round(lenses.toe_in_deg, 3) + 0.0,
        "row_error": round(lenses.row_error_px, 2),
        "corrected_row_error": round(lenses.corrected_row_error_px, 2),
        "matches": lenses.matches,
    }


def _person(person: Person) -> str:
    head = {
        "id": person.id,
        "kind": person.kind,
        "keep": person.keep,
        "confidence": round(person.confidence, 3),
    }
    boxes = _lines((_timed_box(box) for box in person.boxes), indent="  ")
    if not person.points:
        return f'{_flat(head)[:-1]}, "boxes": {boxes}}}'
    points = _lines((_timed_point(point) for point in person.points), indent="  ")
    return f'{_flat(head)[:-1]}, "boxes": {boxes}, "points": {points}}}'


def _timed_box(box: TimedBox) -> str:
    values = {"frame": box.frame, "left": _box(box.left), "right": _box(box.right)}
    return _flat(values | {"score": round(box.score, 3)})


def _timed_point(point: TimedPoint) -> str:
    at = [_angle(point.yaw_deg), _angle(point.pitch_deg)]
    return _flat({"frame": point.frame, "eye": point.eye, "at": at, "is_person": point.is_person})


def _region(region: ExcludedRegion) -> str:
    return _flat({"first": region.first, "last": region.last, "box": _box(region.box)})


def _viewport(path: ViewportPath) -> str:
    head = {
        "name": path.name,
        "first": path.first,
        "last": path.last,
        "projection": path.projection,
        "fov": [_angle(path.hfov_deg), _angle(path.vfov_deg)],
    }
    turns = _lines(
        (
            _flat({"frame": t.frame, "yaw": _angle(t.yaw_deg), "pitch": _angle(t.pitch_deg)})
            for t in path.turns
        ),
        indent="  ",
    )
    return f'{_flat(head)[:-1]}, "turns": {turns}}}'


def _box(box: AngularBox | None) -> list[float] | None:
    return None if box is None else [_angle(side) for side in astuple(box)]


def _angle(angle_deg: float) -> float:
    return round(angle_deg, 2) + 0.0  # no "-0.0"


def _flat(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _lines(items: Iterator[str], indent: str = "") -> str:
    """A list with one item a line."""
    text = ",\n".join(f"{indent} {item}" for item in items)
    return f"[\n{text}\n{indent}]" if text else "[]"
