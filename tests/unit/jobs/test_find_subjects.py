"""Who is matted through what, from documents that lie there already: no detector is needed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from support.media.media_fixtures import write_clip
from vrmatte.frames import Timeline
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.jobs.find_subjects import find_subjects
from vrmatte.media.probe import probe
from vrmatte.people.document import write_people
from vrmatte.progress import Notice
from vrmatte.scout import people_file
from vrmatte.settings.config import Config
from vrmatte.subjects import (
    WHOLE_EYES,
    LensAlignment,
    People,
    Person,
    Shot,
    SourceIdentity,
    TimedBox,
)

FRAMES = 60
RATE = Fraction(30)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, rate=RATE)
    return probe(path)


def timeline(source) -> Timeline:
    step = int(1 / RATE / source.time_base)
    return Timeline(step * np.arange(FRAMES), source.time_base, step * FRAMES)


def box(frame: int) -> TimedBox:
    seen = AngularBox(-10.0, 10.0, -40.0, 5.0)
    return TimedBox(frame, seen, seen, 0.9)


def document(source, *people: Person) -> People:
    identity = SourceIdentity("f" * 64, FRAMES, source.width, source.height, RATE)
    return People(identity, (Shot(0, FRAMES),), people, ())


def find(source, tmp_path, *people: Person, lenses: LensAlignment | None = None, **settings):
    said: list[str] = []
    config = Config.model_validate({"processing": settings})
    written = replace(document(source, *people), lenses=lenses)
    write_people(written, people_file(source.path, tmp_path))
    found = find_subjects(
        tmp_path,
        source,
        "f" * 64,
        timeline(source),
        config,
        lambda e: said.append(e.text) if isinstance(e, Notice) else None,
    )
    return found, said


def person(keep: bool) -> Person:
    return Person(1, "person", keep, 0.9, (box(20), box(39)))


def test_whole_eyes_ask_nobody(source, tmp_path):
    found, said = find(source, tmp_path, person(keep=False), projection="half_equirect")
    assert (found, said) == (WHOLE_EYES, [])


@pytest.mark.parametrize("projection", ["stereographic", "fisheye"])
def test_one_look_at_everything(source, tmp_path, projection):
    found, _ = find(source, tmp_path, projection=projection)
    assert found.viewports is not None
    (path,) = found.viewports
    assert (path.projection, path.first, path.last) == (projection, 0, FRAMES)


def test_an_empty_document_means_whole_eyes_and_is_said(source, tmp_path):
    found, said = find(source, tmp_path)
    assert found.viewports is None
    assert len(said) == 1
    assert "nobody was found" in said[0]


@pytest.mark.parametrize("people", [(), (person(keep=True),)], ids=["nobody", "somebody"])
def test_lenses_are_handed_on_and_told(source, tmp_path, people):
    turned = LensAlignment(0.5, -0.25, 0.1, row_error_px=2.4)
    found, said = find(source, tmp_path, *people, lenses=turned)
    assert found.lenses == turned
    (text,) = [line for line in said if "rows of the two eyes" in line]
    assert "2.4 px" in text
    assert "rotated by 0.50 (roll), -0.25 (pitch) and 0.10 degrees (toe-in)" in text


def test_straight_lenses_are_not_worth_a_word(source, tmp_path):
    straight = LensAlignment(0.01, 0, 0.02, needs_correction=False, row_error_px=0.2)
    found, said = find(source, tmp_path, person(keep=True), lenses=straight)
    assert (found.lenses, said) == (straight, [])


def test_rows_that_never_agree_are_told(source, tmp_path):
    bent = LensAlignment(0, 0, 0, needs_correction=False, rows_agree=False, row_error_px=5)
    _, said = find(source, tmp_path, person(keep=True), lenses=bent)
    assert "no rotation of a lens explains" in said[0]
