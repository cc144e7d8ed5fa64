"""Text files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from vrmatte.errors import output_error
from vrmatte.media.encode import ChunkFile, commit_file


def replace_text(path: Path, text: str) -> None:
    """Write a file, or leave the one before as it is.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    with _written(path, text) as part:
        os.replace(part, path)


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
        part.unlink(missing_ok=True)  # a link there would lead the writing elsewhere
        part.write_text(text, encoding="utf-8")
        yield part
    except OSError as error:
        part.unlink(missing_ok=True)
        raise output_error(error, path) from error
