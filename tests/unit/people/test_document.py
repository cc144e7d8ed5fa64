from __future__ import annotations

import json
import stat
from dataclasses import replace
from fractions import Fraction

import pytest

from vrmatte.errors import ConfigError, OutputError
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.people.document import as_json, write_people
from vrmatte.people.read_document import MAX_BYTES, read_people
from vrmatte.subjects import (
    ExcludedRegion,
    LensAlignment,
    People,
    Person,
    Shot,
    SourceIdentity,
    TimedBox,
    TimedPoint,
)

LEFT, RIGHT = AngularBox(-10.25, 12, -40, 8.5), AngularBox(-12, 10, -40, 8)


def people() -> People:
    return People(
        source=SourceIdentity("abc", 100, 2048, 1024, Fraction(30000, 1001)),
        shots=(Shot(0, 60), Shot(60, 100)),
        people=(
            Person(
                1,
                "person",
                True,
                0.91,
                (TimedBox(0, LEFT, RIGHT, 0.9), TimedBox(20, LEFT.shifted(20), None, 0.875)),
            ),
            Person(7, "viewer_body", False, 0.8, (TimedBox(70, None, RIGHT, 0.8),)),
        ),
        viewports=(
            ViewportPath("person-1", 0, 28, 40.5, 70, (Turn(0, 1.5, -16), Turn(9, 11, -16))),
            ViewportPath("wide", 60, 100, 150, 120, (Turn(60, 0, -70),), "stereographic"),
        ),
        exclude_regions=(ExcludedRegion(0, 50, AngularBox(-90, 90, -90, -60)),),
    )


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "clip_people.json"
    write_people(people(), path)
    return path


def test_round_trip(written):
    assert read_people(written) == (people(), True)


LENSES = LensAlignment(0.251, -0.034, 0.6, True, False, 2.31, 1.07, 812)


def test_lenses_come_back_as_written(tmp_path):
    path = tmp_path / "people.json"
    with_lenses = replace(people(), lenses=LENSES)
    write_people(with_lenses, path)
    assert read_people(path) == (with_lenses, True)
    (line,) = [line for line in path.read_text().splitlines() if '"lenses"' in line]
    assert '"roll": 0.251, "pitch": -0.034, "toe_in": 0.6' in line


POINTS = (TimedPoint(0, "left", 1.5, -10, True), TimedPoint(20, "right", -3, 4.25, False))


def test_points_come_back_as_written(tmp_path):
    path = tmp_path / "people.json"
    first, *others = people().people
    pointed = replace(people(), people=(replace(first, points=POINTS), *others))
    write_people(pointed, path)
    assert read_people(path) == (pointed, True)
    assert '   {"frame": 0, "eye": "left", "at": [1.5, -10.0], "is_person": true},' in (
        path.read_text().splitlines()
    )


def test_documents_without_points_look_as_before(written):
    assert "points" not in written.read_text()


def test_points_show_the_person_unless_told_otherwise(written):
    tree = json.loads(written.read_text())
    tree["people"][0]["points"] = [{"frame": 3, "eye": "left", "at": [0, 5]}]
    written.write_text(json.dumps(tree))
    assert read_people(written)[0].people[0].points == (TimedPoint(3, "left", 0, 5, True),)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"frame": 100, "eye": "left", "at": [0, 5]}, "points[0].frame must be a whole number"),
        ({"frame": 1, "eye": "both", "at": [0, 5]}, 'points[0].eye must be "left" or "right"'),
        ({"frame": 1, "eye": "left", "at": [0]}, "points[0].at must be [yaw, pitch]"),
        ({"frame": 1, "eye": "left", "at": [0, 91]}, "points[0].at[1] must be a number"),
        ({"frame": 1, "eye": "left"}, "points[0].at is missing"),
        ({"frame": 1, "eye": "left", "at": [0, 1], "plus": 1}, "points[0].plus is unknown"),
        ({"frame": 1, "eye": "left", "at": [0, 1], "is_person": 1}, "is_person must be true"),
    ],
)
def test_points_that_dont_fit_are_named(written, point, said):
    tree = json.loads(written.read_text())
    tree["people"][0]["points"] = [point]
    written.write_text(json.dumps(tree))
    with pytest.raises(ConfigError) as error:
        read_people(written)
    assert said in str(error.value)


