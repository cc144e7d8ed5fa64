"""A run that is killed, starved or interfered with ends like one that was left in peace."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import pytest

from support.brightness import MATTES_ALONE, QUICK_OPTIONS, brightness_config
from support.faults import Fault, around
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip
from support.run_logs import begun_chunks
from vrmatte.commands.run import matte_video
from vrmatte.errors import OutputError
from vrmatte.jobs import job_folder as workplace
from vrmatte.progress import Notice

pytestmark = pytest.mark.faults

FRAMES = 60
CHUNK_FRAMES = 7
DELIVERABLES = ("matte-lossless", "greenscreen", "alpha-packed")
KILLS = 20

Content = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, audio=("aac",))
    return path


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> tuple[Content, float]:
    """What a run in peace makes, and the seconds it takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    start(source, folder / "first").wait()  # the server imports everything
    began = time.monotonic()
    job = start(source, folder / "out")
    assert job.wait() == 0, job.errors
    return content(folder / "out"), time.monotonic() - began


def start(
    source: Path, out: Path, *more: str, prepare: Sequence[Callable[[], object]] = ()
) -> JobProcess:
    arguments = start_arguments(source, out) + list(more)
    return JobProcess(arguments, out.with_name(f"{out.name}.log"), prepare)


def start_arguments(source: Path, out: Path) -> list[str]:
    arguments = ["run", str(source), "--out", str(out), "--deliver", ",".join(DELIVERABLES)]
    arguments += ["--set", f"processing.chunk_size={CHUNK_FRAMES}", "--set", "output.report=json"]
    return [*arguments, *QUICK_OPTIONS]


def finish(source: Path, out: Path, *more: str) -> Content:
    job = start(source, out, *more)
    assert job.wait() == 0, job.errors
    return content(out)


def content(out: Path) -> Content:
    """Every packet of every finished file, and every decoded frame of the matte."""
    assert not list(out.rglob("*.part"))
    found: Content = {}
    for path in sorted((*out.glob("*.mp4"), *out.glob("*.mkv"))):
        with av.open(str(path)) as container:
            found[path.name] = [
                (p.stream_index, p.pts, p.dts, bytes(p)) for p in container.demux() if p.size
            ]
        if path.suffix == ".mkv":
            with av.open(str(path)) as container:
                frames = container.decode(video=0)
                found["decoded"] = [(f.pts, bytes(f.planes[0])) for f in frames]
    return found


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kills_at_random_moments(source, undisturbed, tmp_path):
    wanted, seconds = undisturbed
    moments = random.Random(20)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        out = tmp_path / f"run-{runs}"
        for _ in range(4):  # killed again while it resumes
            job = start(source, out)
            if job.wait(moments.uniform(0.02, seconds)) is not None:
                break
            job.kill()
            kills += job.wait() == -signal.SIGKILL
        assert finish(source, out) == wanted
    assert kills >= KILLS


BOUNDARIES = [
    ("vrmatte.commands.run._remember", 1),
    ("vrmatte.media.encode.commit_file", 8),
    ("vrmatte.pipeline.save_state", 3),
    ("vrmatte.jobs.chunks.process_chunk", 2),
    ("vrmatte.jobs.manifest.Manifest.commit_chunk", 1),
    ("vrmatte.jobs.manifest.Manifest.commit_chunk", 5),
    ("vrmatte.jobs.manifest.Manifest.commit_chunk", 9),
    ("vrmatte.jobs.finish.join_chunks", 2),
    ("vrmatte.jobs.finish.verify_file", 3),
    ("vrmatte.jobs.finish.commit_file", 1),
    ("vrmatte.jobs.manifest.Manifest.commit_product", 2),
    ("vrmatte.jobs.manifest.Manifest.drop_pieces", 1),
    ("vrmatte.commands.run.write_report", 1),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("function", "call"),
    [
        pytest.param(*each, marks=() if number % 3 == 0 else pytest.mark.slow)
        for number, each in enumerate(BOUNDARIES)
    ],
)
def test_kills_at_every_boundary(source, undisturbed, tmp_path, function, call, after):
    out = tmp_path / "out"
    job = start(source, out, prepare=[Fault(function, call, after=after)])
    assert job.wait() == -signal.SIGKILL, job.errors
    assert finish(source, out) == undisturbed[0]


