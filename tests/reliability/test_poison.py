"""A chunk that fails in every try costs itself alone, and can be had later."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import pytest

from support.brightness import MATTES_ALONE, QUICK_OPTIONS, brightness_config
from support.faults import Fault, around
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip
from support.run_logs import run_log
from vrmatte.commands.render import render_output
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import (
    ChunkError,
    ConfigError,
    DamagedInputError,
    DiskFullError,
    OutputError,
    StoppedError,
    VrmatteError,
    WeightsError,
)
from vrmatte.matting.engines.brightness import BrightnessEngine
from vrmatte.outputs import ChunkJob
from vrmatte.progress import Advanced, Notice
from vrmatte.settings.config import Config

pytestmark = pytest.mark.faults

FRAMES, CHUNK_FRAMES, CHUNKS = 36, 8, 5
FILES = ("matte-lossless", "greenscreen", "alpha-packed")
JOB = Path(".vrmatte/clip_LR_180")
INFER = "vrmatte.matting.engines.brightness.BrightnessEngine.infer"


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, audio=("aac",))
    return path


class Poison:
    """What fails in which chunk, and what was tried."""

    def __init__(self, patch: Any) -> None:
        self.mattes: dict[int, Exception] = {}
        """By chunk: what the engine raises in its middle."""
        self.files: dict[tuple[int, str], Exception] = {}
        """By chunk and file: what writing raises in its middle."""
        self.times = 1000
        """How often something fails before all is well."""
        self.tried: list[tuple[int, bool, tuple[str, ...]]] = []
        """Chunk, whether its matte was to be made, and which files."""
        self.cold: list[int] = []
        self._chunk = self._shown = 0

        def begin(_plan: Any, job: ChunkJob, *_: Any) -> None:
            self._chunk, self._shown = job.chunk.index, 0
            files = tuple(d.id for d in job.deliverables)
            self.tried.append((job.chunk.index, job.make_matte, files))
            if job.make_matte and job.state_in is None:
                self.cold.append(job.chunk.index)

        def infer(*_: Any) -> None:
            self._shown += 1
            self._strike(self.mattes.get(self._chunk) if self._shown == 3 else None)

        def write(output: Any, number: int, _prepared: Any) -> None:
            file = self._chunk, output.name.removeprefix("file:")
            self._strike(self.files.get(file) if number % CHUNK_FRAMES == 3 else None)

        around(patch, "vrmatte.jobs.chunks.process_chunk", begin)
        around(patch, INFER, infer)
        around(patch, "vrmatte.outputs._FileOutput.write", write)

    def _strike(self, error: Exception | None) -> None:
        if error is not None and self.times > 0:
            self.times -= 1
            raise error

    def cure(self) -> None:
        self.mattes, self.files, self.tried, self.cold = {}, {}, [], []


@dataclass
class Events:
    notices: list[str] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    def __call__(self, event: object) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.text)
        elif isinstance(event, Advanced) and event.stage == "matte":
            self.done.append(event.done)


def settings(deliver: tuple[str, ...] = FILES, **processing: Any) -> Config:
    sizes = {"chunk_size": CHUNK_FRAMES, "overlap_frames": 3, **processing}
    output = {"deliver": deliver, "encoder": "software", "report": "json"}
    return brightness_config(MATTES_ALONE, {"processing": sizes, "output": output})


@pytest.fixture
def poison(monkeypatch) -> Poison:
    return Poison(monkeypatch)


@pytest.fixture
def run(clip, tmp_path, poison) -> Callable[..., Events]:
    def run(config: Config | None = None, out: str = "out", **how: Any) -> Events:
        told = Events()
        matte_video(clip, tmp_path / out, config or settings(), observer=told, **how)
        return told

    return run


@pytest.fixture
def undisturbed(run, tmp_path, poison) -> dict[str, Any]:
    run(out="undisturbed")
    poison.tried.clear()
    poison.cold.clear()
    return content(tmp_path / "undisturbed")


def content(out: Path) -> dict[str, Any]:
    """Every packet of every finished file; the matte's decoded frames."""
    assert not list(out.rglob("*.part"))
    found: dict[str, Any] = {}
    for path in sorted((*out.glob("*.mp4"), *out.glob("*.mkv"))):
        with av.open(str(path)) as container:
            found[path.name] = [(p.pts, p.dts, bytes(p)) for p in container.demux() if p.size]
    for path in out.glob("*.mkv"):
        with av.open(str(path)) as container:
            frames = container.decode(video=0)
            found[f"{path.name} decoded"] = [(f.pts, bytes(f.planes[0])) for f in frames]
    return found


