"""Power that fails, disks that fill up or go away in the middle of a run; files without a frame.

The faults are real where an operating system can be made to have them: a file system without
space, directories without the right to write, a directory that is gone. Power that fails is played:
after a kill, what a disk may not have kept yet is taken from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from support.brightness import QUICK_OPTIONS
from support.faults import Fault
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip
from support.paths import REPOSITORY, TESTS
from support.soak import Frames, SmallDisk, disk, frames_of
from vrmatte.files import sha256_of

pytestmark = pytest.mark.faults

FRAMES, CHUNK_FRAMES, CHUNKS = 24, 6, 4
JOB = Path(".vrmatte/clip_LR_180")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, audio=("aac",))
    return path


@pytest.fixture(scope="module")
def undisturbed(clip, tmp_path_factory) -> Frames:
    return finish(clip, tmp_path_factory.mktemp("undisturbed") / "out")


def start(clip: Path, out: Path, log: Path, *faults: Fault) -> JobProcess:
    arguments = ["run", str(clip), "--out", str(out), "--deliver", "matte-lossless,greenscreen"]
    arguments += ["--set", f"processing.chunk_size={CHUNK_FRAMES}"]
    arguments += ["--set", "output.encoder=software", "--set", "output.report=json"]
    return JobProcess([*arguments, *QUICK_OPTIONS], log, faults)


def finish(clip: Path, out: Path, log: Path | None = None) -> Frames:
    job = start(clip, out, log or out.with_name("finish.log"))
    assert job.wait() == 0, job.errors
    assert not list(out.rglob("*.part"))
    return frames_of(out)


def one_line(job: JobProcess) -> str:
    """The last thing said; it is a line of ours and no traceback."""
    assert "Traceback" not in job.errors
    last = job.errors.strip().splitlines()[-1]
    assert last.startswith("vrmatte: ")
    return last


def safe_mattes(out: Path) -> dict[Path, tuple[int, int]]:
    """Mattes and states that the manifest knows and that are whole: which file, and since when."""
    found: dict[Path, tuple[int, int]] = {}
    copy = out.with_name("manifest")  # since whoever reads one mends it
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in (out / JOB).glob("manifest.sqlite*"):
        shutil.copy(file, copy)
    with contextlib.closing(sqlite3.connect(copy / "manifest.sqlite")) as manifest:
        if not manifest.execute("SELECT 1 FROM sqlite_schema WHERE name = 'piece'").fetchone():
            return {}  # all of it was in the log that is lost
        rows = manifest.execute("SELECT file, sha256 FROM piece WHERE name IN ('matte', 'state')")
        for file, digest in rows:
            path = out / JOB / file
            if path.is_file() and sha256_of(path) == digest:
                found[path] = path.stat().st_ino, path.stat().st_mtime_ns
    return found


def as_they_are(paths: dict[Path, tuple[int, int]]) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


# --- power that fails ----------------------------------------------------------------------------


def newest(out: Path) -> list[Path]:
    """The files of the last chunk that was made."""
    return sorted(max((out / JOB / "chunks").iterdir()).iterdir())


def cut_short(out: Path) -> None:
    dice = random.Random(4)
    for path in newest(out):
        os.truncate(path, dice.randrange(path.stat().st_size))


def emptied(out: Path) -> None:
    for path in newest(out):
        os.truncate(path, 0)


def zeros(out: Path) -> None:
    for path in newest(out):
        path.write_bytes(bytes(path.stat().st_size))


def renames_dropped(out: Path) -> None:
    for path in newest(out):
        path.rename(f"{path}.part")


def files_gone(out: Path) -> None:
    for path in newest(out):
        path.unlink()


def rows_lost(out: Path) -> None:
    chunk = int(newest(out)[0].parent.name)
    with contextlib.closing(sqlite3.connect(out / JOB / "manifest.sqlite")) as manifest:
        manifest.execute("DELETE FROM piece WHERE chunk = ?", (chunk,))
        manifest.commit()


def log_cut_short(out: Path) -> None:
    log = out / JOB / "manifest.sqlite-wal"
    os.truncate(log, random.Random(5).randrange(log.stat().st_size))


def log_gone(out: Path) -> None:
    (out / JOB / "manifest.sqlite-wal").unlink()
    (out / JOB / "manifest.sqlite-shm").unlink()


def log_ends_in_zeros(out: Path) -> None:
    log = out / JOB / "manifest.sqlite-wal"
    size = log.stat().st_size
    os.truncate(log, size - 6000)
    os.truncate(log, size)


LOSSES = [
    cut_short,
    emptied,
    zeros,
    renames_dropped,
    files_gone,
    rows_lost,
    log_cut_short,
    log_gone,
    log_ends_in_zeros,
]


@pytest.mark.parametrize("loss", LOSSES)
def test_power_lost_after_a_chunk_costs_what_the_disk_lost(clip, undisturbed, tmp_path, loss):
    out = tmp_path / "out"
    death = Fault("vrmatte.jobs.manifest.Manifest.commit_chunk", 3, after=True)
    assert start(clip, out, tmp_path / "log", death).wait() == -signal.SIGKILL
    assert len(safe_mattes(out)) == 2 * 3
    loss(out)
    kept = safe_mattes(out)
    assert finish(clip, out) == undisturbed
    assert as_they_are(kept) == kept


def file_cut_short(out: Path) -> None:
    path = out / "clip_LR_180_greenscreen.mp4"
    os.truncate(path, random.Random(6).randrange(path.stat().st_size))


def file_emptied(out: Path) -> None:
    os.truncate(out / "clip_LR_180_greenscreen.mp4", 0)


def file_not_renamed(out: Path) -> None:
    path = out / "clip_LR_180_greenscreen.mp4"
    path.rename(f"{path}.part")


def file_unknown(out: Path) -> None:
    with contextlib.closing(sqlite3.connect(out / JOB / "manifest.sqlite")) as manifest:
        manifest.execute("DELETE FROM product")
        manifest.commit()


@pytest.mark.parametrize(
    ("moment", "call", "loss"),
    [
        ("commit_product", 2, file_not_renamed),
        ("commit_product", 2, file_unknown),
        ("drop_pieces", 1, file_cut_short),
        ("drop_pieces", 1, file_emptied),
    ],
)
def test_power_lost_after_a_file_costs_that_file(clip, undisturbed, tmp_path, moment, call, loss):
    """Right before its chunks are deleted, and after."""
    out = tmp_path / "out"
    death = Fault(f"vrmatte.jobs.manifest.Manifest.{moment}", call, after=True)
    assert start(clip, out, tmp_path / "log", death).wait() == -signal.SIGKILL
    loss(out)
    kept = safe_mattes(out)
    assert len(kept) == 2 * CHUNKS
    assert finish(clip, out) == undisturbed
    assert as_they_are(kept) == kept


# --- disks that fill up --------------------------------------------------------------------------


@pytest.fixture
def room(tmp_path) -> Iterator[SmallDisk]:
    place = tmp_path / "disk"
    place.mkdir()
    with disk(place) as found:
        if not isinstance(found, SmallDisk):
            pytest.skip("needs the right to mount a small disk")
        yield found


def full(place: Path, left_bytes: int) -> None:
    SmallDisk(place).fill(left_bytes, os.getpid())


FULL = {
    "while a chunk is encoded": ("vrmatte.jobs.chunks.process_chunk", 3, 4096),
    "while a state is saved": ("vrmatte.pipeline.save_state", 3, 0),
    "in the manifest, for a chunk": ("vrmatte.jobs.manifest.Manifest.commit_chunk", 3, 0),
    "while files are joined": ("vrmatte.jobs.finish.join_chunks", 2, 0),
    "in the manifest, for a file": ("vrmatte.jobs.manifest.Manifest.commit_product", 1, 0),
    "while the report is written": ("vrmatte.commands.run.write_report", 1, 0),
}


@pytest.mark.parametrize("when", FULL)
def test_a_disk_that_fills_up_loses_nothing(clip, undisturbed, room, tmp_path, when):
    function, call, left_bytes = FULL[when]
    out = room.place / "out"
    fault = Fault(function, call, partial(full, room.place, left_bytes))
    job = start(clip, out, tmp_path / "log", fault)
    assert job.wait() == 5, job.errors
    assert "free some space and run the same command again" in one_line(job)
    room.empty()
    kept = safe_mattes(out)
    assert len(kept) == 2 * (2 if call == 3 else CHUNKS)
    assert finish(clip, out, tmp_path / "log") == undisturbed
    assert as_they_are(kept) == kept


# --- directories that go away --------------------------------------------------------------------


def no_privileges() -> None:
    """Let rights to files hold for root too, as for any other user."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    version_3 = 0x20080522
    nothing = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(ctypes.byref(Header(version_3, 0)), nothing) == 0


