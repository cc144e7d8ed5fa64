"""`vrmatte preview`: the very frame that was asked for, matted by itself, without reading on."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from support.faults import around
from support.media.deliverable_runs import settings_of, write_source
from vrmatte.commands.preview import preview_frame
from vrmatte.demo.clip import write_clip
from vrmatte.errors import ConfigError
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.media.decode import read_grey
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint
from vrmatte.people.document import write_people
from vrmatte.people.viewports import viewports_for
from vrmatte.settings.config import Config
from vrmatte.subjects import People, Person, Shot, SourceIdentity, TimedBox

FRAMES = 30
VIEWPORTS = {"processing__projection": "viewport"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_source(tmp_path_factory.mktemp("clip"), frames=FRAMES)


@pytest.fixture
def no_reading_through(monkeypatch):
    """A file of hours must not be read to its end for one frame."""

    def refuse(*_):
        raise AssertionError("the whole file was read")

    for name in ("read_timeline", "fingerprint", "load_or_scout"):
        around(monkeypatch, f"vrmatte.commands.preview.{name}", refuse)


@pytest.mark.parametrize(("asked", "shown"), [(0, 0), (0.5, 15), (0.51, 16), (29 / 30, 29)])
def test_the_first_frame_at_or_after_the_time_is_shown(
    clip, tmp_path, no_reading_through, asked, shown
):
    found = preview_frame(clip, asked, tmp_path / "p.png", settings_of())
    assert found.at_seconds == pytest.approx(shown / 30, abs=1e-3)
    assert 0 < found.covered < 1


def test_a_time_past_the_end_is_refused_with_the_last_one(clip, tmp_path):
    with pytest.raises(ConfigError, match=r"last frame .* is at 0\.96\d s"):
        preview_frame(clip, 1, tmp_path / "p.png", settings_of())
    assert not (tmp_path / "p.png").exists()


def test_the_colour_and_the_edge_are_those_of_the_run(clip, tmp_path):
    settings = {"output__background_color": [0, 0, 255]}
    plain = preview_frame(clip, 0, tmp_path / "new" / "plain.png", settings_of(**settings))
    edge = {"output__edge": {"choke_px": 6}}
    choked = preview_frame(clip, 0, tmp_path / "choked.png", settings_of(**settings, **edge))
    pictures = [cv2.imread(str(each.picture)).astype(int) for each in (plain, choked)]
    blue = [int(((p[..., 0] > 200) & (p[..., 1] < 60) & (p[..., 2] < 60)).sum()) for p in pictures]
    assert blue[1] > blue[0] > 1000


def test_a_document_of_people_is_used_as_in_a_run(clip, tmp_path):
    source = probe(clip)
    box = AngularBox(-40, 40, -60, 60)
    identity = SourceIdentity(fingerprint(clip), FRAMES, source.width, source.height, Fraction(30))
    boxes = tuple(TimedBox(at, box, box, 1.0) for at in (0, FRAMES - 1))
    person = Person(7, "person", True, 1.0, boxes)
    shots = (Shot(0, FRAMES),)
    viewports = viewports_for((person,), shots, identity.rate)
    write_people(People(identity, shots, (person,), viewports), tmp_path / "people.json")
    settings = settings_of(people__file=tmp_path / "people.json", **VIEWPORTS)
    found = preview_frame(clip, 0.5, tmp_path / "p.png", settings)
    assert [person.id for person in found.people.people] == [7]
    assert [path.name for path in found.people.viewports] == ["person-7"]


def test_a_frame_with_nobody_is_matted_whole_and_said(clip, tmp_path):
    told: list[object] = []
    # No region is as certain as this threshold.
    nobody = {"detection__model": "brightness", "detection__confidence_threshold": 0.99}
    settings = settings_of(**VIEWPORTS, **nobody)
    found = preview_frame(clip, 0, tmp_path / "p.png", settings, told.append)
    assert any("no people were detected" in str(event) for event in told)
    assert found.people.people == ()
    assert found.covered > 0


@pytest.mark.slow
def test_networks_find_the_person_and_make_nearly_the_exact_matte(models_dir, tmp_path):
    clip, truth = tmp_path / "demo_180_LR.mp4", tmp_path / "truth.mkv"
    write_clip(clip, truth, eye_px=384, frames=4, audio=False)
    config = Config.model_validate({"detection": {"confidence_threshold": 0.3}})
    found = preview_frame(clip, 2 / 30, tmp_path / "p.png", config)
    exact = [float(np.mean(alpha)) / 255 for _, alpha in read_grey(truth)][2]
    assert len(found.people.people) == 1
    assert found.findings
    # The figure is drawn, not filmed: networks lose some of it.
    assert found.covered == pytest.approx(exact, rel=0.3)
