"""Reading of people.json after users have edited it; errors name the key that is wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal, NoReturn, TypeVar, cast

from vrmatte.errors import ConfigError, one_line
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import Turn, ViewportPath, ViewProjection
from vrmatte.subjects import (
    VERSION,
    ExcludedRegion,
    LensAlignment,
    People,
    Person,
    PersonKind,
    Shot,
    SourceIdentity,
    TimedBox,
    TimedPoint,
)

MAX_BYTES = 64_000_000
_MAX_ITEMS = 1_000_000
_MAX_LISTS = 2_000_000
"""Most lists and objects in total; empty ones take twenty times their size in memory."""
_MOST_LENS_TURN_DEG = 10
_RATE = re.compile(r"[0-9]{1,30}(/0{0,9}[1-9][0-9]{0,29}|\.[0-9]{1,30})?")
"""`Fraction` also accepts "1e999999999", whose digits would fill the memory."""
_LONGEST_ERROR = 300

_T = TypeVar("_T")


def read_people(path: Path) -> tuple[People, bool]:
    """Read a document; the second value is True if it lists viewports.

    Raises:
        ConfigError: the file can't be read, or does not follow docs/people.md.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1_000_000} MB")
        if data.count(b"[") + data.count(b"{") > _MAX_LISTS:
            raise ConfigError(f"{path}: holds more than {_MAX_LISTS} lists and objects")
        value: object = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse
        )
        return _people(_Place(value, ""))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        text = _shown(str(error)) or "nested too deep"
        raise ConfigError(f"{path}: {text}. See docs/people.md, or scout again") from error


class _Place:
    """A value of the document and the path of its key."""

    def __init__(self, value: object, key: str) -> None:
        self.value, self.key = value, key

    def wrong(self, wanted: str) -> NoReturn:
        shown = json.dumps(self.value, default=str)
        shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
        raise ValueError(f"{self.key or 'the file'} must be {wanted}, not {shown}")

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, _Place]:
        if not isinstance(self.value, dict):
            self.wrong(f"an object with {', '.join(required)}")
        found = cast(Mapping[str, object], self.value)
        inside = f"{self.key}." if self.key else ""
        for name in found:
            if name not in (*required, *optional):
                raise ValueError(
                    f"{inside}{name} is unknown; known are {', '.join((*required, *optional))}"
                )
        for name in required:
            if name not in found:
                raise ValueError(f"{inside}{name} is missing")
        return {name: _Place(item, inside + name) for name, item in found.items()}

    def each(self, read: Callable[[_Place], _T]) -> tuple[_T, ...]:
        if not isinstance(self.value, list):
            self.wrong("a list")
        items = cast(list[object], self.value)
        if len(items) > _MAX_ITEMS:
            raise ValueError(f"{self.key} has {len(items)} items, more than {_MAX_ITEMS}")
        return tuple(read(_Place(item, f"{self.key}[{i}]")) for i, item in enumerate(items))

    def whole(self, low: int, high: int) -> int:
        if type(self.value) is not int or not low <= self.value <= high:
            self.wrong(f"a whole number from {low} to {high}")
        return self.value

    def number(self, low: float, high: float) -> float:
        if type(self.value) not in (int, float):
            self.wrong(f"a number from {low:g} to {high:g}")
        value = cast(float, self.value)
        if not low <= value <= high:
            self.wrong(f"a number from {low:g} to {high:g}")
        return float(value)

    def text(self) -> str:
        text = self.value
        if not isinstance(text, str) or not text.strip() or len(text) > 200:
            self.wrong("a text of 1 to 200 characters")
        if not text.isprintable():  # includes lone surrogates, which no file can store
            self.wrong("plain text without control characters")
        return text

    def one_of(self, choices: Sequence[str]) -> str:
        if self.value not in choices:
            self.wrong(" or ".join(f'"{choice}"' for choice in choices))
        return cast(str, self.value)

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            self.wrong("true or false")
        return self.value


