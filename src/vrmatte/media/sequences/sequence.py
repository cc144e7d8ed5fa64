"""Writes one chunk of an image sequence: a file per frame, each whole or absent. Knows no mattes.

Frames that an earlier, killed attempt left are kept, if it was made from the same key. The chunk's
piece is a small listing of its frames and their digests, written last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, cast

import numpy as np
import numpy.typing as npt

from vrmatte.errors import OutputError, VerificationError, output_error
from vrmatte.files import ChunkFile, commit_file, sha256_of
from vrmatte.frames import ColorTags, StraightFrame
from vrmatte.media.opening import WRITING_ERRORS, writing_error
from vrmatte.media.sequences.exr import read_exr, write_exr
from vrmatte.media.sequences.png import read_png, write_png
from vrmatte.platform_support import is_link, remove_file, replace_file, sync_directory

SequenceKind = Literal["png", "exr"]

PaintRows = Callable[[StraightFrame, int, int], npt.NDArray[Any]]
"""Gives rows first..last-1 of a frame as RGBA, shape (rows, W, 4): uint8 or uint16 for png, float16
in linear light for exr."""

RgbaPicture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float16]
"""Shape (H, W, 4), alpha straight."""

_KEY_FILE = "made-from"
_LARGEST_LISTING_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """What all files of a sequence have in common; plain values, part of a chunk's key."""

    kind: SequenceKind
    stem: str
    """What file names begin with."""
    size: tuple[int, int]
    """Width and height."""
    bits: int
    """Per sample: 8 or 16 in png, 16 (half floats) in exr."""
    color: ColorTags
    """Of the video; primaries and transfer are told in each file."""
    time_base: Fraction

    def file_name(self, number: int) -> str:
        """Name of the file of a frame, counted in the whole source."""
        return f"{self.stem}_{number:06d}.{self.kind}"


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One frame's file, as listings remember it."""

    number: int
    """Frame number, counted in the whole source."""
    file: str
    bytes: int
    sha256: str


class SequenceWriter:
    """Writes frames into `folder`, and on commit their listing beside it, `folder.json`."""

    def __init__(
        self, folder: Path, spec: SequenceSpec, numbers: range, key: str, paint: PaintRows
    ) -> None:
        """Make the folder; keep what an earlier attempt at the same key left there.

        Args:
            folder: for this chunk's frames alone.
            spec: what all files have in common.
            numbers: the frames of the chunk, counted in the whole source.
            key: identity of everything that shapes the pictures.
            paint: turns frames into RGBA.

        Raises:
            OutputError, DiskFullError: the folder can't be made.
        """
        self._folder = folder
        self._spec = spec
        self._numbers = numbers
        self._paint = paint
        self._written: dict[int, FrameFile] = {}
        try:
            _make_folder(folder, key)
        except OSError as error:
            raise output_error(error, folder) from error

    def has(self, number: int) -> bool:
        """Whether a frame's file is there already, whole; it need not be composed then."""
        return (self._folder / self._spec.file_name(number)).is_file()

    def write(self, straight: StraightFrame, pts: int, number: int) -> None:
        """Write frame `number`, shown at `pts`.

        Raises:
            OutputError, DiskFullError: the file can't be written; nothing of it stays.
        """
        path = self._folder / self._spec.file_name(number)
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                self._write_picture(file, straight, pts)
                file.flush()
                os.fsync(file.fileno())
            frame = _frame_file(number, part, path.name)
            replace_file(part, path)
        except WRITING_ERRORS as error:
            remove_file(part)
            raise writing_error(error, path) from error
        self._written[number] = frame

    def commit(self) -> ChunkFile:
        """Write the listing; the chunk then exists, whole.

        Raises:
            OutputError: a frame is missing, or the listing can't be written.
            DiskFullError: no space left.
        """
        missing = next((n for n in self._numbers if not self.has(n)), None)
        if missing is not None:
            raise OutputError(
                f"{self._folder}: frame {missing} is missing; run the same command again"
            )
        listing = self._folder.with_name(self._folder.name + ".json")
        part = listing.with_name(listing.name + ".part")
        try:
            sync_directory(self._folder)
            frames = [self._frame(number) for number in self._numbers]
            text = listing_text({"kind": self._spec.kind}, frames)
            part.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            remove_file(part)
            raise output_error(error, listing) from error
        return commit_file(part, listing, len(frames))

    def discard(self) -> None:
        """Delete half-written files; whole frames stay for the next attempt."""
        _remove_parts(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()

    def _frame(self, number: int) -> FrameFile:
        """A frame of this attempt, or of an earlier one."""
        name = self._spec.file_name(number)
        return self._written.get(number) or _frame_file(number, self._folder / name, name)

    def _write_picture(self, file: BinaryIO, straight: StraightFrame, pts: int) -> None:
        def paint(first: int, last: int) -> npt.NDArray[Any]:
            return self._paint(straight, first, last)

        spec = self._spec
        if spec.kind == "png":
            write_png(file, spec.size, spec.bits, spec.color, paint)
        else:
            write_exr(file, spec.size, spec.color, seconds_text(pts, spec.time_base), paint)


def read_sequence_frame(path: Path) -> RgbaPicture:
    """The picture of one file of a sequence, decoded by FFmpeg.

    Raises:
        VerificationError: the file is missing, or no whole picture of the kind its name tells.
    """
    try:
        content = path.read_bytes()
        return read_png(content) if path.suffix == ".png" else read_exr(content)
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path}: can't be decoded: {error}") from error


