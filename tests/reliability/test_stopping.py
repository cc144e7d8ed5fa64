"""Ctrl-C once finishes the chunk, twice stops now, a request to end does so within seconds."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from support.brightness import QUICK_OPTIONS
from support.faults import around
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip

pytestmark = pytest.mark.faults

FRAMES = 40
CHUNK_FRAMES = 8
STEM = "clip_LR_180"
FRAME_SECONDS = 0.1
INFER = "vrmatte.matting.engines.brightness.BrightnessEngine.infer"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / f"{STEM}.mp4"
    write_clip(path, frames=FRAMES, audio=("aac",))
    return path


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> dict[str, object]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return finish(source, out)


def start(source: Path, out: Path, prepare: Callable[[], None] | None = None) -> JobProcess:
    arguments = ["run", str(source), "--out", str(out), "--deliver", "matte-lossless,greenscreen"]
    arguments += ["--set", f"processing.chunk_size={CHUNK_FRAMES}"]
    prepared = [] if prepare is None else [prepare]
    return JobProcess([*arguments, *QUICK_OPTIONS], out.with_name("log"), prepared)


def finish(source: Path, out: Path) -> dict[str, object]:
    job = start(source, out)
    assert job.wait() == 0, job.errors
    return content(out)


def content(out: Path) -> dict[str, object]:
    """Every decoded frame of every file, and the packets of sound."""
    found: dict[str, object] = {}
    for path in (*out.glob("*.mp4"), *out.glob("*.mkv")):
        with av.open(str(path)) as container:
            frames = container.decode(video=0)
            found[path.name] = [(f.pts, [bytes(p) for p in f.planes]) for f in frames]
        with av.open(str(path)) as container:
            if container.streams.audio:
                packets = container.demux(container.streams.audio[0])
                found[f"{path.name} sound"] = [(p.pts, bytes(p)) for p in packets]
    assert len(found) == 4
    return found


def slow_frames() -> None:
    """Give the test time to meet a run in the middle of a chunk."""
    around(pytest.MonkeyPatch(), INFER, lambda *_: time.sleep(FRAME_SECONDS))


def committed(out: Path) -> int:
    """Chunks in the manifest, while a run may be writing."""
    path = out / ".vrmatte" / STEM / "manifest.sqlite"
    with contextlib.suppress(sqlite3.OperationalError):
        if path.exists():
            with contextlib.closing(sqlite3.connect(path)) as manifest:
                query = "SELECT COUNT(*) FROM piece WHERE name = 'matte'"
                return manifest.execute(query).fetchone()[0]
    return 0


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("never came")


def is_in_chunk(out: Path, index: int) -> bool:
    """Whether the encoders of a chunk are open."""
    return any(out.glob(f".vrmatte/{STEM}/chunks/{index:06d}/*.part"))


def is_rendering_chunk(out: Path, index: int) -> bool:
    """Whether a chunk of a later file was begun; its encoder may show no file before the end."""
    told = (out / ".vrmatte" / STEM / "journal.jsonl").read_text().splitlines()
    begun = (json.loads(line) for line in told if '"chunk begun"' in line and line.endswith("}"))
    return any(line["chunk"] == index and not line["matte"] for line in begun)


def lines(job: JobProcess) -> list[str]:
    assert "Traceback" not in job.errors
    return [line for line in job.errors.splitlines() if line.startswith("vrmatte: ")]


def assert_continues(source: Path, out: Path, undisturbed: dict[str, object]) -> None:
    assert not list(out.rglob("*.part"))
    assert finish(source, out) == undisturbed


def test_the_first_interrupt_finishes_the_chunk(source, undisturbed, tmp_path):
    out = tmp_path / "out"
    job = start(source, out, slow_frames)
    wait_for(lambda: committed(out) == 1 and is_in_chunk(out, 1))
    job.kill(signal.SIGINT)
    assert job.wait() == 130
    said, stopped = lines(job)
    assert said.startswith("vrmatte: finishing this chunk")
    assert said.endswith("press again to stop now")
    assert f"2 of 5 chunks are made ({2 * CHUNK_FRAMES} of {FRAMES} frames)" in stopped
    assert committed(out) == 2
    assert_continues(source, out, undisturbed)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM,), 143),
        ((signal.SIGINT, signal.SIGTERM), 143),
    ],
)
def test_more_stops_now(source, undisturbed, tmp_path, signals, code):
    out = tmp_path / "out"
    job = start(source, out, slow_frames)
    wait_for(lambda: is_in_chunk(out, 1))
    *first, last = signals
    for number in first:
        job.kill(number)
        wait_for(lambda: "press again" in job.errors)  # equal signals that wait become one
    job.kill(last)
    assert job.wait() == code
    assert lines(job)[-1] == "vrmatte: stopped; run the same command again to continue"
    assert committed(out) == 1
    assert_continues(source, out, undisturbed)


def stuck_in_native_code() -> None:
    """The main thread hears of no signal for minutes, as in a deadlocked encoder."""
    from vrmatte.cli import stopping

    stopping.PATIENCE_SECONDS = 0.5
    calls = itertools.count()

    def stuck(*_: Any) -> None:
        if next(calls) > CHUNK_FRAMES // 2:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)

    around(pytest.MonkeyPatch(), INFER, stuck)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_main_thread_stuck_in_native_code_is_ended(source, undisturbed, tmp_path, number, code):
    out = tmp_path / "out"
    job = start(source, out, stuck_in_native_code)
    wait_for(lambda: is_in_chunk(out, 0))
    job.kill(number)
    if number == signal.SIGINT:
        wait_for(lambda: "press again" in job.errors)
        job.kill(number)
    assert job.wait(30) == code
    assert lines(job)[-1] == "vrmatte: stopped; run the same command again to continue"
    assert_continues(source, out, undisturbed)


def slow_scan() -> None:
    from vrmatte.progress import Started

    def forever(_source: Any, _policy: Any, observer: Any, _known: Any) -> None:
        observer(Started("scan", None))
        time.sleep(60)

    around(pytest.MonkeyPatch(), "vrmatte.jobs.source_identity.read_timeline", forever)


def slow_join() -> None:
    around(pytest.MonkeyPatch(), "vrmatte.jobs.finish.verify_file", lambda *_: time.sleep(60))


@pytest.mark.parametrize("prepare", [slow_scan, slow_join])
def test_outside_chunks_the_first_interrupt_stops_at_once(source, undisturbed, tmp_path, prepare):
    out = tmp_path / "out"
    job = start(source, out, prepare)
    if prepare is slow_scan:
        wait_for(lambda: (out / ".vrmatte" / STEM / "journal.jsonl").exists())
        time.sleep(0.3)
    else:
        wait_for(lambda: any(out.glob("*.part")))
    job.kill(signal.SIGINT)
    assert job.wait(20) == 130
    assert lines(job) == ["vrmatte: stopped; run the same command again to continue"]
    assert '"event": "run stopped"' in (out / ".vrmatte" / STEM / "journal.jsonl").read_text()
    assert_continues(source, out, undisturbed)


def slow_encoding() -> None:
    slow = "vrmatte.media.encode.ChunkWriter.write"
    around(pytest.MonkeyPatch(), slow, lambda *_: time.sleep(FRAME_SECONDS))


def test_rendering_is_stopped_in_the_same_way(source, tmp_path):
    out = tmp_path / "out"
    finish(source, out)
    render = ["render", str(out), "--deliver", "alpha-packed"]
    job = JobProcess(render, tmp_path / "log", prepare=[slow_encoding])
    wait_for(lambda: is_rendering_chunk(out, 1))
    job.kill(signal.SIGINT)
    assert job.wait() == 130
    said, stopped = lines(job)
    assert said.startswith("vrmatte: finishing this chunk")
    assert "2 of 5 chunks are made" in stopped
    again = JobProcess(render, tmp_path / "log")
    assert again.wait() == 0, again.errors
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.weights
def test_a_request_to_end_is_answered_in_seconds_while_networks_and_encoders_run(
    models_dir, tmp_path
):
    source, out = tmp_path / f"{STEM}.mp4", tmp_path / "out"
    write_clip(source, size=(2048, 1024), frames=40)
    command = [sys.executable, "-m", "vrmatte", "run", str(source), "--out", str(out)]
    command += ["--engine", "rvm", "--deliver", "matte-lossless,greenscreen,alpha-packed"]
    with (tmp_path / "errors").open("w") as errors:
        job = subprocess.Popen(
            command, stderr=errors, env={**os.environ, "VRMATTE_MODELS_DIR": str(models_dir)}
        )
        wait_for(lambda: is_in_chunk(out, 0))
        time.sleep(2)
        began = time.monotonic()
        job.terminate()
        assert job.wait(60) == 143
    assert time.monotonic() - began < 12  # the patience, and a machine that is busy
    assert not list(out.rglob("*.part"))
    assert "Traceback" not in (tmp_path / "errors").read_text()
