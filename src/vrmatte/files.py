"""Atomic writing: a file appears under its name complete, or not at all. Also digests of files.

Content goes into a draft beside the file, `NAME.part`, which is flushed to disk and then renamed.
A killed process leaves at most a draft, which the next attempt overwrites.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vrmatte.errors import VrmatteError, output_error
from vrmatte.platform_support import remove_file, replace_file, sync_directory

DRAFT_SUFFIX = ".part"


def draft_path(path: Path) -> Path:
    """Return where the content of `path` is written before it gets its name."""
    return path.with_name(path.name + DRAFT_SUFFIX)


def free_name(path: Path, word: str) -> Path:
    """Return a path beside `path` that does not exist: `STEM.WORD-N.SUFFIX`."""
    names = (f"{path.stem}.{word}-{number}{path.suffix}" for number in itertools.count(1))
    return next(each for name in names if not os.path.lexists(each := path.with_name(name)))


@contextmanager
def write_atomically(
    path: Path,
    as_error: Callable[[OSError, Path], VrmatteError] = output_error,
    *,
    sync_folder: bool = True,
) -> Generator[Path]:
    """Yield a draft that replaces `path` when the block ends, and is deleted when it fails.

    Args:
        path: the file to write; an earlier one stays as it is until the draft is complete.
        as_error: maps errors of the operating system, inside the block too.
        sync_folder: make the rename itself durable. False where many files are written into one
            folder and the caller syncs that folder once.

    Raises:
        OutputError, DiskFullError: the file can't be written (or as `as_error` says).
    """
    draft = draft_path(path)
    try:
        remove_file(draft)  # a symbolic link there would redirect the writing
        yield draft
        _publish(draft, path, sync_folder=sync_folder)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove_file(draft)
        if isinstance(error, OSError):
            raise as_error(error, path) from error
        raise


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically.

    Raises:
        OutputError, DiskFullError: the file can't be written.
    """
    with write_atomically(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """A finished file of one chunk, as recorded in the manifest."""

    path: Path
    bytes: int
    sha256: str
    frames: int

    @classmethod
    def of_draft(cls, draft: Path, path: Path, frames: int) -> ChunkFile:
        """Describe a complete draft that is about to become `path`."""
        return cls(path, draft.stat().st_size, sha256_of(draft), frames)


def commit_text(path: Path, text: str, frames: int) -> ChunkFile:
    """Write a text file of a chunk atomically.

    Raises:
        OutputError, DiskFullError: the file can't be written.
    """
    with write_atomically(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
        return ChunkFile.of_draft(draft, path, frames)


def commit_file(
    draft: Path,
    path: Path,
    frames: int,
    before_naming: Callable[[str], None] = lambda _: None,
) -> ChunkFile:
    """Compute the digest of a complete draft, flush it to disk and rename it to `path`.

    `before_naming` is called with the digest before the rename.

    Raises:
        OutputError, DiskFullError: the operating system refuses; the draft stays.
    """
    try:
        file = ChunkFile.of_draft(draft, path, frames)
        before_naming(file.sha256)
        _publish(draft, path, sync_folder=True)
    except OSError as error:
        raise output_error(error, path) from error
    return file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 digest of a file's content, hexadecimal in lower case."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Create a directory and its parents where they are missing.

    Raises:
        OutputError, DiskFullError: it can't be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, path) from error


def _publish(draft: Path, path: Path, *, sync_folder: bool) -> None:
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    replace_file(draft, path)
    if sync_folder:
        sync_directory(path.parent)
