"""A run in which nothing moves any more ends itself, and running again goes on."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from support.brightness import QUICK_OPTIONS
from support.faults import Fault, around
from support.job_process import JobProcess
from support.media.deliverable_runs import run
from support.media.media_fixtures import write_clip
from vrmatte.errors import StalledError
from vrmatte.jobs import stall
from vrmatte.jobs.run_log import RunLog
from vrmatte.jobs.stall import StallWatch
from vrmatte.progress import Advanced, Event, Finished, Notice, Started, ignore

pytestmark = pytest.mark.faults

FRAMES = 24
STALL_SECONDS = 4.0
"""Longer than anything takes on tiny clips, also on a machine that is busy."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES)
    return path


def start(clip: Path, out: Path, *more: str, prepare: Any = ()) -> JobProcess:
    arguments = ["run", str(clip), "--out", str(out), "--deliver", "matte-lossless,greenscreen"]
    arguments += ["--set", "processing.chunk_size=8", *QUICK_OPTIONS, *more]
    return JobProcess(arguments, out.with_name(f"{out.name}.log"), prepare)


def limit(seconds: float) -> tuple[str, str]:
    return "--set", f"processing.stall_minutes={seconds / 60:.4f}"


def decoded(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(frame.pts, bytes(frame.planes[0])) for frame in container.decode(video=0)]


def hang() -> None:
    threading.Event().wait()


def writing_hangs() -> None:
    """As an encoder that waits for its own threads, in the second chunk."""

    def write(output: Any, number: int, prepared: Any) -> None:
        if number == 11:
            hang()

    around(pytest.MonkeyPatch(), "vrmatte.outputs._FileOutput.write", write)


joining_hangs = Fault("vrmatte.jobs.finish.join_chunks", 1, hang)


@pytest.mark.parametrize(
    ("hangs", "stage", "where"),
    [(writing_hangs, "matte", "in write"), (joining_hangs, "", "in finish_deliverables")],
)
def test_a_run_that_hangs_ends_itself_and_can_be_continued(clip, tmp_path, hangs, stage, where):
    out = tmp_path / "out"
    job = start(clip, out, *limit(STALL_SECONDS), prepare=[hangs])
    assert job.wait(60) == 75, job.errors
    told = job.errors.strip().splitlines()[-1]
    assert told.startswith("vrmatte: no progress for ")
    assert "Run the same command again to continue" in told
    lines = (out / ".vrmatte/clip_LR_180/journal.jsonl").read_text().splitlines()
    (stalled,) = [line for line in map(json.loads, lines) if line["event"] == "stalled"]
    assert (stalled["stage"], stalled["exit_code"]) == (stage, 75)
    assert any(where in stack for stack in stalled["threads"].values())
    job = start(clip, out, *limit(STALL_SECONDS))
    assert job.wait() == 0, job.errors
    assert start(clip, tmp_path / "peace").wait() == 0
    for name in ("clip_LR_180_matte.mkv", "clip_LR_180_greenscreen.mp4"):
        assert decoded(out / name) == decoded(tmp_path / "peace" / name)


@pytest.fixture
def stalled() -> threading.Event:
    return threading.Event()


def watching(
    minutes: float,
    folder: Path,
    stalled: threading.Event,
    moved_bytes: Callable[[], int] | None = None,
) -> StallWatch:
    return StallWatch(minutes, RunLog(folder), lambda _: stalled.set(), moved_bytes)


def test_frames_are_progress(tmp_path, stalled):
    with watching(0.5 / 60, tmp_path, stalled) as watch:
        observer = watch.listening(ignore)
        observer(Started("matte", 9))
        for done in range(15):
            observer(Advanced("matte", done))
            assert not stalled.wait(0.1)
        assert stalled.wait(30)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_moving_files_are_progress_but_not_while_chunks_are_made(tmp_path, stalled, in_chunks):
    """A finished file of 100 GB is read for long without a word; an encoder that hangs reads none,
    but the one who looks for memory in use does."""
    moved = 0

    def counted() -> int:
        nonlocal moved
        moved += 10 << 20
        return moved

    with watching(0.5 / 60, tmp_path, stalled, counted) as watch:
        observer = watch.listening(ignore)
        observer(Started("matte", 9))
        if not in_chunks:
            observer(Finished("matte"))
        assert stalled.wait(30 if in_chunks else 2) == in_chunks


def test_reading_counts_as_moving(tmp_path):
    before = stall._moved_bytes()
    if before == 0:
        pytest.skip("this system doesn't count what a process reads")
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    (tmp_path / "large").read_bytes()
    assert stall._moved_bytes() - before >= 6 << 20


def test_zero_watches_nothing(tmp_path, stalled):
    with watching(0, tmp_path, stalled):
        assert not stalled.wait(0.3)


def test_a_suspended_process_has_not_hung(tmp_path, stalled, monkeypatch):
    """The clock goes on meanwhile; looks don't."""
    clock = itertools.count(step=1_000_000.0)
    for name in ("monotonic", "time", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: next(clock))
    with watching(2 / 60, tmp_path, stalled):
        assert not stalled.wait(0.6)


def test_a_library_call_raises_a_stall_at_the_next_chunk_and_can_be_continued(clip, tmp_path):
    """The process goes on: pytest itself would end with it."""
    notices: list[Notice] = []
    reported = threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, Notice) and event.text.startswith("no progress for"):
            notices.append(event)
            reported.set()
        elif event == Advanced("matte", 2):
            assert reported.wait(60), "the stall watch must report from a thread of its own"

    settings: dict[str, Any] = {"output__deliver": ("matte-lossless",)}
    with pytest.raises(StalledError, match="no progress for"):
        run(clip, tmp_path, observe, **settings, processing__stall_minutes=STALL_SECONDS / 60)
    assert len(notices) == 1
    chunks = tmp_path / ".vrmatte" / "clip_LR_180" / "chunks"
    assert [path.name for path in sorted(chunks.iterdir())] == ["000000"]
    assert run(clip, tmp_path, **settings).frames == FRAMES
