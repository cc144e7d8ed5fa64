from __future__ import annotations

from dataclasses import replace

import pytest

from support.media.media_fixtures import write_clip
from vrmatte.jobs.chunks import encoding_passes
from vrmatte.jobs.pieces import MissingPieces
from vrmatte.matting.engines.brightness import BRIGHTNESS
from vrmatte.media.probe import probe
from vrmatte.media.scan import scan_timeline
from vrmatte.plan import make_plan
from vrmatte.progress import ignore
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of mattes alone and files that show the picture, software encoders all but the PNGs."""
    path = tmp_path_factory.mktemp("passes") / "clip_LR_180.mp4"
    write_clip(path, frames=4)
    source = probe(path)
    names = ["matte", "xalpha", "greenscreen", "alpha-packed", "png"]
    config = Config.model_validate({"output": {"deliver": names, "encoder": "software"}})
    timeline = scan_timeline(source, ignore)
    plan = make_plan(source, "f" * 64, timeline, WHOLE_EYES, BRIGHTNESS, config)
    return {deliverable.id: deliverable for deliverable in plan.deliverables}


def named(missing: MissingPieces) -> tuple[bool, list[str]]:
    return missing.matte, [deliverable.id for deliverable in missing.deliverables]


def test_with_memory_for_all_everything_is_made_at_once(files):
    (only,) = encoding_passes(MissingPieces(True, tuple(files.values())), "all")
    assert only.matte
    assert set(named(only)[1]) == set(files)


def test_one_file_that_shows_the_picture_is_made_beside_the_mattes(files):
    first, *rest = encoding_passes(MissingPieces(True, tuple(files.values())), "two")
    assert named(first) == (True, ["png", "greenscreen"])
    assert [named(part) for part in rest] == [
        (False, ["alpha-packed"]),
        (False, ["matte"]),
        (False, ["xalpha"]),
    ]


def test_with_little_memory_no_encoder_runs_beside_that_of_the_mattes(files):
    first, *rest = encoding_passes(MissingPieces(True, tuple(files.values())), "one")
    assert named(first) == (True, ["png"])
    assert [len(part.deliverables) for part in rest] == [1, 1, 1, 1]
    # Where the mattes are there, the first file takes their encoder's place.
    first, *rest = encoding_passes(MissingPieces(False, tuple(files.values())), "one")
    assert named(first) == (False, ["png", "greenscreen"])
    assert len(rest) == 3


def test_after_a_failure_each_is_made_by_itself(files):
    parts = list(encoding_passes(MissingPieces(True, tuple(files.values())), "all", apart=True))
    assert named(parts[0]) == (True, [])
    assert all(len(part.deliverables) == 1 and not part.matte for part in parts[1:])
    assert len(parts) == 1 + len(files)


def test_nothing_is_made_of_nothing(files):
    assert not list(encoding_passes(MissingPieces(False, ()), "two"))
    (only,) = encoding_passes(MissingPieces(False, (files["matte"],)), "two", apart=True)
    assert named(only) == (False, ["matte"])


def test_hardware_encoders_take_no_room_of_their_own(files):
    fast = replace(files["greenscreen"].encoder, encoder="hevc_nvenc")
    light = replace(files["greenscreen"], encoder=fast)
    missing = MissingPieces(True, (files["alpha-packed"], light))
    (only,) = encoding_passes(missing, "two")
    assert named(only) == (True, ["greenscreen", "alpha-packed"])