def test_unknown_lenses_are_left_out_so_that_older_versions_read_the_document(written):
    assert "lenses" not in written.read_text()


def test_lenses_told_by_hand_are_corrected(written):
    tree = json.loads(written.read_text())
    tree["lenses"] = {"roll": 0.5, "pitch": 0, "toe_in": -0.25}
    written.write_text(json.dumps(tree))
    assert read_people(written)[0].lenses == LensAlignment(0.5, 0, -0.25)
    tree["lenses"] |= {"correct": False}
    written.write_text(json.dumps(tree))
    lenses = read_people(written)[0].lenses
    assert lenses is not None
    assert not lenses.needs_correction
    tree["lenses"] = None
    written.write_text(json.dumps(tree))
    assert read_people(written)[0].lenses is None


def test_one_box_a_line(written):
    lines = written.read_text().splitlines()
    assert sum('"left"' in line for line in lines) == 3
    assert (
        '   {"frame": 70, "left": null, "right": [-12.0, 10.0, -40.0, 8.0], "score": 0.8}' in lines
    )


def test_angles_are_written_to_a_hundredth():
    rough = AngularBox(-1.23456, 5, -0.001, 7)
    person = Person(1, "person", True, 0.5, (TimedBox(0, rough, None, 0.5),))
    text = as_json(People(people().source, (Shot(0, 100),), (person,), ()))
    assert '"left": [-1.23, 5.0, 0.0, 7.0]' in text


def test_viewports_may_be_left_out(written):
    tree = json.loads(written.read_text())
    del tree["viewports"], tree["exclude_regions"]
    for person in tree["people"]:
        del person["kind"], person["confidence"], person["keep"]
    del tree["people"][0]["boxes"][0]["score"]
    written.write_text(json.dumps(tree))
    found, has_viewports = read_people(written)
    assert not has_viewports
    assert found.viewports == ()
    assert found.people[0].keep
    assert found.people[0].kind == "person"
    assert found.people[0].boxes[0].score == 1


def _set(tree, path, value):
    *above, last = path
    for key in above:
        tree = tree[key]
    if value is KeyError:
        del tree[last]
    else:
        tree[last] = value