def seconds_text(pts: int, time_base: Fraction) -> str:
    """A time in seconds, exact: "1001/30000"."""
    seconds = pts * time_base
    return f"{seconds.numerator}/{seconds.denominator}"


def listing_text(
    facts: Mapping[str, object],
    frames: Sequence[FrameFile],
    more: Callable[[int], Mapping[str, object]] = lambda _: {},
) -> str:
    """JSON of facts and frames, one frame per line; `more` adds to each by its place."""
    head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in facts.items())
    lines = ",\n".join(
        "  " + json.dumps(asdict(frame) | dict(more(place))) for place, frame in enumerate(frames)
    )
    return f'{{\n{head} "frames": [\n{lines}\n ]\n}}\n'


def read_listing(path: Path) -> tuple[dict[str, Any], list[FrameFile]]:
    """Facts and frames of a listing.

    Raises:
        VerificationError: it is missing or damaged.
    """
    try:
        if path.stat().st_size > _LARGEST_LISTING_BYTES:
            raise ValueError(f"more than {_LARGEST_LISTING_BYTES >> 20} MB")
        facts = cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
        frames = [
            FrameFile(int(f["number"]), _plain_name(f["file"]), int(f["bytes"]), str(f["sha256"]))
            for f in facts["frames"]
        ]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise VerificationError(f"{path}: is missing or damaged ({str(error)[:200]})") from error
    return facts, frames


def _plain_name(told: object) -> str:
    """A file's name as listed; one with a path in it would be read, moved or deleted elsewhere."""
    name = str(told)
    if name in ("", ".", "..") or not name.isprintable() or not {"/", "\\"}.isdisjoint(name):
        raise ValueError(f"{name[:60]!r} is no plain file name")
    return name


def holds_all_frames(listing: Path) -> bool:
    """Whether every frame of a finished folder's listing lies beside it with its size."""
    try:
        frames = read_listing(listing)[1]
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(listing.parent)}
    except (OSError, VerificationError):
        return False
    return all(sizes.get(frame.file) == frame.bytes for frame in frames)


def drop_broken_frames(listing: Path) -> bool:
    """Delete a chunk's frames that differ from their digests, and then its listing.

    The next attempt makes those frames anew and keeps the others. True if any was broken.
    """
    folder = listing.with_suffix("")
    broken = False
    for frame in read_listing(listing)[1]:
        path = folder / frame.file
        if not path.is_file() or sha256_of(path) != frame.sha256:
            remove_file(path)
            broken = True
    if broken:
        remove_file(listing)
    return broken


def drop_frames(listing: Path) -> None:
    """Delete a chunk's frames and listing, once the sequence they went into is finished.

    The listing goes last: while it is there, a killed attempt is found and done again.
    """
    shutil.rmtree(listing.with_suffix(""), ignore_errors=True)
    remove_file(listing)


def _make_folder(folder: Path, key: str) -> None:
    if is_link(folder):  # everything in it is about to go
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / _KEY_FILE
    if not told.is_file() or told.read_text(encoding="utf-8") != key:
        # The old key goes last, so that a kill in between leaves no frame under the new one.
        for path in folder.iterdir():
            if path != told:
                remove_file(path)
        part = told.with_name(told.name + ".part")
        part.write_text(key, encoding="utf-8", newline="\n")
        commit_file(part, told, 0)
    _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    for part in folder.glob("*.part"):
        remove_file(part)


def _frame_file(number: int, path: Path, name: str) -> FrameFile:
    return FrameFile(number, name, path.stat().st_size, sha256_of(path))