def read_only(out: Path) -> None:
    no_privileges()
    for folder in (*(path for path in out.rglob("*") if path.is_dir()), out):
        folder.chmod(0o555)


def moved_away(out: Path) -> None:
    out.rename(f"{out}-elsewhere")


def unmounted(out: Path) -> None:
    """As after a drive that dropped: where it was, an empty directory is left."""
    moved_away(out)
    out.mkdir()


def put_back(out: Path) -> None:
    elsewhere = Path(f"{out}-elsewhere")
    if elsewhere.exists():
        if out.exists():
            assert not list(out.rglob("*.mp4"))
            out.rename(f"{out}-left")
        elsewhere.rename(out)
    for folder in (out, *out.rglob("*")):
        if folder.is_dir():
            folder.chmod(stat.S_IRWXU)


CHUNK, COMMIT = "vrmatte.jobs.chunks.process_chunk", "vrmatte.jobs.manifest.Manifest.commit_chunk"
JOIN, REPORT = "vrmatte.jobs.finish.join_chunks", "vrmatte.commands.run.write_report"
GONE = [
    (read_only, CHUNK, 3),
    (read_only, "vrmatte.pipeline.save_state", 3),
    (read_only, JOIN, 1),
    (read_only, REPORT, 1),
    (moved_away, CHUNK, 3),
    (moved_away, COMMIT, 2),
    (moved_away, JOIN, 1),
    (moved_away, REPORT, 1),
    (unmounted, CHUNK, 3),
    (unmounted, JOIN, 1),
]


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="rights to directories are of Unix")
@pytest.mark.parametrize(("fault", "function", "call"), GONE)
def test_an_output_that_goes_away_loses_nothing(clip, undisturbed, tmp_path, fault, function, call):
    out = tmp_path / "out"
    job = start(clip, out, tmp_path / "log", Fault(function, call, partial(fault, out)))
    code = job.wait()
    put_back(out)
    assert code == 7, (code, job.errors)
    assert "can't write" in one_line(job)
    kept = safe_mattes(out)
    assert len(kept) >= 2 * (CHUNKS if function in (JOIN, REPORT) else call - 1)
    assert finish(clip, out, tmp_path / "log") == undisturbed
    assert as_they_are(kept) == kept


# --- files without a frame -----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_video_without_a_frame_is_refused(tmp_path, suffix):
    path = tmp_path / f"clip_LR_180{suffix}"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 256, 128, "yuv420p"
        container.start_encoding()
    job = start(path, tmp_path / "out", tmp_path / "log")
    assert job.wait() == 3, job.errors
    assert str(path) in one_line(job)


# --- the table of faults -------------------------------------------------------------------------


def test_every_test_that_the_page_names_exists():
    page = (REPOSITORY / "docs" / "engineering" / "reliability.md").read_text()
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", page)
    assert len(named) > 60
    for file, name in named:
        found = list(TESTS.rglob(file))
        assert found, file
        written = "".join(path.read_text() for path in found)
        assert not name or re.search(rf"^def {name}\(", written, re.MULTILINE), name
