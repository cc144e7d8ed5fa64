"""Watches what a stretch of work takes of the machine: memory, processor, graphics card, bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_PATIENCE_SECONDS = 10

_gpu_memory_MIB = 1 << 20


def free_gpu_bytes() -> int | None:
    """Free memory of the first NVIDIA card, which is the one networks run on; None: not known."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            query, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        ).stdout
        return int(said.splitlines()[0]) * _gpu_memory_MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


_LOOK_SECONDS = 0.05
_GPU_LOOK_MS = 200
_QUERY = (
    "--query-gpu=utilization.gpu,memory.used",
    "--format=csv,noheader,nounits",
    f"--loop-ms={_GPU_LOOK_MS}",
)
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MachineUse:
    """What was taken between the beginning and the end."""

    wall_seconds: float
    cpu_seconds: float
    """Of the whole process, codecs' and networks' threads too."""
    rss_peak_bytes: int
    rss_bytes: int
    """At the end."""
    gpu_seconds: float | None
    """Time the graphics card was busy, whoever kept it so; None: there is none."""
    vram_peak_bytes: int | None
    """Taken on the graphics card, by whomever."""
    read_bytes: int | None
    """Asked of the system, from its cache too; None: the system doesn't count."""
    written_bytes: int | None


class MachineMeter:
    """Measures while its `with` block runs; `use` is there afterwards."""

    use: MachineUse

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._looker = threading.Thread(target=self._look, name="machine use", daemon=True)
        self._rss_peak = 0

    def __enter__(self) -> Self:
        self._card = _Card.found()
        self._moved = self._moved_bytes()
        self._look_once()
        self._looker.start()
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self._done.set()
        self._looker.join()
        busy, vram = self._card.close() if self._card else (None, None)
        rss = self._look_once()
        before, after = self._moved, self._moved_bytes()
        moved = (None, None)
        if before is not None and after is not None:
            moved = after[0] - before[0], after[1] - before[1]
        gpu = None if busy is None else busy * wall
        self.use = MachineUse(wall, cpu, self._rss_peak, rss, gpu, vram, *moved)

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self._look_once()

    def _look_once(self) -> int:
        rss = int(self._process.memory_info().rss)
        self._rss_peak = max(self._rss_peak, rss)
        return rss

    def _moved_bytes(self) -> tuple[int, int] | None:
        """Bytes read and written so far, where the system counts them."""
        try:
            count = self._process.io_counters()
        except (AttributeError, psutil.Error, OSError):
            return None
        # Linux tells what was asked apart from what came from a disk, which the cache makes random.
        read = getattr(count, "read_chars", count.read_bytes)
        written = getattr(count, "write_chars", count.write_bytes)
        return int(read), int(written)


class _Card:
    """The graphics card, as nvidia-smi sees it five times a second."""

    def __init__(self, program: str) -> None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or "0"
        self._shares: list[float] = []
        self._vram_bytes: list[int] = []
        self._process = subprocess.Popen(
            [program, "-i", visible.split(",")[0].strip(), *_QUERY],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        self._reader = threading.Thread(target=self._read, args=(self._lines,), daemon=True)
        self._reader.start()

    @classmethod
    def found(cls) -> _Card | None:
        """The card, if this machine has the program that watches it."""
        program = shutil.which("nvidia-smi")
        if program is None:
            return None
        try:
            return cls(program)
        except OSError:
            return None

    def close(self) -> tuple[float | None, int | None]:
        """Stop watching; mean share of time it was busy and most memory taken, if it answered."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._lines.close()
        if not self._shares:
            return None, None
        return sum(self._shares) / len(self._shares), max(self._vram_bytes)

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            with suppress(ValueError):  # a card, or a part of one, that doesn't count says [N/A]
                percent, mebibytes = (float(field) for field in line.split(","))
                self._shares.append(percent / 100)
                self._vram_bytes.append(round(mebibytes * _MIB))


def bytes_written_since(folder: Path, seconds: float) -> int:
    """Size of all files in a folder that were changed since a time of the clock."""
    found = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum(told.st_size for told in found if told.st_mtime >= seconds)
