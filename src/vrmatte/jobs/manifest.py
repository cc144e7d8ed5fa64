"""The manifest of one job: its pieces and the parameters of each. SQLite, safe when killed.

A piece counts only if it has a row, its file has the recorded size, and (before it is joined, or
on `verify`) its digest. Rows are written in one transaction, after the files are on disk.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from pydantic import TypeAdapter, ValidationError

from vrmatte.errors import DiskFullError, OutputError
from vrmatte.files import ChunkFile, sha256_of
from vrmatte.matting.base import EngineChoice
from vrmatte.media.sequences.sequence import holds_all_frames
from vrmatte.plan import Parameters, key_of
from vrmatte.platform_support import is_inside, remove_file
from vrmatte.settings.config import Config

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS piece (
    chunk INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, parameters TEXT NOT NULL,
    file TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, frames INTEGER NOT NULL,
    PRIMARY KEY (chunk, name));
CREATE TABLE IF NOT EXISTS product (
    name TEXT PRIMARY KEY, key TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, checks TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS timing (
    chunk INTEGER NOT NULL, stage TEXT NOT NULL, seconds REAL NOT NULL);
"""
_SQLITE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
"""SQLite's message about a damaged file may be invalid text."""
_PRIMARY_CODE = 0xFF
"""SQLite's extended codes hold the primary code in their low byte."""
_SPARE_BYTES = 1 << 20
_LONGEST_VALUE_BYTES = 16 << 20
"""Limit of one text in the manifest; longer values are refused."""


@dataclass(frozen=True, slots=True)
class Product:
    """A finished, verified file, or the listing of a folder of images."""

    name: str
    key: str
    path: Path
    bytes: int
    sha256: str
    checks: Mapping[str, object]
    """Results of the verification."""

    @property
    def is_in_place(self) -> bool:
        """True if the file, or every image of a folder, still exists with its size."""
        if not self.path.is_file() or self.path.stat().st_size != self.bytes:
            return False
        return not self.is_sequence or holds_all_frames(self.path)

    @property
    def is_sequence(self) -> bool:
        """True for a folder of images."""
        return "bytes" in self.checks

    @property
    def shown_path(self) -> Path:
        """The file, or the folder, as the user knows it."""
        return self.path.parent if self.is_sequence else self.path

    @property
    def all_bytes(self) -> int:
        """Size of the file, or of all images."""
        total = self.checks.get("bytes")
        return total if isinstance(total, int) else self.bytes


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """A chunk of a file or of the matte store, or a state, findings, scores or profile."""

    chunk: int
    name: str
    key: str
    path: Path


