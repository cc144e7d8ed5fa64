"""Writing of people.json, which the scout creates and users edit.

`read_document.py` reads it back. The format is described in docs/people.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from vrmatte.errors import output_error
from vrmatte.files import replace_text
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import ViewportPath
from vrmatte.subjects import (
    ExcludedRegion,
    LensAlignment,
    People,
    Person,
    SourceIdentity,
    TimedBox,
    TimedPoint,
)


def write_people(people: People, path: Path) -> None:
    """Write the document atomically, creating its folder if necessary.

    Raises:
        OutputError: it can't be written.
        DiskFullError: no space is left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, path) from error
    replace_text(path, as_json(people))


def as_json(people: People) -> str:
    """Return the document as text: one box, turn or shot per line, angles to 0.01 degrees."""
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
    """Return the box rounded as in the document."""
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
    """Return a list with one item per line."""
    text = ",\n".join(f"{indent} {item}" for item in items)
    return f"[\n{text}\n{indent}]" if text else "[]"
