"""Writing of one chunk of an image sequence: one file per frame, each written atomically.

Frames from an earlier, interrupted attempt are kept if it had the same key. The file of the chunk
is a small listing of its frames and their digests, written last.
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

import av.error
import numpy as np
import numpy.typing as npt

from vrmatte.errors import OutputError, VerificationError, output_error
from vrmatte.files import (
    DRAFT_SUFFIX,
    ChunkFile,
    commit_text,
    replace_text,
    sha256_of,
    write_atomically,
)
from vrmatte.frames import ColorTags, StraightFrame
from vrmatte.media.opening import writing_error
from vrmatte.media.sequences.exr import read_exr, write_exr
from vrmatte.media.sequences.png import read_png, write_png
from vrmatte.platform_support import is_link, remove_file, sync_directory

SequenceKind = Literal["png", "exr"]

PaintRows = Callable[[StraightFrame, int, int], npt.NDArray[Any]]
"""Renders rows first..last-1 of a frame as RGBA, shape (rows, W, 4): uint8 or uint16 for png,
float16 in linear light for exr."""

RgbaPicture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float16]
"""Shape (H, W, 4), alpha straight."""

_KEY_FILE = "made-from"
_LARGEST_LISTING_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """Properties of all files of a sequence; plain values, part of a chunk's key."""

    kind: SequenceKind
    stem: str
    """Prefix of file names."""
    size: tuple[int, int]
    """Width and height."""
    bits: int
    """Bits per sample: 8 or 16 in png, 16 (half floats) in exr."""
    color: ColorTags
    """Tags of the video; primaries and transfer are written to each file."""
    time_base: Fraction

    @property
    def light(self) -> Literal["video", "linear"]:
        """Transfer of the samples: the video's own curve, or linear light."""
        return "linear" if self.kind == "exr" else "video"

    def file_name(self, number: int) -> str:
        """Return the file name of a frame, numbered within the whole source."""
        return f"{self.stem}_{number:06d}.{self.kind}"


@dataclass(frozen=True, slots=True)
class FrameFile:
    """File of one frame, as recorded in listings."""

    number: int
    """Frame number within the whole source."""
    file: str
    bytes: int
    sha256: str


class SequenceWriter:
    """Writer of frames into `folder`, and on commit of their listing beside it, `folder.json`."""

    def __init__(
        self, folder: Path, spec: SequenceSpec, numbers: range, key: str, paint: PaintRows
    ) -> None:
        """Create the folder, and keep frames of an earlier attempt with the same key.

        Args:
            folder: folder for the frames of this chunk only.
            spec: properties of all files.
            numbers: frames of the chunk, numbered within the whole source.
            key: digest of everything that determines the images.
            paint: converts frames to RGBA.

        Raises:
            OutputError, DiskFullError: the folder can't be created.
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
        """Return True if a frame is complete already and need not be composed."""
        return (self._folder / self._spec.file_name(number)).is_file()

    def write(self, straight: StraightFrame, pts: int, number: int) -> None:
        """Write frame `number`, shown at `pts`.

        Raises:
            OutputError, DiskFullError: the file can't be written; no part of it is left.
        """
        path = self._folder / self._spec.file_name(number)
        try:
            with write_atomically(path, sync_folder=False) as draft:
                with draft.open("wb") as file:
                    self._write_image(file, straight, pts)
                frame = _frame_file(number, draft, path.name)
        except av.error.FFmpegError as error:
            raise writing_error(error, path) from error
        self._written[number] = frame

    def commit(self) -> ChunkFile:
        """Write the listing, which completes the chunk.

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
        try:
            sync_directory(self._folder)
            frames = [self._frame(number) for number in self._numbers]
        except OSError as error:
            raise output_error(error, listing) from error
        return commit_text(listing, listing_text({"kind": self._spec.kind}, frames), len(frames))

    def discard(self) -> None:
        """Delete incomplete files; complete frames are kept for the next attempt."""
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
        """Describe a frame of this attempt or an earlier one."""
        name = self._spec.file_name(number)
        return self._written.get(number) or _frame_file(number, self._folder / name, name)

    def _write_image(self, file: BinaryIO, straight: StraightFrame, pts: int) -> None:
        def paint(first: int, last: int) -> npt.NDArray[Any]:
            return self._paint(straight, first, last)

        spec = self._spec
        if spec.kind == "png":
            write_png(file, spec.size, spec.bits, spec.color, paint)
        else:
            write_exr(file, spec.size, spec.color, seconds_text(pts, spec.time_base), paint)


def read_sequence_frame(path: Path) -> RgbaPicture:
    """Decode one file of a sequence.

    Raises:
        VerificationError: the file is missing, damaged, or not of the kind that its suffix says.
    """
    try:
        content = path.read_bytes()
        return read_png(content) if path.suffix == ".png" else read_exr(content)
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path}: can't be decoded: {error}") from error


def seconds_text(pts: int, time_base: Fraction) -> str:
    """Format a time in seconds as an exact fraction: "1001/30000"."""
    seconds = pts * time_base
    return f"{seconds.numerator}/{seconds.denominator}"


def listing_text(
    facts: Mapping[str, object],
    frames: Sequence[FrameFile],
    more: Callable[[int], Mapping[str, object]] = lambda _: {},
) -> str:
    """Format facts and frames as JSON, one frame per line; `more` adds fields to each by index."""
    head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in facts.items())
    lines = ",\n".join(
        "  " + json.dumps(asdict(frame) | dict(more(index))) for index, frame in enumerate(frames)
    )
    return f'{{\n{head} "frames": [\n{lines}\n ]\n}}\n'


def read_listing(path: Path) -> tuple[dict[str, Any], list[FrameFile]]:
    """Read the facts and frames of a listing.

    Raises:
        VerificationError: the listing is missing or damaged.
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
        raise VerificationError(f"{path}: missing or damaged ({str(error)[:200]})") from error
    return facts, frames


def _plain_name(listed: object) -> str:
    """Return a listed file name; refuse one with a path, which would lead out of the folder."""
    name = str(listed)
    if name in ("", ".", "..") or not name.isprintable() or not {"/", "\\"}.isdisjoint(name):
        raise ValueError(f"{name[:60]!r} is not a plain file name")
    return name


def holds_all_frames(listing: Path) -> bool:
    """Return True if all frames of a finished folder's listing exist with their sizes."""
    try:
        frames = read_listing(listing)[1]
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(listing.parent)}
    except (OSError, VerificationError):
        return False
    return all(sizes.get(frame.file) == frame.bytes for frame in frames)


def drop_broken_frames(listing: Path) -> bool:
    """Delete the frames of a chunk that differ from their digests, and then its listing.

    The next attempt writes those frames again and keeps the others. Returns True if any was broken.
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
    """Delete the frames and listing of a chunk whose sequence is finished.

    The listing is deleted last: as long as it exists, an interrupted deletion is repeated.
    """
    shutil.rmtree(listing.with_suffix(""), ignore_errors=True)
    remove_file(listing)


def _make_folder(folder: Path, key: str) -> None:
    if is_link(folder):  # files in it may be deleted below
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    key_file = folder / _KEY_FILE
    if not key_file.is_file() or key_file.read_text(encoding="utf-8") != key:
        # The old key goes last, so that after a kill no old frame counts as one of the new key.
        for path in folder.iterdir():
            if path != key_file:
                path.unlink()
        replace_text(key_file, key)
    _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    for part in folder.glob(f"*{DRAFT_SUFFIX}"):
        remove_file(part)


def _frame_file(number: int, path: Path, name: str) -> FrameFile:
    return FrameFile(number, name, path.stat().st_size, sha256_of(path))
