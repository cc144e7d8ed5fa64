"""Files written whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vrmatte.errors import output_error
from vrmatte.platform_support import remove_file, replace_file, sync_directory


def replace_text(path: Path, text: str) -> None:
    """Write a file, or leave the one before as it is.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    with _written(path, text) as part:
        replace_file(part, path)


def commit_text(path: Path, text: str, frames: int) -> ChunkFile:
    """Write a piece of a chunk, as safely as its pictures.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    with _written(path, text) as part:
        return commit_file(part, path, frames)


@contextmanager
def _written(path: Path, text: str) -> Generator[Path]:
    part = path.with_name(path.name + ".part")
    try:
        remove_file(part)  # a link there would lead the writing elsewhere
        part.write_text(text, encoding="utf-8", newline="\n")
        yield part
    except OSError as error:
        remove_file(part)
        raise output_error(error, path) from error


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """A finished chunk of one file, as the manifest remembers it."""

    path: Path
    bytes: int
    sha256: str
    frames: int


def commit_file(part: Path, path: Path, frames: int) -> ChunkFile:
    """Flush `part` to disk, take its digest, rename it to `path`, fsync the directory.

    Raises:
        OutputError, DiskFullError: the operating system refuses.
    """
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        digest = sha256_of(part)
        size = part.stat().st_size
        replace_file(part, path)
        sync_directory(path.parent)
    except OSError as error:
        raise output_error(error, path) from error
    return ChunkFile(path, size, digest, frames)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