class Manifest:
    """The database of one job."""

    def __init__(self, folder: Path, output: Path) -> None:
        """Open it in the job's folder; `output` is the folder of finished files.

        Raises:
            OutputError, DiskFullError: it can't be used, or another version wrote it.
        """
        self._folder = folder
        self._output = output
        path = folder / "manifest.sqlite"
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            try:
                self._prepare(path)
            except BaseException:
                self._db.close()  # Windows can't delete an open file
                raise
        except _SQLITE_ERRORS as error:
            raise _storage_error(error, path) from error

    def _prepare(self, path: Path) -> None:
        """Make the tables, and refuse those of another version."""
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
        self._db.execute("PRAGMA trusted_schema=OFF")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        version = self.fact("schema")
        if version is None:
            self.set_fact("schema", SCHEMA_VERSION)
        elif version != SCHEMA_VERSION:
            raise OutputError(
                f"{path}: was written by another version of vrmatte (schema {version}, this one "
                f"reads {SCHEMA_VERSION}). Finish it with that version, or start over with --fresh"
            )

    def fact(self, name: str) -> object:
        """Return a fact about the job, or None."""
        row = self._row("SELECT value FROM fact WHERE name = ?", name)
        return None if row is None else self._decoded(row[0])

    def set_fact(self, name: str, value: object) -> None:
        """Record a fact (any JSON value)."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    def piece(self, chunk: int, name: str, key: str) -> Path | None:
        """Return the file of a piece if it was made with this key and still has its size."""
        row = self._row(
            "SELECT file, bytes FROM piece WHERE chunk = ? AND name = ? AND key = ?",
            chunk,
            name,
            key,
        )
        if row is None:
            return None
        path = self._inside(self._folder, row[0])
        return path if path.is_file() and path.stat().st_size == row[1] else None

    def piece_parameters(self, name: str, first: int = 0) -> tuple[int, Parameters] | None:
        """Return the chunk and parameters of the first stored piece of a name, from a chunk on."""
        row = self._row(
            "SELECT chunk, parameters FROM piece WHERE name = ? AND chunk >= ? "
            "ORDER BY chunk LIMIT 1",
            name,
            first,
        )
        return None if row is None else (row[0], self._decoded_object(row[1]))

    def commit_chunk(
        self,
        chunk: int,
        files: Mapping[str, ChunkFile],
        parameters: Mapping[str, Parameters],
        seconds: Mapping[str, float],
    ) -> None:
        """Record a chunk's new pieces, all or none."""
        with self._transaction():
            for name, file in files.items():
                made_from = parameters[name]
                self._db.execute(
                    "INSERT OR REPLACE INTO piece VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        chunk,
                        name,
                        key_of(made_from),
                        json.dumps(made_from, default=str),
                        str(file.path.relative_to(self._folder)),
                        file.bytes,
                        file.sha256,
                        file.frames,
                    ),
                )
            self._db.executemany(
                "INSERT INTO timing VALUES (?, ?, ?)",
                [(chunk, stage, value) for stage, value in seconds.items()],
            )

    def all_pieces(self) -> list[StoredPiece]:
        """Return every recorded piece, whether or not its file still exists."""
        rows = self._rows("SELECT chunk, name, key, file FROM piece ORDER BY chunk, name")
        return [
            StoredPiece(chunk, name, key, self._inside(self._folder, file))
            for chunk, name, key, file in rows
        ]

    def forget_if_broken(self, chunk: int, name: str) -> str | None:
        """Remove a piece whose file is missing or has another digest; return the file's name."""
        row = self._row("SELECT file, sha256 FROM piece WHERE chunk = ? AND name = ?", chunk, name)
        if row is None or self._is_whole(*row):
            return None
        self.forget_piece(chunk, name)
        return row[0]

    def _is_whole(self, file: str, sha256: str) -> bool:
        path = self._inside(self._folder, file)
        return path.is_file() and sha256_of(path) == sha256

    def broken_pieces(self) -> list[tuple[int, str, str]]:
        """Return the pieces whose file is missing or has another digest: (chunk, name, file)."""
        rows = self._rows("SELECT chunk, name, file, sha256 FROM piece ORDER BY chunk")
        return [
            (chunk, name, file)
            for chunk, name, file, sha256 in rows
            if not self._is_whole(file, sha256)
        ]

    def forget_piece(self, chunk: int, name: str) -> None:
        """Remove a piece, so that it is redone."""
        with self._transaction():
            self._db.execute("DELETE FROM piece WHERE chunk = ? AND name = ?", (chunk, name))

    def pieces(self, name: str) -> list[Path]:
        """Return the files of all chunks of a piece."""
        rows = self._rows("SELECT file FROM piece WHERE name = ?", name)
        return [self._inside(self._folder, file) for (file,) in rows]

    def drop_pieces(self, name: str) -> None:
        """Delete all chunks of a joined file, the rows first."""
        files = self.pieces(name)
        with self._transaction():
            self._db.execute("DELETE FROM piece WHERE name = ?", (name,))
        for file in files:
            remove_file(file)

    def product(self, name: str) -> Product | None:
        """Return a recorded finished file, whether or not it still exists."""
        row = self._row(
            "SELECT name, key, file, bytes, sha256, checks FROM product WHERE name = ?", name
        )
        if row is None:
            return None
        path = self._inside(self._output, row[2])
        return Product(row[0], row[1], path, row[3], row[4], self._decoded_object(row[5]))

    def products(self) -> list[Product]:
        """Return all recorded finished files."""
        names = self._rows("SELECT name FROM product ORDER BY name")
        return [product for (name,) in names if (product := self.product(name)) is not None]

    def piece_keys(self, name: str) -> dict[int, str]:
        """Return the key of each chunk's piece of a name."""
        return dict(self._rows("SELECT chunk, key FROM piece WHERE name = ?", name))

    def product_parameters(self, name: str) -> Parameters | None:
        """Return the parameters of a finished file's first chunk, kept after the chunk itself."""
        made_from = self.fact(f"made_from:{name}")
        return cast(Parameters, made_from) if isinstance(made_from, dict) else None

    def commit_product(self, product: Product, made_from: Parameters) -> None:
        """Record a finished, verified file and the parameters of its first chunk."""
        with self._transaction():
            facts = {"made_from": made_from, "time_ns": product.path.stat().st_mtime_ns}
            self._db.executemany(
                "INSERT OR REPLACE INTO fact VALUES (?, ?)",
                [
                    (f"{name}:{product.name}", json.dumps(value, default=str))
                    for name, value in facts.items()
                ],
            )
            self._db.execute(
                "INSERT OR REPLACE INTO product VALUES (?, ?, ?, ?, ?, ?)",
                (
                    product.name,
                    product.key,
                    str(product.path.relative_to(self._output)),
                    product.bytes,
                    product.sha256,
                    json.dumps(product.checks),
                ),
            )

    def stage_seconds(self) -> dict[str, float]:
        """Return the wall time by stage, over all chunks ever made in this job."""
        rows = self._rows("SELECT stage, SUM(seconds) FROM timing GROUP BY stage")
        return {stage: round(seconds, 3) for stage, seconds in rows}

    def close(self) -> None:
        """Release the database file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, query: str, *values: object) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except _SQLITE_ERRORS as error:
            raise _storage_error(error, self._path) from error

    def _row(self, query: str, *values: object) -> Any:
        return next(iter(self._rows(query, *values)), None)

    def _decoded(self, text: object) -> object:
        try:
            return json.loads(str(text))
        except (ValueError, RecursionError) as error:
            raise _unusable(self._path, "holds a broken value") from error

    def _decoded_object(self, text: object) -> dict[str, object]:
        value = self._decoded(text)
        if not isinstance(value, dict):
            raise _unusable(self._path, "holds a broken value")
        return cast(dict[str, object], value)

    def _inside(self, folder: Path, file: object) -> Path:
        """Return the path of a recorded file; a foreign manifest could name any file."""
        path = folder / str(file)
        if not is_inside(folder, str(file)) or path.is_dir():
            raise _unusable(self._path, f"names a file outside its folder ({str(file)[:60]!r})")
        return path

    @property
    def _path(self) -> Path:
        return self._folder / "manifest.sqlite"

    @contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except _SQLITE_ERRORS as error:
            raise _storage_error(error, self._path) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _unusable(path: Path, why: str) -> OutputError:
    return OutputError(
        f"{path}: the manifest can't be used (it {why}). Restore it, or start over with --fresh"
    )


def _storage_error(error: Exception, path: Path) -> OutputError | DiskFullError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    # Without room for its shared memory SQLite reports an I/O error.
    starved = code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < _SPARE_BYTES
    if code == sqlite3.SQLITE_FULL or starved:
        return DiskFullError(
            f"disk full while writing {path}: free some space and run the same command again, "
            "finished chunks are kept"
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return OutputError(
            f"can't write {path}: {error}. Fix the disk or its permissions, or choose another "
            "--out, and run the same command again"
        )
    return _unusable(path, f"fails with: {error}")


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The settings of a run that had a plan."""

    video: Path
    config: Config
    engine: EngineChoice
    """The engine that made the mattes; its weights may be gone."""


def earlier_run(manifest: Manifest, file: str | None = None) -> EarlierRun:
    """Return the last run; with `file`, a deliverable's id, the last that was to make that file.

    Raises:
        OutputError: there was none.
    """
    video, engine = manifest.fact("video"), manifest.fact("engine")
    settings = manifest.fact("config" if file is None else f"config:{file}")
    if not isinstance(video, str) or not isinstance(engine, dict) or settings is None:
        raise OutputError("the manifest records no run; run `vrmatte run` first")
    try:
        choice = TypeAdapter(EngineChoice).validate_python(engine)
        return EarlierRun(Path(video), Config.model_validate(settings), choice)
    except ValidationError as error:
        raise OutputError(
            "the manifest has an invalid record of the last run; start over with --fresh"
        ) from error