def chunk_files(out: Path, *, without: tuple[int, ...] = ()) -> dict[Path, int]:
    """The pieces of mattes, and when they were made."""
    paths = [p for name in ("matte.mkv", "state.npz") for p in out.glob(f"{JOB}/chunks/*/{name}")]
    return {p: p.stat().st_mtime_ns for p in paths if int(p.parent.name) not in without}


def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "clip_LR_180_report.json").read_text())


def test_three_tries_and_the_rest_is_made(run, poison, tmp_path):
    poison.mattes[2] = RuntimeError("CUDA error:\nsomething")
    with pytest.raises(ChunkError) as caught:
        run()
    assert caught.value.exit_code == 4
    text = str(caught.value)
    assert "\n" not in text
    for words in (
        "1 of 5 chunks could not be made",
        "chunk 2 (frames 16 to 23, 0.534 s to 0.801 s of the video)",
        "after 3 attempts: RuntimeError: CUDA error",
        "clip_LR_180_greenscreen.mp4",
        "All else is kept",
        "`vrmatte run ... --retry-failed`",
    ):
        assert words in text
    out = tmp_path / "out"
    assert poison.tried == [
        (0, True, ("greenscreen", "alpha-packed")),
        (1, True, ("greenscreen", "alpha-packed")),
        (2, True, ("greenscreen", "alpha-packed")),
        (2, True, ()),
        (2, True, ()),
        (3, True, ("greenscreen", "alpha-packed")),
        (4, True, ("greenscreen", "alpha-packed")),
    ]
    assert poison.cold == [0, 3]
    assert content(out) == {}
    assert {int(p.parent.name) for p in out.glob(f"{JOB}/chunks/*/matte.mkv")} == {0, 1, 3, 4}
    failed = [line for line in run_log(out) if line["event"] == "chunk failed"]
    assert [line["attempt"] for line in failed] == [1, 2, 3]
    assert "Traceback" in failed[0]["traceback"]
    (left_out,) = report(out)["failures"]
    assert (left_out["chunk"], left_out["piece"], left_out["frames"]) == (2, "matte", [16, 24])
    assert report(out)["files"] == []


def test_each_try_is_told(run, poison, tmp_path, clip):
    poison.mattes[2] = RuntimeError("boom")
    told = Events()
    with pytest.raises(ChunkError):
        matte_video(clip, tmp_path / "out", settings(), observer=told)
    assert [text for text in told.notices if text.startswith("chunk 2")] == [
        "chunk 2: attempt 1 of 3 failed (RuntimeError: boom); retrying",
        "chunk 2: attempt 2 of 3 failed (RuntimeError: boom); retrying",
        "chunk 2: attempt 3 of 3 failed (RuntimeError: boom); skipping it",
    ]
    assert told.done[-1] == FRAMES
    assert told.done == sorted(told.done)


@pytest.mark.parametrize("times", [1, 2])
def test_what_fails_less_often_leaves_no_trace(run, poison, undisturbed, tmp_path, times):
    poison.mattes[2], poison.times = RuntimeError("boom"), times
    told = run()
    assert content(tmp_path / "out") == undisturbed
    assert poison.cold == [0]
    assert sum("attempt" in text for text in told.notices) == times
    assert report(tmp_path / "out")["failures"] == []


