"""The folders and the lock of one job: `OUT/.vrmatte/STEM/`, used by one run at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from vrmatte.errors import DiskFullError, InputError, OutputError, OutputLockedError, output_error
from vrmatte.platform_support import (
    is_link,
    name_length,
    reachable_path,
    remove_file,
    replace_file,
    synced_folder,
)

WORK_FOLDER = ".vrmatte"
ASIDE_FOLDER = "set-aside"
_RESERVED_NAMES = frozenset({"", ASIDE_FOLDER})
_DEVICE_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{k}{n}" for k in ("com", "lpt") for n in range(1, 10))}
)
"""Windows opens devices by these names, whatever the suffix."""
_LONGEST_JOB_NAME = 200
"""Limit of the folder's name, as `name_length` counts; files beside it have longer names."""
_LONGEST_OWNER_BYTES = 4096
RESERVE_BYTES = 256 << 20
"""Free space below which no further chunk is started."""


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The paths of one job."""

    output: Path
    """Finished files and the report."""
    folder: Path
    """Manifest, lock, log and chunks."""
    set_aside: Path | None = None
    """Folder to which `fresh` has moved the work of earlier runs; None: it has not."""

    def chunk_folder(self, index: int) -> Path:
        """Return the folder of a chunk's files."""
        return self.folder / "chunks" / f"{index:06d}"

    def check_space(self, reserve_bytes: int | None = None) -> None:
        """Check that there is room for another chunk.

        Raises:
            DiskFullError: less than the reserve is free.
        """
        reserve_bytes = RESERVE_BYTES if reserve_bytes is None else reserve_bytes
        free = shutil.disk_usage(self.folder).free
        if free < reserve_bytes:
            raise DiskFullError(
                f"{self.output}: only {free >> 20} MB free, the next chunk needs up to "
                f"{reserve_bytes >> 20} MB: free some space and run the same command again, "
                "finished chunks are kept"
            )


def reachable_output(output: Path, stem: str) -> Path:
    """Return an output directory in a form in which every file of a job can be opened.

    The longest names hold the stem twice: `.vrmatte/STEM/...` or `STEM_png/STEM_000123.png.part`,
    with tags of projection and deliverable of at most 80 characters.
    """
    return reachable_path(output, below=2 * len(stem) + 80)


def job_name(stem: str) -> str:
    """Return the name of the folder of a video's job: the video's stem where that is safe.

    Stems that are a path of their own, end like a lock, or are names of devices on Windows are
    replaced by a digest.
    """
    plain = stem.casefold()
    is_safe = (
        plain not in _RESERVED_NAMES
        and not plain.endswith((".", " ", ".lock", ".owner", ".part"))
        and plain.partition(".")[0] not in _DEVICE_NAMES
        and name_length(stem) <= _LONGEST_JOB_NAME
    )
    return stem if is_safe else f"video-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]}"


def sync_notices(output: Path) -> Iterator[str]:
    """Yield a notice where a cloud service syncs the output directory."""
    service = synced_folder(output.absolute(), os.environ, Path.home())
    if service is not None:
        yield (
            f"{service} syncs {output}: it uploads every chunk and may hold files for a moment. "
            "Choose an --out outside of it, or pause the sync until the run ends"
        )


@contextmanager
def open_job_folder(output: Path, stem: str, *, fresh: bool) -> Generator[JobFolder]:
    """Create the folders and hold the lock; `fresh` first moves the work of earlier runs aside.

    Raises:
        OutputLockedError: another run holds the lock.
        OutputError, DiskFullError: the folders can't be created.
    """
    stem = job_name(stem)
    output = reachable_output(output, stem)
    folder = output / WORK_FOLDER / stem
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, output) from error
    with _held(folder.with_name(f"{stem}.lock"), output):
        aside = None
        try:
            if fresh:
                aside = _set_aside(folder)
            refuse_links(folder)
            _sweep(folder)
        except OSError as error:
            raise output_error(error, folder) from error
        yield JobFolder(output, folder, aside)


@contextmanager
def missing_output_as_error(job: JobFolder) -> Generator[None]:
    """Turn any error after the output disappeared, e.g. with its drive, into one that says so.

    Raises:
        OutputError: the output folder is gone.
    """
    try:
        yield
    except Exception as error:
        if job.folder.is_dir():
            raise
        raise OutputError(
            f"can't write {job.output}: it is gone. Bring it back and run the same command "
            "again, finished chunks are kept"
        ) from error


@contextmanager
def locked_job(output: Path, stem: str) -> Generator[JobFolder]:
    """Hold the lock of an existing job, and change nothing.

    Raises:
        OutputLockedError: a run holds the lock.
        OutputError: there is a link in the folder, which vrmatte never creates.
    """
    output = reachable_output(output, stem)
    folder = output / WORK_FOLDER / stem
    for path in (folder.parent, folder):
        if is_link(path):
            raise OutputError(f"{path}: is a link, which isn't followed. Name the directory itself")
    with _held(folder.with_name(f"{stem}.lock"), output):
        refuse_links(folder)
        yield JobFolder(output, folder)


@contextmanager
def _held(path: Path, output: Path) -> Generator[None]:
    lock = FileLock(path, thread_local=False)
    owner = path.with_suffix(".owner")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputLockedError(
            f"{output}: another run is writing here ({_describe(owner)}). Wait for it, stop it, or "
            "choose another --out"
        ) from error
    except OSError as error:
        raise output_error(error, path) from error
    try:
        remove_file(owner)  # if it is a link, writing would change another file
        owner.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        lock.release()


def _describe(owner: Path) -> str:
    try:
        with owner.open("rb") as file:
            facts = json.loads(file.read(_LONGEST_OWNER_BYTES))
        return f"process {int(facts['pid'])} on {facts['host']!s:.80}"
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "process unknown"


def _set_aside(folder: Path) -> Path | None:
    """Move the work of earlier runs aside, and return its place: --fresh never deletes."""
    if not any(folder.iterdir()):
        return None
    aside = folder.parent / ASIDE_FOLDER / f"{folder.name}-{time.time_ns()}"
    aside.parent.mkdir(exist_ok=True)
    replace_file(folder, aside)
    folder.mkdir()
    return aside


def job_stems(output: Path) -> list[str]:
    """Return the names of the jobs in an output directory, sorted."""
    folders = (reachable_output(output, "") / WORK_FOLDER).glob("*/manifest.sqlite")
    return sorted(path.parent.name for path in folders)


def begun_jobs(output: Path) -> list[str]:
    """Return the names of the jobs in a directory, sorted; at least one.

    Raises:
        InputError: there is none.
    """
    stems = job_stems(output)
    if not stems:
        raise InputError(f"{output}: holds no vrmatte job; accepted is the --out of an earlier run")
    return stems


def refuse_links(folder: Path) -> None:
    """Refuse links in a job's folder, so that nothing outside is changed; vrmatte creates none.

    The folder itself may be one, to a larger drive.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if is_link(path):
                raise OutputError(f"{path}: is a link, which no job holds. Remove it")


def _sweep(folder: Path) -> None:
    """Delete half-written files of a killed run."""
    for part in folder.rglob("*.part"):
        remove_file(part)
