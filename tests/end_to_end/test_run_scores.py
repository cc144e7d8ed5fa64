"""Scores as runs make them: with each chunk, the same whatever happened in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.faults import around
from support.media.deliverable_runs import CHUNK_FRAMES, FRAMES, STEM, run, write_source
from vrmatte.quality.frame_scores import load_scores


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


def files(out: Path) -> dict[str, bytes]:
    found = sorted((out / ".vrmatte" / STEM / "chunks").glob("*/scores.json"))
    return {path.parent.name: path.read_bytes() for path in found}


def report_of(out: Path) -> dict:
    return json.loads((out / f"{STEM}_report.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    run(source, out, output__deliver=("matte-lossless",))
    return files(out)


def test_every_frame_of_both_eyes_is_scored(source, tmp_path):
    report = run(source, tmp_path, output__deliver=("matte-lossless",))
    paths = sorted((tmp_path / ".vrmatte" / STEM / "chunks").glob("*/scores.json"))
    scores = [score for path in paths for score in load_scores(path)]
    assert [s.frame for s in scores if s.eye == "left" and s.person is None] == [*range(FRAMES)]
    assert len(paths) == -(-FRAMES // CHUNK_FRAMES)
    assert report.quality is not None
    told = report_of(tmp_path)["quality"]
    assert told["frames"] == FRAMES
    assert {figure["measure"] for figure in told["figures"]} >= {"wander_px", "fine_share"}


def test_a_run_that_was_stopped_and_continued_scores_alike(
    source, undisturbed, tmp_path, monkeypatch
):
    calls = []

    def dies(_plan, job, *_):
        calls.append(job.chunk.index)
        if len(calls) == 2:
            raise KeyboardInterrupt

    around(monkeypatch, "vrmatte.jobs.chunks.process_chunk", dies)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, output__deliver=("matte-lossless",))
    assert len(files(tmp_path)) == 1
    run(source, tmp_path, output__deliver=("matte-lossless",))
    assert files(tmp_path) == undisturbed


def test_stage_after_stage_they_are_the_same(source, undisturbed, tmp_path):
    run(source, tmp_path, output__deliver=("matte-lossless",), performance__overlap=False)
    assert files(tmp_path) == undisturbed


def test_whoever_asks_for_none_gets_none(source, tmp_path):
    report = run(source, tmp_path, output__deliver=("matte-lossless",), quality__scores=False)
    assert files(tmp_path) == {}
    assert report.quality is None
    assert report_of(tmp_path)["quality"] is None


def test_further_files_leave_scores_as_they_are(source, undisturbed, tmp_path):
    run(source, tmp_path, output__deliver=("matte-lossless",))
    report = run(source, tmp_path, output__deliver=("greenscreen",))
    assert files(tmp_path) == undisturbed
    assert report.quality is not None
