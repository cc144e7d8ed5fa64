"""Use of the machine during a measurement: memory, processor, GPU, bytes."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import psutil

_SAMPLE_SECONDS = 0.05
_SAMPLES_PER_CARD_SAMPLE = 4


def free_gpu_bytes() -> int | None:
    """Return the free memory of the NVIDIA card that networks run on; None: not known."""
    card = _NvidiaCard.open()
    if card is None:
        return None
    try:
        return card.free_bytes()
    finally:
        card.close()


@dataclass(frozen=True, slots=True)
class MachineUse:
    """Resources used between the start and the end of a measurement."""

    wall_seconds: float
    cpu_seconds: float
    """Of the whole process, including the threads of codecs and networks."""
    rss_peak_bytes: int
    rss_bytes: int
    """At the end."""
    gpu_seconds: float | None
    """Time the GPU was busy, for any process; None: there is no GPU."""
    vram_peak_bytes: int | None
    """Highest GPU memory in use, by all processes."""
    read_bytes: int | None
    """Bytes requested from the system, including its cache; None: the system does not count."""
    written_bytes: int | None


class MachineMeter:
    """Measures while its `with` block runs; the result is in `use` afterwards."""

    use: MachineUse

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="machine use", daemon=True)
        self._rss_peak = 0
        self._busy_shares: list[float] = []
        self._vram_bytes: list[int] = []

    def __enter__(self) -> Self:
        self._card = _NvidiaCard.open()
        self._transferred = self._transferred_bytes()
        self._sample_rss()
        self._sample_card()
        self._watcher.start()
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
        self._watcher.join()
        rss = self._sample_rss()
        if self._card is not None:
            self._card.close()
        before, after = self._transferred, self._transferred_bytes()
        transferred = (None, None)
        if before is not None and after is not None:
            transferred = after[0] - before[0], after[1] - before[1]
        shares = self._busy_shares
        gpu = wall * sum(shares) / len(shares) if shares else None
        vram = max(self._vram_bytes, default=None)
        self.use = MachineUse(wall, cpu, self._rss_peak, rss, gpu, vram, *transferred)

    def _watch(self) -> None:
        count = 0
        while not self._done.wait(_SAMPLE_SECONDS):
            self._sample_rss()
            count += 1
            if count % _SAMPLES_PER_CARD_SAMPLE == 0:
                self._sample_card()

    def _sample_rss(self) -> int:
        rss = int(self._process.memory_info().rss)
        self._rss_peak = max(self._rss_peak, rss)
        return rss

    def _sample_card(self) -> None:
        if self._card is None:
            return
        share, used_bytes = self._card.busy_share(), self._card.used_bytes()
        if share is not None:
            self._busy_shares.append(share)
        if used_bytes is not None:
            self._vram_bytes.append(used_bytes)

    def _transferred_bytes(self) -> tuple[int, int] | None:
        """Return the bytes read and written so far, if the system counts them."""
        try:
            count = self._process.io_counters()
        except (AttributeError, psutil.Error, OSError):
            return None
        # Linux also counts bytes read from the disk, but its cache makes that number random.
        read = getattr(count, "read_chars", count.read_bytes)
        written = getattr(count, "write_chars", count.write_bytes)
        return int(read), int(written)


class _NvidiaCard:
    """An NVIDIA card, queried through NVML, the library of its driver."""

    def __init__(self, nvml: ModuleType, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    @classmethod
    def open(cls) -> _NvidiaCard | None:
        """Return the first card that CUDA may use; None without a card, driver or nvidia-ml-py.

        CUDA numbers cards by speed unless CUDA_DEVICE_ORDER=PCI_BUS_ID, NVML by slot: with
        different cards in one machine the figures may be those of another card.
        """
        try:
            import pynvml
        except ImportError:
            return None
        name = (os.environ.get("CUDA_VISIBLE_DEVICES") or "0").split(",")[0].strip()
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return None
        try:
            if name.isdecimal():
                return cls(pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(name)))
            return cls(pynvml, pynvml.nvmlDeviceGetHandleByUUID(name))
        except pynvml.NVMLError:
            pynvml.nvmlShutdown()
            return None

    def close(self) -> None:
        """Release the driver's library."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def free_bytes(self) -> int | None:
        """Return the free memory; None: the driver does not report it."""
        memory = self._query("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.free)

    def used_bytes(self) -> int | None:
        """Return the memory taken by all processes; None: the driver does not report it."""
        memory = self._query("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.used)

    def busy_share(self) -> float | None:
        """Return the share of recent time it was busy, 0..1; None: not reported."""
        rates = self._query("nvmlDeviceGetUtilizationRates")
        return None if rates is None else rates.gpu / 100

    def _query(self, function: str) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle)
        except self._nvml.NVMLError:  # a part of a card (MIG) does not support all of them
            return None


def bytes_written_since(folder: Path, seconds: float) -> int:
    """Return the size of all files below a folder that changed since a time, in Unix seconds."""
    stats = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum(stat.st_size for stat in stats if stat.st_mtime >= seconds)