def test_a_resumed_run_makes_only_what_is_missing(source, tmp_path):
    out = tmp_path / "out"
    death = Fault("vrmatte.jobs.manifest.Manifest.commit_chunk", 5, after=True)
    assert start(source, out, prepare=[death]).wait() == -signal.SIGKILL
    made = {path: path.stat().st_mtime_ns for path in out.rglob("chunks/*/*")}
    assert len(made) == 5 * 4  # matte, state, two files
    finish(source, out, "--set", "performance.preserve_intermediates=true")
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_stereo_agreement_and_scores_are_resumed_too(source, tmp_path):
    """All other runs here are without them, for the sake of time."""
    measured = ["--set", "matting.use_disparity_mapping=true", "--set", "quality.scores=true"]
    out, peace = tmp_path / "out", tmp_path / "peace"
    death = Fault("vrmatte.jobs.manifest.Manifest.commit_chunk", 5, after=True)
    assert start(source, out, *measured, prepare=[death]).wait() == -signal.SIGKILL
    made = {path: path.stat().st_mtime_ns for path in out.rglob("chunks/*/*")}
    assert len(made) == 5 * 6  # matte, state, stereo findings, scores, two files
    kept = "--set", "performance.preserve_intermediates=true"
    assert finish(source, out, *measured, *kept) == finish(source, peace, *measured)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    resumed, whole = (
        json.loads((folder / "clip_LR_180_report.json").read_text()) for folder in (out, peace)
    )
    for name in ("stereo", "quality"):
        assert resumed[name] is not None
        assert resumed[name] == whole[name]


def test_interrupt_stops_and_can_be_continued(source, undisturbed, tmp_path):
    out = tmp_path / "out"
    job = start(source, out, prepare=[slow_chunks])
    wait_for(lambda: rows(out, "piece") > 4)
    job.kill(signal.SIGINT)
    assert job.wait() == 130
    assert one_line(job.errors).startswith("vrmatte: stopped: ")
    assert finish(source, out) == undisturbed[0]


def slow_chunks() -> None:
    """Give the test time to meet a run in the middle."""
    around(pytest.MonkeyPatch(), "vrmatte.jobs.chunks.process_chunk", lambda *_: time.sleep(0.1))


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never came")


def rows(out: Path, table: str) -> int:
    """Rows in the manifest, while a run may be writing."""
    path = out / ".vrmatte" / "clip_LR_180" / "manifest.sqlite"
    with contextlib.suppress(sqlite3.OperationalError):
        if path.exists():
            with contextlib.closing(sqlite3.connect(path)) as manifest:
                return manifest.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    return 0


def one_line(errors: str) -> str:
    """What the command line said last; it must be a line of ours and no traceback."""
    assert "Traceback" not in errors
    return errors.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.weights
def test_kills_with_a_real_network(source, models_dir, tmp_path):
    def vrmatte(out: Path) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-m", "vrmatte", "run", str(source), "--out", str(out)]
        arguments += ["--engine", "rvm", "--set", "processing.chunk_size=9"]
        arguments += ["--deliver", "matte-lossless,greenscreen", "--json"]
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL)

    assert vrmatte(tmp_path / "peace").wait() == 0
    out = tmp_path / "out"
    for committed in (4, 12):
        job = vrmatte(out)
        wait_for(lambda count=committed: rows(out, "piece") >= count)
        job.kill()
        assert job.wait() == -signal.SIGKILL
    assert vrmatte(out).wait() == 0
    assert content(out) == content(tmp_path / "peace")


# --- damage --------------------------------------------------------------------------------------


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [delete, truncate, flip])
@pytest.mark.parametrize("piece", ["matte.mkv", "state.npz", "greenscreen.mp4"])
def test_a_damaged_chunk_is_made_again(source, undisturbed, tmp_path, damage, piece):
    out = tmp_path / "out"
    death = Fault("vrmatte.commands.run.finish_deliverables", 1, after=False)
    assert start(source, out, prepare=[death]).wait() == -signal.SIGKILL
    damage(out / ".vrmatte" / "clip_LR_180" / "chunks" / "000004" / piece)
    assert finish(source, out) == undisturbed[0]


@pytest.mark.parametrize("damage", [delete, truncate, flip])
@pytest.mark.parametrize("piece", ["matte.mkv", "state.npz"])
def test_damage_is_found_where_a_later_run_builds_on_it(
    source, undisturbed, tmp_path, damage, piece
):
    out = tmp_path / "out"
    finish(source, out, "--deliver", "matte-lossless")
    damage(out / ".vrmatte" / "clip_LR_180" / "chunks" / "000004" / piece)
    assert finish(source, out) == undisturbed[0]


