"""Measure the memory, CPU time, GPU time and bytes that a piece of work takes."""

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

_TIMEOUT_SECONDS = 10
_MIB = 1 << 20


def free_gpu_bytes() -> int | None:
    """Return the free memory of the first NVIDIA card, which networks use; None: not known."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(
            query, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True
        ).stdout
        return int(output.splitlines()[0]) * _MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


_SAMPLE_SECONDS = 0.05
_GPU_SAMPLE_MS = 200
_QUERY = (
    "--query-gpu=utilization.gpu,memory.used",
    "--format=csv,noheader,nounits",
    f"--loop-ms={_GPU_SAMPLE_MS}",
)


@dataclass(frozen=True, slots=True)
class MachineUse:
    """The use of a machine over some time."""

    wall_seconds: float
    cpu_seconds: float
    """CPU time of the whole process, with the threads of codecs and networks."""
    rss_peak_bytes: int
    rss_bytes: int
    """At the end."""
    gpu_seconds: float | None
    """Time the GPU was busy, for any process; None: there is none."""
    vram_peak_bytes: int | None
    """GPU memory in use, by any process."""
    read_bytes: int | None
    """Bytes read, from caches too; None: the system has no count."""
    written_bytes: int | None


class MachineMeter:
    """Measures while its `with` block runs; sets `use` at the end."""

    use: MachineUse

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample_often, name="machine use", daemon=True)
        self._rss_peak = 0

    def __enter__(self) -> Self:
        self._card = _Card.open()
        self._moved = self._moved_bytes()
        self._sample()
        self._sampler.start()
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
        self._sampler.join()
        busy, vram = self._card.close() if self._card else (None, None)
        rss = self._sample()
        before, after = self._moved, self._moved_bytes()
        moved = (None, None)
        if before is not None and after is not None:
            moved = after[0] - before[0], after[1] - before[1]
        gpu = None if busy is None else busy * wall
        self.use = MachineUse(wall, cpu, self._rss_peak, rss, gpu, vram, *moved)

    def _sample_often(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> int:
        rss = int(self._process.memory_info().rss)
        self._rss_peak = max(self._rss_peak, rss)
        return rss

    def _moved_bytes(self) -> tuple[int, int] | None:
        """Return the bytes read and written so far, if the system counts them."""
        try:
            count = self._process.io_counters()
        except (AttributeError, psutil.Error, OSError):
            return None
        # On Linux the bytes that came from a disk depend on the cache; those asked for do not.
        read = getattr(count, "read_chars", count.read_bytes)
        written = getattr(count, "write_chars", count.write_bytes)
        return int(read), int(written)


class _Card:
    """The GPU, as nvidia-smi reports it five times a second."""

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
    def open(cls) -> _Card | None:
        """Return the card, if this machine has nvidia-smi."""
        program = shutil.which("nvidia-smi")
        if program is None:
            return None
        try:
            return cls(program)
        except OSError:
            return None

    def close(self) -> tuple[float | None, int | None]:
        """Stop; return the mean busy share and the peak memory, if nvidia-smi reported them."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._lines.close()
        if not self._shares:
            return None, None
        return sum(self._shares) / len(self._shares), max(self._vram_bytes)

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            with suppress(ValueError):  # a MIG part without counters prints [N/A]
                percent, mebibytes = (float(field) for field in line.split(","))
                self._shares.append(percent / 100)
                self._vram_bytes.append(round(mebibytes * _MIB))


def bytes_written_since(folder: Path, seconds: float) -> int:
    """Return the size of all files in a folder that changed since a time (seconds since 1970)."""
    stats = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum(stat.st_size for stat in stats if stat.st_mtime >= seconds)
