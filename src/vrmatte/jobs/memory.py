"""How much memory a chunk takes, and how it is made where there is less.

The need is a sum of measured parts; what can be made smaller is what happens at the same time: the
files of a chunk can be encoded one after the other, and decoding, matting and encoding as well.
None of that changes a single bit of what is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

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
"""PyTorch and working memory of what follows people, without its weights. Measured with SAM 2.1
tiny and one person: 1.4 GB for the whole process, 0.16 of them weights."""
CUDA_BYTES = 500_000_000
"""What CUDA and cuDNN take before any network; not measured here, an estimate."""
DECODED_FRAMES = 14
"""Frames a software decoder holds. Measured at 3072x1536: 13 for H.264, 14 for HEVC."""
FRAMES_OVERLAPPING, FRAMES_ALONE = 7, 2
"""Frames with their mattes between decoder and encoders, at most: two drawn ahead, two waiting
behind, and one in each hand between; without overlap one and what is being made of it."""
COMPOSER_BYTES_PER_PIXEL = 12
"""One deliverable's pictures and what it computes them with."""
_ENCODER_BYTES_PER_PIXEL = {
    "libx264": 60,
    "libx265": 115,
    "libsvtav1": 121,
    "libvpx-vp9": 264,
    "prores_ks": 18,
    "ffv1": 25,
}
"""At 8 bit. Measured at 2048x1024, x264 and x265 also at 4096x2048, FFV1 at 6144x3072, with the
settings files are made with."""
_LARGE_HEVC_BYTES_PER_PIXEL = 46
"""Wider than 4096 x265 reorders no frames; measured at 6144x3072 in 10 bit."""
_OTHER_ENCODER_BYTES_PER_PIXEL = 20
"""Hardware encoders and picture sequences: some frames."""
_TEN_BIT_FACTOR = 1.65
"""Measured with x265, which holds deeper pictures in words of two bytes."""
_DEEPER_WITH_TEN_BIT = frozenset({"libx264", "libx265", "libsvtav1"})
_SPARE = 0.9
"""Share of the free memory that may be counted on."""
_WIDEST_TOGETHER_PX = 4096
"""Up to this width all files of a chunk are encoded in one go."""


Encoders = Literal["all", "two", "one"]
"""Which software encoders run at the same time: all of a chunk; that of the mattes and that of one
file; one."""


@dataclass(frozen=True, slots=True)
class ConcurrencyMode:
    """What happens at the same time while a chunk is made."""

    encoders: Encoders
    overlap: bool
    """Frames are decoded, matted and encoded at the same time."""

    @property
    def in_words(self) -> str:
        """What is given up."""
        after = ", and not beside the mattes" if self.encoders == "one" else ""
        return f"files are encoded one after the other{after}" + (
            "" if self.overlap else ", and decoding, matting and encoding don't overlap"
        )


def concurrency_modes(plan: Plan) -> tuple[ConcurrencyMode, ...]:
    """How chunks may be made, the quickest first.

    One software encoder of large pictures fills a gigabyte or two: no two of those run together,
    but one beside the mattes' encoder, so that the source isn't decoded for it again.
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
    """About how much memory a run of this plan takes, whatever its length."""
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


def check_memory(plan: Plan) -> str | None:
    """A warning where little memory is free; None where there is enough.

    Raises:
        ConfigError: the plan needs more than `processing.max_memory_gb`, however it is made.
    """
    least = needed_bytes(plan, concurrency_modes(plan)[-1])
    limit = plan.config.processing.max_memory_gb
    if limit is not None and least > limit * 1e9:
        raise ConfigError(
            f"processing.max_memory_gb={limit:g}: {plan.source.width}x{plan.source.height} needs "
            f"about {least / 1e9:.1f} GB, whatever the length; allow that much, or process a "
            "smaller export"
        )
    free = psutil.virtual_memory().available
    if least <= free:
        return None
    return (
        f"only {free / 1e9:.1f} GB of memory are free, about {least / 1e9:.1f} GB are needed: "
        "close other programs if this run becomes slow"
    )


def gpu_memory_notices(plan: Plan, *, mattes: bool, masks: bool) -> Iterator[str]:
    """A warning where an NVIDIA card has less memory free than networks take, or may take.

    Args:
        plan: of the run.
        mattes: the matting network runs on that card.
        masks: what follows people runs there.
    """
    if not (mattes or masks):
        return
    free = free_gpu_bytes()
    limit = plan.config.hardware.max_vram_gb
    # Each of them has that limit for itself.
    parts = mattes * _network_bytes(plan), masks * _masks_bytes(plan)
    largest, needed = max(parts), CUDA_BYTES + sum(parts)
    if free is not None and free < needed:
        yield (
            f"only {free / 1e9:.1f} GB of GPU memory are free, about {needed / 1e9:.1f} GB are "
            "needed: close other programs, or choose device: cpu"
        )
    if limit is not None and limit * 1e9 < largest:
        yield (
            f"hardware.max_vram_gb={limit:g}: the network takes about "
            f"{largest / 1e9:.1f} GB at this size; where it runs out, the CPU goes on"
        )


class MemoryWatch:
    """Looks at memory before each chunk and says how to make it."""

    def __init__(self, plan: Plan) -> None:
        """Begin with the quickest way."""
        self._plan = plan
        self._ways = concurrency_modes(plan)
        self._least_quick = 0
        """Index of the first way that is still allowed; running out of memory moves it on."""
        self.mode = self._ways[0]

    def look(self, chunk: int) -> str | None:
        """Settle on a way for the next chunk; returns what to tell the user if it is another.

        Raises:
            ChunkError: the process holds more than `processing.max_memory_gb` before it begins.
        """
        held, free = psutil.Process().memory_info().rss, psutil.virtual_memory().available
        limit = self._plan.config.processing.max_memory_gb
        if limit is not None and held > limit * 1e9:
            raise ChunkError(
                f"chunk {chunk} is not begun: {held / 1e9:.1f} GB are held already and "
                f"processing.max_memory_gb={limit:g}; finished chunks are kept, run the same "
                "command again"
            )
        before, allowed = self.mode, self._ways[self._least_quick :]
        self.mode = self._fitting(allowed, held, free, limit)
        if self.mode == before:
            return None
        if self._ways.index(self.mode) < self._ways.index(before):
            return f"from chunk {chunk} on there is memory for more at the same time again"
        room = f"{free / 1e9:.1f} GB of memory are free"
        if limit is not None:
            room += f" and processing.max_memory_gb={limit:g}"
        return f"from chunk {chunk} on {self.mode.in_words}: {room}"

    def give_up_more(self) -> str | None:
        """After memory ran out: what is given up from now on; None: nothing is left to give up."""
        at = self._ways.index(self.mode) + 1
        if at >= len(self._ways):
            return None
        self._least_quick, self.mode = at, self._ways[at]
        return self.mode.in_words

    def _fitting(
        self, allowed: Sequence[ConcurrencyMode], held: int, free: float, limit: float | None
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
    """What follows people, weights and all; 0 where nothing does."""
    masks = plan.engine.masks
    return 0 if masks is None else MASKS_BYTES + masks.weights_bytes


def _network_bytes(plan: Plan) -> float:
    if plan.viewports:
        pixels = max(sized.width * sized.height for sized in plan.viewports)
    else:
        pixels = round(plan.eye_px * network_scale(plan.config, plan.eye_px)) ** 2
    eyes = 2 if plan.config.processing.parallel_eyes else 1
    return NETWORK_BYTES + NETWORK_BYTES_PER_PIXEL * pixels * eyes