def test_a_damaged_state_is_not_gone_on_from(source, undisturbed, tmp_path):
    out = tmp_path / "out"
    death = Fault("vrmatte.jobs.manifest.Manifest.commit_chunk", 5, after=True)
    assert start(source, out, prepare=[death]).wait() == -signal.SIGKILL
    flip(out / ".vrmatte" / "clip_LR_180" / "chunks" / "000004" / "state.npz")
    assert finish(source, out) == undisturbed[0]


@pytest.mark.parametrize("damage", [delete, truncate])
def test_a_finished_file_that_is_gone_is_made_again(source, undisturbed, tmp_path, damage):
    out = tmp_path / "out"
    finish(source, out)
    damage(out / "clip_LR_180_greenscreen.mp4")
    assert finish(source, out) == undisturbed[0]


def test_a_manifest_that_is_none_is_refused(source, tmp_path):
    out = tmp_path / "out"
    finish(source, out)
    (out / ".vrmatte" / "clip_LR_180" / "manifest.sqlite").write_bytes(b"no database" * 100)
    job = start(source, out)
    assert job.wait() == 7
    assert "--fresh" in one_line(job.errors)
    finish(source, out, "--fresh")


# --- other settings, other input -----------------------------------------------------------------


@dataclass
class Redone:
    """What a run made: mattes of so many chunks, and chunks of each deliverable."""

    mattes: int = 0
    files: Counter[str] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)


@pytest.fixture
def rerun(source, tmp_path) -> Callable[..., Redone]:
    """Runs with these settings in one output directory; returns what had to be made."""
    out = tmp_path / "out"

    def once(**settings: Any) -> Redone:
        redone, before = Redone(), len(begun_chunks(out))
        tree: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            section, key = name.split("__")
            tree.setdefault(section, {})[key] = value
        sizes = {"output": {"deliver": DELIVERABLES, "report": "json"}}
        sizes["processing"] = {"chunk_size": 20}
        matte_video(
            source,
            out,
            brightness_config(MATTES_ALONE, sizes, tree),
            observer=lambda e: redone.notices.append(e.text) if isinstance(e, Notice) else None,
        )
        for line in begun_chunks(out)[before:]:
            redone.mattes += line["matte"]
            redone.files.update(line["files"])
        return redone

    return once


CHUNKS = 3
CHANGES = [
    ({}, 0, {}, None),
    ({"hardware__threads": 1}, 0, {}, None),
    (
        {"output__background_color": (0, 0, 255)},
        0,
        {"greenscreen": CHUNKS},
        "re-encoding greenscreen: pictures.background_color: [0, 255, 0] -> [0, 0, 255]",
    ),
    (
        {"output__alpha_packed": {"fov_deg": 200}},
        0,
        {"alpha-packed": CHUNKS},
        "re-encoding alpha-packed: pictures.fov_deg: 190 -> 200",
    ),
    (
        {"output__quality": 30},
        0,
        {"greenscreen": CHUNKS, "alpha-packed": CHUNKS},
        "re-encoding greenscreen: encoder.options",
    ),
    (
        {"processing__scale_factor": 0.25},
        CHUNKS,
        {"greenscreen": CHUNKS, "alpha-packed": CHUNKS},
        "0.5 -> 0.25",
    ),
    ({"processing__chunk_size": 9}, 0, {}, "processing.chunk_size=9 applies to new outputs"),
    ({"audio__preserve_audio": False}, 0, {"greenscreen": 0, "alpha-packed": 0}, None),
]


@pytest.mark.parametrize(("change", "mattes", "files", "why"), CHANGES)
def test_another_setting_redoes_exactly_what_it_touches(rerun, change, mattes, files, why):
    kept = {"performance__preserve_intermediates": True}
    assert rerun(**kept).mattes == CHUNKS
    redone = rerun(**kept, **change)
    assert redone.mattes == mattes
    assert redone.files == Counter({name: count for name, count in files.items() if count})
    if why is not None:
        assert any(why in text for text in redone.notices), redone.notices
    assert rerun(**kept, **change).mattes == 0


def test_why_is_told_even_when_the_chunks_are_gone(rerun):
    rerun()
    redone = rerun(output__background_color=(0, 0, 255))
    assert (redone.mattes, redone.files) == (0, Counter({"greenscreen": CHUNKS}))
    assert any("re-encoding greenscreen: pictures.background_color" in t for t in redone.notices)