BOX = ("people", 0, "boxes", 0)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("version",), 2, "version must be 1, the only version known, not 2"),
        (("colour",), 1, "colour is unknown"),
        (("shots",), KeyError, "shots is missing"),
        (("source", "rate"), "0", "source.rate must be above 0"),
        (("source", "rate"), "1/0", "source.rate must be frames per second"),
        (("source", "frames"), True, "source.frames must be a whole number"),
        (("shots", 1, "first"), 61, "shots[1].first must be 60"),
        (("shots", 1, "last"), 99, "shots must end at frame 100, not 99"),
        (("people",), {}, "people must be a list"),
        (("people", 0, "id"), 7, "people[1].id 7 is there twice"),
        (("people", 0, "id"), 0, "people[0].id must be a whole number"),
        (("people", 0, "keep"), "no", "people[0].keep must be true or false"),
        (("people", 0, "kind"), "cat", 'people[0].kind must be "person" or "viewer_body"'),
        (("people", 0, "boxes"), [], "people[0].boxes must be a list of at least one box"),
        ((*BOX, "frame"), 100, "people[0].boxes[0].frame must be a whole number from 0 to 99"),
        ((*BOX, "frame"), 20, "people[0].boxes[1].frame must come after 20, not be 20"),
        ((*BOX, "frame"), 1.0, "people[0].boxes[0].frame must be a whole number"),
        ((*BOX, "score"), 1.1, "people[0].boxes[0].score must be a number from 0 to 1"),
        ((*BOX, "score"), 1e999, "Infinity is not a number"),
        ((*BOX, "left"), [0, 10, 20], "people[0].boxes[0].left must be [yaw from, yaw to"),
        ((*BOX, "left"), [10, 0, 0, 5], "people[0].boxes[0].left must be [yaw from, yaw to"),
        ((*BOX, "left"), [0, 91, 0, 5], "people[0].boxes[0].left[1] must be a number from -90"),
        ((*BOX, "left"), [0, float("nan"), 0, 5], "NaN is not a number"),
        (("people", 1, "boxes", 0, "right"), None, "people[1].boxes[0] must have left, right"),
        (("viewports", 0, "fov"), [40], "viewports[0].fov must be [horizontal, vertical]"),
        (("viewports", 0, "fov"), [40, 179], "viewports[0].fov[1] must be a number from 5 to 160"),
        (("viewports", 0, "last"), 101, "viewports[0].last must be a whole number from 1 to 100"),
        (("viewports", 0, "last"), 9, "no turn may come at frame 9 or later"),
        (("viewports", 0, "turns"), [], "viewport person-1: turns must begin at frame 0"),
        (("viewports", 0, "projection"), "stereographic", "only a perspective viewport can turn"),
        (("viewports", 1, "name"), "person-1", "viewports[1].name 'person-1' is there twice"),
        (("viewports", 1, "name"), " ", "viewports[1].name must be a text"),
        (("lenses",), {"roll": 1, "pitch": 0}, "lenses.toe_in is missing"),
        (("lenses",), [], "lenses must be an object with roll, pitch, toe_in"),
        (("lenses",), {"roll": 11, "pitch": 0, "toe_in": 0}, "lenses.roll must be a number from"),
        (("lenses",), {"roll": 1, "pitch": 0, "toe_in": 0, "yaw": 0}, "lenses.yaw is unknown"),
        (
            ("lenses",),
            {"roll": 1, "pitch": 0, "toe_in": 0, "correct": 1},
            "lenses.correct must be true or false",
        ),
        (
            ("lenses",),
            {"roll": 1, "pitch": 0, "toe_in": 0, "matches": -1},
            "lenses.matches must be a whole number",
        ),
        (("exclude_regions", 0, "box"), None, "exclude_regions[0].box must be a list"),
    ],
)
def test_what_does_not_fit_is_named(written, path, value, said):
    tree = json.loads(written.read_text())
    _set(tree, path, value)
    written.write_text(json.dumps(tree))
    with pytest.raises(ConfigError) as error:
        read_people(written)
    text = str(error.value)
    assert said in text
    assert text.startswith(f"{written}: ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "Expecting property name"),
        (b"[" * 100_000, "nested too deep|recursion"),
        (b"\xff\xfe", "can't decode"),
        (b'{"version": 1, "version": 1}', "the key 'version' is there twice"),
        (b"[]", "the file must be an object with version"),
        (b'{"version": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_damaged_files_are_refused(tmp_path, data, said):
    path = tmp_path / "people.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=said):
        read_people(path)


def test_huge_files_are_refused(tmp_path):
    path = tmp_path / "people.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ConfigError, match="larger than 64 MB"):
        read_people(path)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        read_people(tmp_path / "none.json")


def test_writing_replaces_at_once(written):
    before = written.read_text()
    write_people(people(), written)
    assert written.read_text() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]
    assert stat.S_IMODE(written.stat().st_mode) == 0o644


def test_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / "people.json"
    path.mkdir()
    with pytest.raises(OutputError, match=r"people\.json"):
        write_people(people(), path)
    assert [item.name for item in tmp_path.iterdir()] == ["people.json"]
