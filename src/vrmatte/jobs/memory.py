"""The memory a chunk needs, and how to process it with less.

The need is a sum of measured terms. With less concurrency it shrinks: files can be encoded
one after the other, and decoding, matting and encoding too. That changes no bit of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import psutil

from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import ChunkError, ConfigError
from vrmatte.matting.engines.choose import network_scale
from vrmatte.media.encoders import MATTE_STORE
from vrmatte.plan import Plan
from vrmatte.profiling.machine_use import free_gpu_bytes

LIBRARIES_BYTES = 450_000_000
"""Python, the libraries, compiled kernels, the network's weights. Measured: 410 MB after a first
frame of 256x128."""
NETWORK_BYTES, NETWORK_BYTES_PER_PIXEL = 100_000_000, 570
"""Working memory of the network. Measured: 180 MB at 384 px, 430 MB at 768 px."""
MASKS_BYTES = 800_000_000
"""PyTorch and working memory of networks that follow people, without weights. Measured with SAM 2.1
tiny and one person: 1.4 GB for the whole process, 0.16 of them weights."""
CUDA_BYTES = 500_000_000
"""CUDA and cuDNN before any network; an estimate, not measured here."""
DECODED_FRAMES = 14
"""Frames a software decoder holds. Measured at 3072x1536: 13 for H.264, 14 for HEVC."""
FRAMES_OVERLAPPING, FRAMES_ALONE = 7, 2
"""Most frames with their mattes between decoder and encoders: two prefetched, two queued for the
encoders, and one in each stage; without overlap one and its result."""
COMPOSER_BYTES_PER_PIXEL = 12
"""Frames and working memory of one deliverable."""
_ENCODER_BYTES_PER_PIXEL = {
    "libx264": 60,
    "libx265": 115,
    "libsvtav1": 121,
    "libvpx-vp9": 264,
    "prores_ks": 18,
    "ffv1": 25,
}
"""At 8 bit. Measured at 2048x1024, x264 and x265 also at 4096x2048, FFV1 at 6144x3072, with the
settings of the deliverables."""
_LARGE_HEVC_BYTES_PER_PIXEL = 46
"""Above 4096 pixels wide x265 reorders no frames; measured at 6144x3072 in 10 bit."""
_OTHER_ENCODER_BYTES_PER_PIXEL = 20
"""Hardware encoders and image sequences: some frames."""
_TEN_BIT_FACTOR = 1.65
"""Measured with x265, which holds samples above 8 bit in two bytes."""
_DEEPER_WITH_TEN_BIT = frozenset({"libx264", "libx265", "libsvtav1"})
_SPARE = 0.9
"""Share of the free memory that may be counted on."""
_WIDEST_TOGETHER_PX = 4096
"""Up to this width all files of a chunk are encoded in one pass."""


Encoders = Literal["all", "two", "one"]
"""Software encoders that run at the same time: all of a chunk; the mattes' and one file's; one."""


@dataclass(frozen=True, slots=True)
class ConcurrencyMode:
    """The work that runs at the same time while a chunk is processed."""

    encoders: Encoders
    overlap: bool
    """Decoding, matting and encoding run at the same time."""

    @property
    def description(self) -> str:
        """The restrictions of this mode."""
        after = ", and not beside the mattes" if self.encoders == "one" else ""
        return f"files are encoded one after the other{after}" + (
            "" if self.overlap else ", and decoding, matting and encoding don't overlap"
        )


def concurrency_modes(plan: Plan) -> tuple[ConcurrencyMode, ...]:
    """Return the modes a plan allows, the fastest first.

    A software encoder of large frames takes one or two gigabytes. Two of them never run at the same
    time, but one runs beside the mattes' encoder, so that the source is not decoded again for it.
    """
    most: Encoders = "all" if plan.source.width <= _WIDEST_TOGETHER_PX else "two"
    overlap = plan.config.performance.overlap
    every = (
        ConcurrencyMode(most, overlap),
        ConcurrencyMode("two", overlap),
        ConcurrencyMode("one", overlap),
        ConcurrencyMode("one", False),
    )
    return tuple(dict.fromkeys(every))


def needed_bytes(plan: Plan, mode: ConcurrencyMode) -> int:
    """Return about how much memory a run of this plan takes, whatever its length."""
    source = plan.source
    sample_bytes = 1 if source.layout.bit_depth <= 8 else 2
    frame = 1.5 * sample_bytes
    in_flight = FRAMES_OVERLAPPING if mode.overlap else FRAMES_ALONE
    pixels = source.width * source.height
    held = pixels * (DECODED_FRAMES * frame + in_flight * (frame + 1))
    files = [_file_bytes(d) for d in plan.deliverables if not d.is_matte_store]
    store = pixels * _ENCODER_BYTES_PER_PIXEL[MATTE_STORE.encoder]
    encoders = {
        "all": store + sum(files),
        "two": store + max(files, default=0),
        "one": max([store, *files]),
    }[mode.encoders]
    networks = _network_bytes(plan) + _masks_bytes(plan)
    return round(LIBRARIES_BYTES + networks + held + encoders)


def check_memory(plan: Plan, free_bytes: float | None = None) -> str | None:
    """Return a warning if little memory is free, by default as measured now, or None.

    Raises:
        ConfigError: the plan needs more than `processing.max_memory_gb` in every mode.
    """
    least = needed_bytes(plan, concurrency_modes(plan)[-1])
    limit = plan.config.processing.max_memory_gb
    if limit is not None and least > limit * 1e9:
        raise ConfigError(
            f"processing.max_memory_gb={limit:g}: {plan.source.width}x{plan.source.height} needs "
            f"about {least / 1e9:.1f} GB, whatever the length; allow that much, or process a "
            "smaller export"
        )
    free = memory_use().free_bytes if free_bytes is None else free_bytes
    if least <= free:
        return None
    return (
        f"only {free / 1e9:.1f} GB of memory are free, about {least / 1e9:.1f} GB are needed: "
        "close other programs if this run becomes slow"
    )


def gpu_memory_notices(
    plan: Plan,
    *,
    mattes: bool,
    masks: bool,
    free_bytes: Callable[[], int | None] = free_gpu_bytes,
) -> Iterator[str]:
    """Warn if an NVIDIA card has less memory free than the networks take, or may not use enough.

    Args:
        plan: of the run.
        mattes: the matting network runs on that card.
        masks: the network that follows people runs there.
        free_bytes: measures the card's free memory; None: unknown.
    """
    if not (mattes or masks):
        return
    free = free_bytes()
    limit = plan.config.hardware.max_vram_gb
    # The limit is for each network.
    networks = mattes * _network_bytes(plan), masks * _masks_bytes(plan)
    largest, needed = max(networks), CUDA_BYTES + sum(networks)
    if free is not None and free < needed:
        yield (
            f"only {free / 1e9:.1f} GB of GPU memory are free, about {needed / 1e9:.1f} GB are "
            "needed: close other programs, or choose device: cpu"
        )
    if limit is not None and limit * 1e9 < largest:
        yield (
            f"hardware.max_vram_gb={limit:g}: the network takes about "
            f"{largest / 1e9:.1f} GB at this size; if it runs out, the CPU takes over"
        )


class MemoryUse(NamedTuple):
    """Memory of this process, and of the machine."""

    held_bytes: float
    free_bytes: float


def memory_use() -> MemoryUse:
    """Measure how much memory this process holds, and how much is free."""
    held = psutil.Process().memory_info().rss
    return MemoryUse(held, psutil.virtual_memory().available)


class MemoryWatch:
    """Checks memory before each chunk and chooses the mode to process it in."""

    def __init__(self, plan: Plan, measure: Callable[[], MemoryUse] | None = None) -> None:
        """Start with the fastest mode; `measure` is `memory_use` unless given."""
        self._plan = plan
        self._measure = measure or memory_use
        self._modes = concurrency_modes(plan)
        self._fastest = 0
        """Index of the fastest mode still allowed; running out of memory moves it on."""
        self.mode = self._modes[0]

    def choose_mode(self, chunk: int) -> str | None:
        """Choose the mode for the next chunk; return a notice if it changes.

        Raises:
            ChunkError: the process holds more than `processing.max_memory_gb` before it starts.
        """
        held, free = self._measure()
        limit = self._plan.config.processing.max_memory_gb
        if limit is not None and held > limit * 1e9:
            raise ChunkError(
                f"chunk {chunk} was not started: the process holds {held / 1e9:.1f} GB already and "
                f"processing.max_memory_gb={limit:g}; finished chunks are kept, run the same "
                "command again"
            )
        before, allowed = self.mode, self._modes[self._fastest :]
        self.mode = self._fitting(allowed, held, free, limit)
        if self.mode == before:
            return None
        if self._modes.index(self.mode) < self._modes.index(before):
            return f"from chunk {chunk} on more work runs at the same time: memory is free again"
        reason = f"{free / 1e9:.1f} GB of memory are free"
        if limit is not None:
            reason += f" and processing.max_memory_gb={limit:g}"
        return f"from chunk {chunk} on {self.mode.description}: {reason}"

    def use_less(self) -> str | None:
        """Allow only slower modes from now on; return the next in words, or None at the last."""
        index = self._modes.index(self.mode) + 1
        if index >= len(self._modes):
            return None
        self._fastest, self.mode = index, self._modes[index]
        return self.mode.description

    def _fitting(
        self, allowed: Sequence[ConcurrencyMode], held: float, free: float, limit: float | None
    ) -> ConcurrencyMode:
        for mode in allowed:
            needed = needed_bytes(self._plan, mode)
            within = limit is None or needed <= limit * 1e9
            if within and needed - held <= _SPARE * free:
                return mode
        return allowed[-1]


def _file_bytes(deliverable: Deliverable) -> float:
    width, height = deliverable.size
    encoder: float = _OTHER_ENCODER_BYTES_PER_PIXEL
    spec = deliverable.encoder
    if deliverable.sequence is None:
        encoder = _ENCODER_BYTES_PER_PIXEL.get(spec.encoder, encoder)
        if spec.encoder == "libx265" and width > _WIDEST_TOGETHER_PX:
            encoder = _LARGE_HEVC_BYTES_PER_PIXEL
        if spec.encoder in _DEEPER_WITH_TEN_BIT and spec.layout.bit_depth > 8:
            encoder *= _TEN_BIT_FACTOR
    return width * height * (COMPOSER_BYTES_PER_PIXEL + encoder)


def _masks_bytes(plan: Plan) -> float:
    """Return the bytes of the network that follows people, with its weights; 0 without one."""
    masks = plan.engine.masks
    return 0 if masks is None else MASKS_BYTES + masks.weights_bytes


def _network_bytes(plan: Plan) -> float:
    if plan.viewports:
        pixels = max(sized.width * sized.height for sized in plan.viewports)
    else:
        pixels = round(plan.eye_px * network_scale(plan.config, plan.eye_px)) ** 2
    eyes = 2 if plan.config.processing.parallel_eyes else 1
    return NETWORK_BYTES + NETWORK_BYTES_PER_PIXEL * pixels * eyes
