"""Profiles of time, memory and bytes: saved with each chunk, added up for the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vrmatte.errors import OutputError
from vrmatte.files import ChunkFile, commit_text
from vrmatte.profiling.machine_use import MachineMeter, MachineUse, bytes_written_since
from vrmatte.profiling.stopwatch import Stopwatch

WAIT_FOR_FRAMES = "wait for frames"
WAIT_FOR_FILES = "wait for files"
OPEN_FILES = "open files"
CLOSE_FILES = "close files"
STATE = "state"
_ORDER = (
    STATE,
    OPEN_FILES,
    "decode",
    WAIT_FOR_FRAMES,
    "matte",
    "stereo",
    WAIT_FOR_FILES,
    "matte store",
    "file:",
    CLOSE_FILES,
)
_DIGITS = 3
_BROKEN = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class StageProfile:
    """One stage's time, in milliseconds."""

    cpu_ms: float
    """CPU time of the stage's thread, without those of codecs and networks."""
    wall_ms: float
    """Wall time without waits."""
    wait_ms: float
    """Time spent on a queue, waiting for a frame or for room."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Time, memory and bytes of a chunk, or of several."""

    frames: int
    wall_ms: float
    cpu_ms: float
    """CPU time of the whole process, with the threads of codecs and networks."""
    stages: Mapping[str, StageProfile]
    """In the order of processing; overlapping stages add up to more than the wall time."""
    rss_peak_bytes: int
    rss_bytes: int
    """At the end."""
    gpu_ms: float | None
    """Time the GPU was busy; None: there is no GPU."""
    vram_peak_bytes: int | None
    read_bytes: int
    written_bytes: int

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the chunks' wall time."""
        return self.frames / self.wall_ms * 1000 if self.wall_ms else 0.0

    def per_frame(self, milliseconds: float) -> float:
        """Divide a time by the frames."""
        return milliseconds / self.frames if self.frames else 0.0


@dataclass(frozen=True, slots=True)
class RunProfile:
    """The profile of a run: of all chunks, and of each."""

    in_all: Profile
    by_chunk: Mapping[int, Profile]

    @classmethod
    def of(cls, by_chunk: Mapping[int, Profile]) -> RunProfile:
        """Add up the profiles of chunks, by chunk number."""
        frames = sum(profile.frames for profile in by_chunk.values())
        return cls(summed_up(by_chunk.values(), frames), dict(by_chunk))


class ChunkProfiler:
    """Measures one pass over a chunk while its `with` block runs, and saves the profile."""

    def __init__(self, watch: Stopwatch, path: Path) -> None:
        """Take the stopwatch of the pass, and the profile's path among the chunk's files."""
        self._watch = watch
        self._path = path
        self._meter = MachineMeter()

    def __enter__(self) -> Self:
        self._began = time.time()
        self._meter.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter.__exit__(kind, error, trace)

    def save(
        self, files: Mapping[str, ChunkFile], key: str, frames: int, source_bytes: int
    ) -> ChunkFile:
        """Commit the profile of the pass.

        Args:
            files: made in the pass, by piece name.
            key: of the matte.
            frames: of the chunk.
            source_bytes: size of the decoded part of the source, used where the system counts no
                bytes read.

        Raises:
            OutputError, DiskFullError: the file can't be written.
        """
        moved = source_bytes, bytes_written_since(self._path.parent, self._began)
        profile = profile_of(self._watch, self._meter.use, frames, moved)
        return save_profile(profile, files, key, self._path)


def profile_of(
    watch: Stopwatch, use: MachineUse, frames: int, moved_bytes: tuple[int, int]
) -> Profile:
    """Return the profile of a pass; `moved_bytes` (read, written) replace what is not counted."""
    read, written = moved_bytes
    return Profile(
        frames=frames,
        wall_ms=_ms(use.wall_seconds),
        cpu_ms=_ms(use.cpu_seconds),
        stages=_stages(watch),
        rss_peak_bytes=use.rss_peak_bytes,
        rss_bytes=use.rss_bytes,
        gpu_ms=None if use.gpu_seconds is None else _ms(use.gpu_seconds),
        vram_peak_bytes=use.vram_peak_bytes,
        read_bytes=read if use.read_bytes is None else use.read_bytes,
        written_bytes=written if use.written_bytes is None else use.written_bytes,
    )


