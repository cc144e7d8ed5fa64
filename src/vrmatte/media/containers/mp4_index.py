"""Check of the index of MP4 and MOV files, before FFmpeg allocates memory for it.

FFmpeg allocates memory for every sample that an index claims, and a claim is short: "200 million
samples of one byte each" takes 20 bytes in the file and five gigabytes of memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vrmatte.errors import InputError
from vrmatte.media.opening import MOST_FRAMES, MOST_TRACKS

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})
_TABLES = {b"stco": 4, b"co64": 8, b"stsc": 12, b"stss": 4, b"stts": 8, b"ctts": 8}
"""Bytes per entry of each table."""
_FIRST_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"}
)
_MOST_BOXES = 1_000_000
_BLOCK_ENTRIES = 1 << 16
_HEADER_BYTES = 8
_FIRST_ENTRY_BYTES = 8
"""Version, flags and number of entries come before the first entry of a sample description."""
_PCM_BLOCK_SAMPLES = 1024


def check_claims(path: Path) -> None:
    """Check the counts in a file's index; files of other containers pass.

    Raises:
        InputError: the index claims more samples than are accepted, or than the file can contain.
    """
    try:
        with path.open("rb") as file:
            if file.read(_HEADER_BYTES)[4:] in _FIRST_BOXES:
                _IndexCheck(path, file).check()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error


def lacks_sample_entry(file: BinaryIO) -> bool:
    """Return True if a track of an MP4 or MOV file doesn't say what its samples are.

    FFmpeg writes such tracks for formats it can read and not describe; players refuse the file.
    """
    size = file.seek(0, os.SEEK_END)
    pending = [(0, size)]
    while pending:
        start, end = pending.pop()
        while start + _HEADER_BYTES <= end:
            file.seek(start)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4]), head[4:8]
            content = start + _HEADER_BYTES
            if length == 1:
                length, content = int.from_bytes(head[8:16]), start + 16
            length = length or end - start
            if length < _HEADER_BYTES:
                return True
            if kind in _PARENTS:
                pending.append((content, min(start + length, end)))
            if kind == b"stsd" and start + length < content + _FIRST_ENTRY_BYTES + _HEADER_BYTES:
                return True
            start += length
    return False


@dataclass(slots=True)
class _TrackClaims:
    """Counts that the index claims for one track."""

    handlers: set[bytes] = field(default_factory=set)
    is_per_tick: bool = False
    """Every sample lasts one tick."""
    samples: int = 0
    """The largest number in any table."""
    chunks: int = 0
    largest_chunk: int = 0
    """Samples in the largest chunk."""

    @property
    def is_pcm(self) -> bool:
        """True for audio that FFmpeg indexes by block, not by sample."""
        return self.is_per_tick and b"soun" in self.handlers and b"vide" not in self.handlers

    @property
    def index_entries(self) -> int:
        """Number of index entries that FFmpeg allocates."""
        return (
            self.chunks * (self.largest_chunk // _PCM_BLOCK_SAMPLES + 1)
            if self.is_pcm
            else self.samples
        )


class _IndexCheck:
    """Walk through the boxes of one file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._size = file.seek(0, os.SEEK_END)
        self._boxes = self._tracks = self._fragment_samples = 0
        self._track = _TrackClaims()

    def check(self) -> None:
        """Check every box."""
        self._walk(0, self._size, 0)

    def _walk(self, start: int, end: int, depth: int) -> None:
        for kind, body, box_end in self._children(start, end):
            if kind == b"trak":
                self._track = _TrackClaims()
                self._tracks += 1
                if self._tracks > MOST_TRACKS:
                    raise self._refusal(f"more than {MOST_TRACKS} tracks")
            if kind in _PARENTS and depth < len(_PARENTS):
                self._walk(body, box_end, depth + 1)
            elif kind == b"cmov":
                raise self._refusal("a compressed index of unknown size")
            elif kind in _TABLES:
                self._check_table(kind, body, box_end)
            elif kind == b"stsz":
                sample_count = self._numbers(body, 3)[2:]
                self._track.samples = max(self._track.samples, *sample_count, 0)
            elif kind == b"hdlr":
                self._track.handlers.add(
                    b"".join(n.to_bytes(4) for n in self._numbers(body, 3)[2:])
                )
            elif kind == b"trun":
                # Samples of fragments may take no bytes, so those of all fragments are counted.
                self._fragment_samples += sum(self._numbers(body, 2)[1:])
                self._check_count(self._fragment_samples)
            if kind in (b"stbl", b"trak"):
                self._check_count(self._track.index_entries)

    def _children(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield kind, start of the body and end of every box in a range, up to a broken one."""
        while start + _HEADER_BYTES <= end:
            self._boxes += 1
            if self._boxes > _MOST_BOXES:
                raise self._refusal(f"more than {_MOST_BOXES} boxes")
            self._file.seek(start)
            header = self._file.read(16)
            size, kind, body = int.from_bytes(header[:4]), header[4:8], start + _HEADER_BYTES
            if size == 1:
                size, body = int.from_bytes(header[8:16]), start + 16
            elif size == 0:
                size = end - start
            if size < body - start:
                return
            yield kind, body, min(start + size, end)
            start += size

    def _numbers(self, at: int, count: int) -> list[int]:
        self._file.seek(at)
        return self._rest_of_numbers(count).tolist()

    def _rest_of_numbers(self, count: int) -> npt.NDArray[np.int64]:
        data = self._file.read(4 * count)
        return np.frombuffer(data[: len(data) // 4 * 4], ">u4").astype(np.int64)

    def _check_table(self, kind: bytes, body: int, end: int) -> None:
        entries = sum(self._numbers(body, 2)[1:])
        if entries * _TABLES[kind] > end - body:
            if end < self._size:  # a file cut off in its index is damaged, not malicious
                raise self._refusal(f"{entries} entries in a table of {end - body} bytes")
            return
        track = self._track
        if kind in (b"stco", b"co64"):
            track.chunks = max(track.chunks, entries)
        elif kind == b"stsc":
            blocks = self._blocks(body + 8, entries, 3)
            track.largest_chunk = max((int(b[:, 1].max(initial=0)) for b in blocks), default=0)
        elif kind in (b"stts", b"ctts"):
            pairs = self._blocks(body + 8, entries, 2)
            track.samples = max(track.samples, sum(int(block[:, 0].sum()) for block in pairs))
            if kind == b"stts":
                track.is_per_tick = entries == 1 and self._numbers(body, 4)[3:] == [1]

    def _blocks(self, at: int, entries: int, columns: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield a table's entries in blocks."""
        self._file.seek(at)
        for first in range(0, entries, _BLOCK_ENTRIES):
            numbers = self._rest_of_numbers(columns * min(_BLOCK_ENTRIES, entries - first))
            yield numbers[: len(numbers) // columns * columns].reshape(-1, columns)

    def _check_count(self, samples: int) -> None:
        if samples > min(MOST_FRAMES, self._size):
            raise self._refusal(f"{samples} samples in one track")

    def _refusal(self, claim: str) -> InputError:
        return InputError(
            f"{self._path}: its index claims {claim}; accepted are up to {MOST_FRAMES} samples in "
            f"each of {MOST_TRACKS} tracks, and no more than the file has bytes. The index is "
            "broken: remux the video into a new file"
        )