def _people(root: _Place) -> tuple[People, bool]:
    fields = root.fields(
        ("version", "source", "shots", "people"), ("exclude_regions", "viewports", "lenses")
    )
    if fields["version"].value != VERSION:
        fields["version"].wrong(f"{VERSION}, the only version known")
    source = _source(fields["source"])
    frames = source.frames
    shots = fields["shots"].each(
        lambda place: Shot(*_span(place.fields(("first", "last")), frames))
    )
    _check_shots(shots, frames)
    people = fields["people"].each(lambda place: _person(place, frames))
    _check_unique("people", "id", [person.id for person in people])
    empty = _Place([], "")
    regions = fields.get("exclude_regions", empty).each(lambda place: _region(place, frames))
    viewports = fields.get("viewports", empty).each(lambda place: _viewport(place, frames))
    _check_unique("viewports", "name", [path.name for path in viewports])
    lenses = _lenses(fields["lenses"]) if "lenses" in fields else None
    return People(source, shots, people, viewports, regions, lenses), "viewports" in fields


def _source(place: _Place) -> SourceIdentity:
    fields = place.fields(("fingerprint", "frames", "width", "height", "rate"))
    rate_text = fields["rate"].text()
    if not _RATE.fullmatch(rate_text):
        fields["rate"].wrong('frames per second as text, like "30000/1001"')
    rate = Fraction(rate_text)
    if rate <= 0:
        fields["rate"].wrong("above 0")
    return SourceIdentity(
        fields["fingerprint"].text(),
        fields["frames"].whole(1, 2**31),
        fields["width"].whole(2, 2**16),
        fields["height"].whole(2, 2**16),
        rate,
    )


def _lenses(place: _Place) -> LensAlignment | None:
    if place.value is None:
        return None
    measured = ("row_error", "corrected_row_error")
    fields = place.fields(
        ("roll", "pitch", "toe_in"), ("correct", "rows_agree", *measured, "matches")
    )
    roll, pitch, toe_in = (
        fields[name].number(-_MOST_LENS_TURN_DEG, _MOST_LENS_TURN_DEG)
        for name in ("roll", "pitch", "toe_in")
    )
    before, after = (fields[name].number(0, 2**16) if name in fields else 0.0 for name in measured)
    return LensAlignment(
        roll,
        pitch,
        toe_in,
        needs_correction=fields["correct"].truth() if "correct" in fields else True,
        rows_agree=fields["rows_agree"].truth() if "rows_agree" in fields else True,
        row_error_px=before,
        corrected_row_error_px=after,
        matches=fields["matches"].whole(0, 2**31) if "matches" in fields else 0,
    )


def _person(place: _Place, frames: int) -> Person:
    fields = place.fields(("id", "boxes"), ("kind", "keep", "confidence", "points"))
    boxes = fields["boxes"].each(lambda box: _timed_box(box, frames))
    if not boxes:
        fields["boxes"].wrong("a list of at least one box")
    for number, (one, following) in enumerate(pairwise(boxes)):
        if following.frame <= one.frame:
            raise ValueError(
                f"{fields['boxes'].key}[{number + 1}].frame must come after {one.frame}, "
                f"not be {following.frame}"
            )
    kinds: tuple[Literal["person"], Literal["viewer_body"]] = ("person", "viewer_body")
    return Person(
        id=fields["id"].whole(1, 2**31),
        kind=cast(PersonKind, fields["kind"].one_of(kinds)) if "kind" in fields else "person",
        keep=fields["keep"].truth() if "keep" in fields else True,
        confidence=fields["confidence"].number(0, 1) if "confidence" in fields else 1.0,
        boxes=boxes,
        points=fields["points"].each(lambda point: _timed_point(point, frames))
        if "points" in fields
        else (),
    )


