"""What a real run writes into its journal, and that the journal never costs a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.faults import around
from support.media.media_fixtures import write_clip
from support.run_logs import run_log
from vrmatte.commands.run import matte_video
from vrmatte.errors import ChunkError, InputError, OutputError, StoppedError
from vrmatte.progress import Event, Notice, Observer, ignore
from vrmatte.settings.config import Config

STEM = "clip_LR_180"


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / f"{STEM}.mp4"
    write_clip(path, frames=10)
    return path


def settings(**more: Any) -> Config:
    told = {
        "output": {"deliver": ["greenscreen"], "report": "json"},
        "processing": {"chunk_size": 5},
    }
    return brightness_config(MATTES_ALONE, told, more)


def test_a_run_tells_its_life(source, tmp_path):
    told: list[Event] = []
    matte_video(source, tmp_path / "out", settings(), observer=told.append)
    lines = run_log(tmp_path / "out")
    events = [line["event"] for line in lines if line["event"] != "notice"]
    chunk = ["chunk begun", "chunk committed"]
    assert events == ["run begun", "planned", *chunk, *chunk, "file finished", "run ended"]
    notices = [line["text"] for line in lines if line["event"] == "notice"]
    assert notices == [event.text for event in told if isinstance(event, Notice)]
    assert lines[-1]["exit_code"] == 0
    assert lines[-1]["frames"] == 10
    planned = next(line for line in lines if line["event"] == "planned")
    assert (planned["chunks"], planned["frames"], planned["device"]) == (2, 10, "cpu")
    finished = next(line for line in lines if line["event"] == "file finished")
    assert finished["checks"]["frames"] == 10
    assert not any("stage_seconds" in line or "rss_bytes" in line for line in lines)


def test_details_are_told_where_asked_for(source, tmp_path):
    config = settings(debugging={"log_intermediate_workflow": True})
    matte_video(source, tmp_path / "out", config)
    lines = run_log(tmp_path / "out")
    assert all(line["rss_bytes"] > 0 for line in lines)
    committed = [line for line in lines if line["event"] == "chunk committed"]
    assert all(line["stage_seconds"]["decode"] > 0 for line in committed)
    assert all(len(line["pieces"]["file:greenscreen"][1]) == 64 for line in committed)


def test_runs_of_one_job_follow_each_other(source, tmp_path):
    asked = iter([False, True])
    with pytest.raises(StoppedError):
        matte_video(source, tmp_path / "out", settings(), stop=lambda: next(asked))
    matte_video(source, tmp_path / "out", settings())
    lines = [line for line in run_log(tmp_path / "out") if line["event"].startswith("run")]
    assert [line["event"] for line in lines] == [
        "run begun",
        "run stopped",
        "run begun",
        "run ended",
    ]
    assert (lines[1]["exit_code"], lines[1]["error"]) == (130, "StoppedError")


def test_a_failure_is_told_with_its_code(source, tmp_path):
    matte_video(source, tmp_path / "out", settings())
    write_clip(source, frames=12)
    with pytest.raises((InputError, OutputError)) as failed:
        matte_video(source, tmp_path / "out", settings())
    line = run_log(tmp_path / "out")[-1]
    assert line["event"] == "run failed"
    assert (line["exit_code"], line["text"]) == (failed.value.exit_code, str(failed.value))
    assert "traceback" not in line


def test_a_library_that_breaks_leaves_its_traceback(source, tmp_path, monkeypatch):
    def breaks(*_: object) -> None:
        raise RuntimeError("a node of the network broke")

    around(monkeypatch, "vrmatte.jobs.chunks.process_chunk", breaks)
    with pytest.raises(ChunkError) as failed:
        matte_video(source, tmp_path / "out", settings())
    lines = run_log(tmp_path / "out")
    assert lines[-1]["event"] == "run failed"
    assert lines[-1]["exit_code"] == getattr(failed.value, "exit_code", 1)
    assert "a node of the network broke" in json.dumps(lines)


@pytest.mark.parametrize("observer", [ignore, None])
def test_a_journal_that_cannot_be_written_costs_no_run(source, tmp_path, observer):
    out = tmp_path / "out"
    (out / ".vrmatte" / STEM / "journal.jsonl").mkdir(parents=True)
    told: list[Event] = []
    listener: Observer = observer or told.append
    report = matte_video(source, out, settings(), observer=listener)
    assert report.frames == 10
    if observer is None:
        texts = [event.text for event in told if isinstance(event, Notice)]
        assert sum("no log is kept" in text for text in texts) == 1