def test_a_deliverable_asked_for_later_needs_no_network(rerun):
    rerun(output__deliver=("matte-lossless",))
    redone = rerun()
    assert (redone.mattes, redone.files["greenscreen"]) == (0, CHUNKS)


def test_another_part_of_the_video_is_another_matte(rerun):
    rerun()
    assert rerun(input__start=0.5, output__overwrite=True).mattes == 3


def test_a_replaced_input_is_refused(rerun, source):
    kept = source.read_bytes()
    rerun()
    try:
        write_clip(source, frames=FRAMES + 1)
        with pytest.raises(OutputError, match="another video"):
            rerun()
    finally:
        source.write_bytes(kept)
    assert rerun().mattes == 0


def test_fresh_sets_earlier_work_aside(source, tmp_path):
    out = tmp_path / "out"
    finish(source, out)
    finish(source, out, "--fresh")
    aside = out / ".vrmatte" / "set-aside"
    (kept,) = aside.iterdir()
    assert (kept / "manifest.sqlite").exists()
    assert len(list(kept.glob("chunks/*/matte.mkv"))) == 9


# --- others at work, no room ---------------------------------------------------------------------


def test_a_second_run_is_refused_and_told_who_works(source, tmp_path):
    out = tmp_path / "out"
    first = start(source, out, prepare=[slow_chunks])
    wait_for(lambda: rows(out, "piece") > 0)
    os.kill(first.pid, signal.SIGSTOP)
    second = start(source, out)
    assert second.wait() == 6
    os.kill(first.pid, signal.SIGCONT)
    assert f"process {first.pid} on " in one_line(second.errors)
    assert first.wait() == 0


def test_a_killed_run_holds_no_lock(source, tmp_path):
    out = tmp_path / "out"
    first = start(source, out, prepare=[slow_chunks])
    wait_for(lambda: rows(out, "piece") > 0)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    finish(source, out)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """A disk of its own, made or resized to a number of bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs the right to mount a small disk")

    def resize(size: int) -> Path:
        again = ["-o", f"remount,size={size}"] if os.path.ismount(place) else ["-o", f"size={size}"]
        if subprocess.run(["mount", "-t", "tmpfs", *again, "none", str(place)]).returncode:
            pytest.skip("can't mount a small disk here")
        return place / "out"

    yield resize
    subprocess.run(["umount", str(place)], check=False)


def no_reserve() -> None:
    workplace.RESERVE_BYTES = 0


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(0.02, marks=pytest.mark.slow),
        0.2,
        pytest.param(0.5, marks=pytest.mark.slow),
        0.8,
        pytest.param(0.97, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_loses_nothing(source, undisturbed, small_disk, tmp_path, share):
    log = tmp_path / "log"
    finish(source, tmp_path / "measured")
    needed = sum(p.stat().st_blocks * 512 for p in (tmp_path / "measured").rglob("*"))
    out = small_disk(int(needed * share))
    arguments = start_arguments(source, out)
    job = JobProcess(arguments, log, prepare=[no_reserve])
    assert job.wait() == 5, job.errors
    assert "free some space and run the same command again" in one_line(job.errors)
    assert not list(out.glob("*.mp4.part"))
    small_disk(4 * needed)
    job = JobProcess(arguments, log, prepare=[no_reserve])
    assert job.wait() == 0, job.errors
    assert content(out) == undisturbed[0]


def test_no_chunk_is_begun_without_a_reserve(source, small_disk, tmp_path):
    job = JobProcess(start_arguments(source, small_disk(4 << 20)), tmp_path / "log")
    assert job.wait() == 5
    assert "MB free" in one_line(job.errors)


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_a_limit_on_file_size_loses_nothing(source, undisturbed, tmp_path):
    out = tmp_path / "out"
    job = start(source, out, prepare=[small_files])
    assert job.wait() == 7
    assert one_line(job.errors).startswith("vrmatte: can't write ")
    assert finish(source, out) == undisturbed[0]


def test_a_place_that_cant_be_written_is_named(source, tmp_path):
    (tmp_path / "file").write_text("no directory")
    job = JobProcess(start_arguments(source, tmp_path / "file" / "out"), tmp_path / "log")
    assert job.wait() == 7
    assert one_line(job.errors).startswith(f"vrmatte: can't write {tmp_path / 'file' / 'out'}: ")