def save_profile(profile: Profile, made: Iterable[str], key: str, path: Path) -> ChunkFile:
    """Commit a chunk's profile as JSON.

    Large frames need several passes over a chunk. Each pass is kept until a later one redoes all
    its pieces; passes of another `key`, the matte's, are dropped.

    Raises:
        OutputError, DiskFullError: the file can't be written.
    """
    pieces = sorted(made)
    passes = _passes_kept(path, key, pieces)
    passes.append({"made": pieces, **asdict(profile)})
    return commit_text(path, json.dumps({"key": key, "passes": passes}), profile.frames)


def load_profile(path: Path) -> Profile:
    """Load what `save_profile` wrote, all passes added up.

    Raises:
        OutputError: the file is missing or damaged.
    """
    try:
        passes = json.loads(path.read_text(encoding="utf-8"))["passes"]
        profiles = [_profile(row) for row in passes]
        return summed_up(profiles, profiles[-1].frames)
    except _BROKEN as error:
        raise OutputError(f"{path}: is missing or damaged; delete it and run again") from error


def summed_up(profiles: Iterable[Profile], frames: int) -> Profile:
    """Add up successive profiles, which together cover `frames` frames."""
    several = list(profiles)
    gpu = [p.gpu_ms for p in several if p.gpu_ms is not None]
    vram = [p.vram_peak_bytes for p in several if p.vram_peak_bytes is not None]
    names = sorted({name for p in several for name in p.stages}, key=_rank)
    return Profile(
        frames=frames,
        wall_ms=_total(p.wall_ms for p in several),
        cpu_ms=_total(p.cpu_ms for p in several),
        stages={n: _one_stage([p.stages[n] for p in several if n in p.stages]) for n in names},
        rss_peak_bytes=max((p.rss_peak_bytes for p in several), default=0),
        rss_bytes=several[-1].rss_bytes if several else 0,
        gpu_ms=_total(gpu) if gpu else None,
        vram_peak_bytes=max(vram) if vram else None,
        read_bytes=sum(p.read_bytes for p in several),
        written_bytes=sum(p.written_bytes for p in several),
    )


def _stages(watch: Stopwatch) -> dict[str, StageProfile]:
    wall, cpu, wait = watch.seconds, watch.cpu_seconds, watch.wait_seconds
    stages: dict[str, StageProfile] = {}
    for name in sorted(wall, key=_rank):
        busy, waited = _ms(wall[name]), _ms(wait.get(name, 0))
        if name in (WAIT_FOR_FRAMES, WAIT_FOR_FILES):
            busy, waited = 0.0, busy
        stages[name] = StageProfile(_ms(cpu[name]), busy, waited)
    return stages


def _one_stage(rows: Sequence[StageProfile]) -> StageProfile:
    return StageProfile(
        _total(r.cpu_ms for r in rows),
        _total(r.wall_ms for r in rows),
        _total(r.wait_ms for r in rows),
    )


def _rank(name: str) -> tuple[int, str]:
    """Rank stages in the order of processing, files by name, unknown stages last."""
    known = "file:" if name.startswith("file:") else name
    return (_ORDER.index(known) if known in _ORDER else len(_ORDER)), name


def _passes_kept(path: Path, key: str, remade: Sequence[str]) -> list[dict[str, Any]]:
    """Return earlier passes of the same key that made other pieces; none from a damaged file."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        passes: list[dict[str, Any]] = stored["passes"] if stored["key"] == key else []
        for row in passes:
            _profile(row)
        return [row for row in passes if not set(row["made"]) <= set(remade)]
    except _BROKEN:
        return []


def _profile(row: Mapping[str, Any]) -> Profile:
    facts = {name: value for name, value in row.items() if name not in ("made", "stages")}
    stages = {name: StageProfile(**stage) for name, stage in row["stages"].items()}
    return Profile(**facts, stages=stages)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, _DIGITS)


def _total(values: Iterable[float]) -> float:
    return round(sum(values), _DIGITS)
