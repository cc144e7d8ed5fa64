"""The deliverables `confidence` and `overlay` from whole runs: who is known, stops, later files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.media.deliverable_runs import (
    CHUNK_FRAMES,
    FRAMES,
    contents,
    frames_of,
    planes_of,
    settings_of,
    stored_mattes,
    write_source,
)
from support.people import person_of
from vrmatte.commands.render import render_output
from vrmatte.commands.run import matte_video
from vrmatte.compose.confidence import ConfidenceMap
from vrmatte.errors import OutputError
from vrmatte.frames import YUV420P
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.media.probe import probe
from vrmatte.progress import Advanced
from vrmatte.subjects import Person, Subjects

BOTH = ("confidence", "overlay")
SETTINGS = settings_of(output__deliver=BOTH, output__codec="h264", output__quality=1)
BOX = AngularBox(-60.0, 60.0, -60.0, 60.0)


def people(score: float) -> tuple[Person, ...]:
    return (person_of(1, True, 0, FRAMES, (0,), (BOX,), (BOX,), score),)


def make(do: Any, *arguments: Any, score: float = 0.6, **how: Any) -> None:
    """Run or render with one person known."""
    with pytest.MonkeyPatch.context() as patch:
        subjects = Subjects(None, people(score))
        patch.setattr("vrmatte.commands.run.find_subjects", lambda *_: subjects)
        do(*arguments, **how)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def in_one_run(clip, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("one") / "out"
    make(matte_video, clip, out, SETTINGS)
    return out


def test_the_file_shows_the_map_with_nothing_before_a_chunk(clip, in_one_run):
    source = probe(clip)
    frames, mattes = frames_of(source), stored_mattes(in_one_run)
    (path,) = in_one_run.glob("*_confidence.mp4")
    shown = planes_of(path, YUV420P)
    assert len(shown) == FRAMES
    for first in range(0, FRAMES, CHUNK_FRAMES):
        find = ConfidenceMap(source.eye_projection, Subjects(None, people(0.6)))
        for at in range(first, min(first + CHUNK_FRAMES, FRAMES)):
            wanted = find(at, frames[at], mattes[at])
            found = (shown[at].y.astype(float) - 16) / 219 * 255
            # Codes of video range are coarser, and the encoder is nearly lossless.
            assert np.abs(found - wanted).mean() < 1, at


def test_a_stop_leaves_no_trace(clip, in_one_run, tmp_path):
    def stop(event: object) -> None:
        if isinstance(event, Advanced) and event.stage == "matte" and event.done == 6:
            raise OutputError("stopped")

    with pytest.raises(OutputError):
        make(matte_video, clip, tmp_path, SETTINGS, observer=stop)
    make(matte_video, clip, tmp_path, SETTINGS)
    assert contents(tmp_path) == contents(in_one_run)


def test_another_score_makes_them_anew_and_no_matte(clip, tmp_path):
    make(matte_video, clip, tmp_path, SETTINGS)
    before, mattes = contents(tmp_path), stored_mattes(tmp_path)
    make(render_output, tmp_path, lambda _: SETTINGS, score=0.95)
    after = contents(tmp_path)
    remade = {name for name in before if before[name] != after[name]}
    assert {name.rpartition("_")[2] for name in remade} == {"confidence.mp4", "detections.mp4"}
    np.testing.assert_array_equal(stored_mattes(tmp_path), mattes)