def test_a_later_run_does_not_try_again(run, poison):
    poison.mattes[2] = RuntimeError("boom")
    with pytest.raises(ChunkError):
        run()
    poison.cure()
    with pytest.raises(ChunkError, match=r"before and were not tried again.*--retry-failed"):
        run()
    assert poison.tried == []


@pytest.mark.parametrize("failing", [(0,), (2,), (4,), (1, 2), (1, 3)])
def test_a_retry_makes_only_what_failed(run, poison, undisturbed, tmp_path, failing):
    out = tmp_path / "out"
    poison.mattes = dict.fromkeys(failing, RuntimeError("boom"))
    with pytest.raises(ChunkError, match=f"{len(failing)} of 5 chunks"):
        run()
    made = chunk_files(out)
    assert len(made) == 2 * (CHUNKS - len(failing))
    poison.cure()
    run(retry_failed=True)
    assert [(chunk, matte) for chunk, matte, _ in poison.tried] == [(c, True) for c in failing]
    assert chunk_files(out, without=failing) == made
    assert content(out).keys() == undisturbed.keys()
    assert len(content(out)["clip_LR_180_matte.mkv decoded"]) == FRAMES
    assert [piece.problem for piece in verify_output(out)] == [None] * (len(FILES) + 1)
    poison.cure()
    finished = content(out)
    run()
    assert (poison.tried, content(out)) == ([], finished)


def test_nothing_begins_cold_where_nothing_was_made_after(run, poison, undisturbed, tmp_path):
    """The last chunks failed: made later, they go on from those before."""
    poison.mattes = dict.fromkeys((3, 4), RuntimeError("boom"))
    with pytest.raises(ChunkError):
        run()
    poison.cure()
    run(retry_failed=True)
    assert poison.cold == []
    assert content(tmp_path / "out") == undisturbed


def test_a_chunk_made_later_can_be_lost_and_made_again(run, poison, tmp_path):
    """Cold starts are remembered after the retry, so equal bytes come out again."""
    out = tmp_path / "out"
    poison.mattes[2] = RuntimeError("boom")
    with pytest.raises(ChunkError):
        run()
    poison.cure()
    run(retry_failed=True)
    wanted = content(out)
    for chunk in (2, 3, 4):
        (out / JOB / f"chunks/{chunk:06d}/matte.mkv").unlink()
    for path in out.glob("*.mkv"):
        path.unlink()
    poison.cure()
    run()
    assert ([t[0] for t in poison.tried], poison.cold) == ([2, 3, 4], [3])
    assert content(out) == wanted


def test_a_failure_after_what_follows_was_made_costs_that_nothing(run, poison, tmp_path):
    out = tmp_path / "out"
    run()
    finished, made = content(out), chunk_files(out, without=(2,))
    (out / JOB / "chunks/000002/matte.mkv").unlink()
    poison.mattes[2] = RuntimeError("boom")
    poison.tried.clear()
    with pytest.raises(ChunkError, match="1 of 5 chunks could not be made: chunk 2"):
        run()
    assert [chunk for chunk, *_ in poison.tried] == [2, 2, 2]
    assert len(report(out)["files"]) == len(FILES)
    poison.cure()
    run(retry_failed=True)
    assert (content(out), chunk_files(out, without=(2,))) == (finished, made)


def test_other_settings_forget_the_failure(run, poison, tmp_path):
    poison.mattes[2] = RuntimeError("boom")
    with pytest.raises(ChunkError):
        run()
    poison.cure()
    run(settings(scale_factor=0.25))
    assert poison.cold == [0]
    assert [piece.problem for piece in verify_output(tmp_path / "out")] == [None] * 4