def _timed_box(place: _Place, frames: int) -> TimedBox:
    fields = place.fields(("frame",), ("left", "right", "score"))
    eyes = [
        _box(fields[eye]) if eye in fields and fields[eye].value is not None else None
        for eye in ("left", "right")
    ]
    if eyes == [None, None]:
        raise ValueError(f"{place.key} must have left, right or both")
    score = fields["score"].number(0, 1) if "score" in fields else 1.0
    return TimedBox(fields["frame"].whole(0, frames - 1), eyes[0], eyes[1], score)


def _timed_point(place: _Place, frames: int) -> TimedPoint:
    fields = place.fields(("frame", "eye", "at"), ("is_person",))
    at = fields["at"].each(lambda angle: angle.number(-90, 90))
    if len(at) != 2:
        fields["at"].wrong("[yaw, pitch] in degrees")
    eyes: tuple[Literal["left"], Literal["right"]] = ("left", "right")
    return TimedPoint(
        fields["frame"].whole(0, frames - 1),
        cast(Literal["left", "right"], fields["eye"].one_of(eyes)),
        *at,
        is_person=fields["is_person"].truth() if "is_person" in fields else True,
    )


def _box(place: _Place) -> AngularBox:
    sides = place.each(lambda side: side.number(-90, 90))
    if len(sides) != 4 or sides[0] >= sides[1] or sides[2] >= sides[3]:
        place.wrong("[yaw from, yaw to, pitch from, pitch to] in degrees, rising")
    return AngularBox(*sides)


def _region(place: _Place, frames: int) -> ExcludedRegion:
    fields = place.fields(("first", "last", "box"))
    return ExcludedRegion(*_span(fields, frames), _box(fields["box"]))


def _viewport(place: _Place, frames: int) -> ViewportPath:
    fields = place.fields(("name", "first", "last", "fov", "turns"), ("projection",))
    projection: ViewProjection = "perspective"
    if "projection" in fields:
        projection = cast(
            ViewProjection, fields["projection"].one_of(("perspective", "stereographic"))
        )
    most_deg = 160 if projection == "perspective" else 300
    fov = fields["fov"].each(lambda side: side.number(5, most_deg))
    if len(fov) != 2:
        fields["fov"].wrong("[horizontal, vertical] in degrees")
    turns = fields["turns"].each(lambda turn: _turn(turn, frames))
    if projection != "perspective" and len(turns) > 1:
        raise ValueError(f"{fields['turns'].key}: only a perspective viewport can turn")
    first, last = _span(fields, frames)
    if turns and turns[-1].frame >= last:
        raise ValueError(f"{fields['turns'].key}: no turn may come at frame {last} or later")
    try:
        return ViewportPath(fields["name"].text(), first, last, *fov, turns, projection)
    except ValueError as error:
        raise ValueError(f"{place.key}: {error}") from error


def _turn(place: _Place, frames: int) -> Turn:
    fields = place.fields(("frame", "yaw", "pitch"))
    return Turn(
        fields["frame"].whole(0, frames - 1),
        fields["yaw"].number(-180, 180),
        fields["pitch"].number(-90, 90),
    )


def _span(fields: Mapping[str, _Place], frames: int) -> tuple[int, int]:
    first = fields["first"].whole(0, frames - 1)
    return first, fields["last"].whole(first + 1, frames)


def _check_shots(shots: Sequence[Shot], frames: int) -> None:
    at = 0
    for number, shot in enumerate(shots):
        if shot.first != at:
            raise ValueError(f"shots[{number}].first must be {at}, where the shot before ends")
        at = shot.last
    if at != frames:
        raise ValueError(f"shots must end at frame {frames}, not {at}")


def _check_unique(key: str, name: str, values: Sequence[object]) -> None:
    seen: set[object] = set()
    for number, value in enumerate(values):
        if value in seen:
            raise ValueError(f"{key}[{number}].{name} {value!r} is there twice")
        seen.add(value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        again = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {again!r} is there twice")
    return result


def _shown(text: str) -> str:
    """Return an error on one line of limited length, whatever keys and values it quotes."""
    plain = one_line(text[:_LONGEST_ERROR])
    return plain if len(text) <= _LONGEST_ERROR else f"{plain}..."


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number here")