@pytest.mark.parametrize("error", [RuntimeError("boom"), ChunkError("libx264 failed")])
def test_a_file_that_fails_costs_no_other(run, poison, undisturbed, tmp_path, error):
    out = tmp_path / "out"
    poison.files[2, "greenscreen"] = error
    with pytest.raises(ChunkError, match=r"so clip_LR_180_greenscreen.mp4 cannot.*greenscreen of"):
        run()
    others = {name: made for name, made in undisturbed.items() if "greenscreen" not in name}
    assert content(out) == others
    assert poison.cold == [0]
    assert [t for t in poison.tried if t[0] == 2] == [
        (2, True, ("greenscreen", "alpha-packed")),
        (2, True, ()),
        (2, False, ("greenscreen",)),
        (2, False, ("alpha-packed",)),
        (2, False, ("greenscreen",)),
    ]
    poison.cure()
    with pytest.raises(ChunkError, match="not tried again"):
        run()
    run(settings(("matte-lossless", "alpha-packed")))
    assert poison.tried == []
    run(retry_failed=True)
    assert poison.tried == [(2, False, ("greenscreen",))]
    assert content(out) == undisturbed


@pytest.mark.parametrize(
    "error",
    [
        DiskFullError("full"),
        OutputError("gone"),
        ConfigError("wrong"),
        DamagedInputError("broken"),
        WeightsError("other"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_is_no_chunks_fault_ends_the_run_at_once(run, poison, undisturbed, tmp_path, error):
    poison.mattes[2] = error
    wanted = DiskFullError if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted):
        run()
    assert [chunk for chunk, *_ in poison.tried] == [0, 1, 2]
    poison.cure()
    run()
    assert content(tmp_path / "out") == undisturbed


def test_an_engine_that_failed_is_opened_anew(run, poison, undisturbed, tmp_path, monkeypatch):
    """A GPU that was lost answers nothing any more."""
    engines: list[BrightnessEngine] = []

    def infer(engine: BrightnessEngine, *_: Any) -> None:
        if engine not in engines:
            engines.append(engine)
        if engine is engines[0] and poison.tried[-1][0] == 2:
            raise RuntimeError("device lost")

    around(monkeypatch, INFER, infer)
    run()
    assert len(engines) == 2
    assert content(tmp_path / "out") == undisturbed


# --- what is told of it afterwards ---------------------------------------------------------------


def test_verify_and_render_speak_of_the_failure(run, poison, tmp_path):
    out = tmp_path / "out"
    poison.mattes[2] = RuntimeError("boom")
    with pytest.raises(ChunkError):
        run()
    problems = {piece.name: piece.problem for piece in verify_output(out)}
    assert problems["chunks"] is None
    assert "failed 3 times: RuntimeError: boom" in problems["chunk 2"]
    assert problems["clip_LR_180_greenscreen.mp4"] == "is missing: chunk 2 failed"
    with pytest.raises(ChunkError, match=r"chunk 2 .*RuntimeError: boom.*--retry-failed"):
        render_output(out, lambda config: config)


def test_a_broken_record_is_refused(run, poison, tmp_path):
    from vrmatte.jobs.manifest import Manifest

    run()
    with Manifest(tmp_path / "out" / JOB, tmp_path / "out") as manifest:
        manifest.set_fact("failures", [{"chunk": "many"}])
    with pytest.raises(OutputError, match="--fresh"):
        run()


# --- in processes of their own -------------------------------------------------------------------


def poison_chunk_two() -> None:
    Poison(pytest.MonkeyPatch()).mattes[2] = RuntimeError("boom")


def start(clip: Path, out: Path, *more: str, prepare: Any = ()) -> JobProcess:
    arguments = ["run", str(clip), "--out", str(out), "--deliver", ",".join(FILES)]
    arguments += ["--set", f"processing.chunk_size={CHUNK_FRAMES}", *QUICK_OPTIONS]
    return JobProcess([*arguments, *more], out.with_name(f"{out.name}.log"), prepare)


def test_the_command_line(clip, tmp_path):
    out = tmp_path / "out"
    job = start(clip, out, prepare=[poison_chunk_two])
    assert job.wait() == 4
    assert "Traceback" not in job.errors
    assert job.errors.strip().splitlines()[-1].startswith("vrmatte: 1 of 5 chunks could not be")
    assert start(clip, out).wait() == 4
    job = start(clip, out, "--retry-failed")
    assert job.wait() == 0, job.errors
    assert len(content(out)) == len(FILES) + 1


KILLS = [
    ("vrmatte.jobs.failures.Failures.add", 1),
    ("vrmatte.jobs.failures.Failures.set_cold_starts", 1),
    ("vrmatte.jobs.manifest.Manifest.commit_chunk", 2),
    ("vrmatte.jobs.manifest.Manifest.commit_chunk", 3),
    ("vrmatte.jobs.manifest.Manifest.commit_chunk", 4),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("function", "call"), KILLS)
def test_kills_change_nothing(clip, failed_and_retried, tmp_path, function, call, after):
    out = tmp_path / "out"
    death = Fault(function, call, after=after)
    assert start(clip, out, prepare=[poison_chunk_two, death]).wait() == -signal.SIGKILL
    assert start(clip, out, prepare=[poison_chunk_two]).wait() == 4
    death = Fault("vrmatte.jobs.manifest.Manifest.commit_chunk", 1, after=after)
    assert start(clip, out, "--retry-failed", prepare=[death]).wait() == -signal.SIGKILL
    job = start(clip, out)
    assert job.wait() == 0, job.errors
    assert content(out) == failed_and_retried


@pytest.fixture(scope="module")
def failed_and_retried(clip, tmp_path_factory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("retried") / "out"
    assert start(clip, out, prepare=[poison_chunk_two]).wait() == 4
    assert start(clip, out, "--retry-failed").wait() == 0
    return content(out)


# --- stopping, and what nobody expected ----------------------------------------------------------


def test_a_run_stops_between_chunks(run, poison, undisturbed, tmp_path):
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(StoppedError, match=r"3 of 5 chunks are made \(24 of 36 frames\)") as caught:
        run(stop=stop)
    assert caught.value.exit_code == 130
    assert [chunk for chunk, *_ in poison.tried] == [0, 1, 2]
    poison.cure()
    run()
    assert [chunk for chunk, *_ in poison.tried] == [3, 4]
    assert content(tmp_path / "out") == undisturbed


def test_a_run_stops_before_a_file_is_joined(run, poison, undisturbed, tmp_path):
    def stop() -> bool:
        return len(poison.tried) == CHUNKS and bool(list((tmp_path / "out").glob("*.mkv")))

    with pytest.raises(StoppedError, match="all chunks are made, 1 of 3 files finished"):
        run(stop=stop)
    assert [p.name for p in (tmp_path / "out").glob("*.m*")] == ["clip_LR_180_matte.mkv"]
    with pytest.raises(StoppedError):
        render_output(tmp_path / "out", lambda config: config, stop=lambda: True)
    run()
    assert content(tmp_path / "out") == undisturbed


def test_an_unexpected_error_is_one_line_and_its_traceback_in_the_journal(
    run, poison, undisturbed, tmp_path, monkeypatch
):
    def broken(*_: Any) -> None:
        raise KeyError("strange\nthing")

    with monkeypatch.context() as patch:
        around(patch, "vrmatte.jobs.finish.join_chunks", broken)
        with pytest.raises(VrmatteError, match=r"unexpected error \(KeyError: ") as caught:
            run()
    assert caught.value.exit_code == 1
    assert "journal.jsonl" in str(caught.value)
    (line,) = [line for line in run_log(tmp_path / "out") if line["event"] == "run failed"]
    assert "in broken" in line["traceback"]
    run()
    assert content(tmp_path / "out") == undisturbed
