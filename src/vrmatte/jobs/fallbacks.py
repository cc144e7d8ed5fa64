"""What is given up, in order, when memory runs out while a chunk is made.

First what changes no bit of the result: both eyes in one batch, what views remember on the GPU,
several files at a time, overlap.
Then the GPU, where it is the one that is short and the CPU is allowed. At last, and only where the
user allows it, the size of the network's picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from vrmatte.jobs.manifest import Manifest
from vrmatte.jobs.memory import ConcurrencyMode, MemoryWatch
from vrmatte.matting.base import Downgrade, EngineChoice
from vrmatte.plan import Plan
from vrmatte.settings.config import Config

Shortage = Literal["host", "device"]
"""Whose memory ran out: the machine's or the GPU's."""

SMALLER = 0.7
"""Half the pixels, and with them half the network's memory."""
SMALLEST = 0.3
"""Below a tenth of the planned pixels the matte is hardly worth making."""

_OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate",
    "failed allocation",
    "bad_alloc",
    "bad allocation",
    "cannot allocate memory",
    "can't allocate memory",
    "insufficient memory",
    "cuda_error_out_of_memory",
    "cudnn_status_alloc_failed",
    "cublas_status_alloc_failed",
    "not enough memory",
)
_ON_DEVICE = ("cuda", "cudnn", "cublas", "tensorrt", "dmlexecution", "d3d12", "gpu", "coreml")


def memory_shortage(error: BaseException) -> Shortage | None:
    """Whose memory ran out, if that is what an error, or what it came from, says."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__
    if not any(_says_so(link) for link in chain):
        return None
    said = " ".join(str(link).lower() for link in chain)
    return "device" if any(word in said for word in _ON_DEVICE) else "host"


def _says_so(error: BaseException) -> bool:
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in _OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """What was given up since the run began, besides what `MemoryWatch` knows."""

    eye_by_eye: bool = False
    """Both eyes are no longer run in one batch."""
    offloaded: bool = False
    """What views remember that aren't looked through waits in ordinary memory."""
    on_cpu: bool = False
    """Networks no longer run on the GPU."""

    def config(self, config: Config, mode: ConcurrencyMode) -> Config:
        """The settings a chunk is made with; none of these shapes what comes out."""
        processing, hardware, matting = config.processing, config.hardware, config.matting
        if self.eye_by_eye:
            processing = processing.model_copy(update={"parallel_eyes": False})
        if self.offloaded:
            matting = matting.model_copy(update={"memory_offload": True})
        if self.on_cpu:
            hardware = hardware.model_copy(update={"device": "cpu"})
        performance = config.performance.model_copy(update={"overlap": mode.overlap})
        return config.model_copy(
            update={
                "processing": processing,
                "hardware": hardware,
                "matting": matting,
                "performance": performance,
            }
        )


class FallbackPolicy:
    """Steps down, each time memory runs out; nothing comes back within a run but memory's way."""

    def __init__(self, watch: MemoryWatch) -> None:
        """Take the watch that knows what is done at the same time."""
        self._watch = watch
        self.fallbacks = Fallbacks()

    def step(
        self, plan: Plan, chunk: int, shortage: Shortage, *, infers: bool
    ) -> tuple[EngineChoice, str] | None:
        """Give up one thing more.

        Args:
            plan: as the chunk was made.
            chunk: index of the chunk that is to be made again.
            shortage: whose memory ran out.
            infers: the network ran for this chunk.

        Returns:
            The engine as it is from this chunk on, and what is given up, in words; None: nothing
            is left.
        """
        engine = plan.engine
        if infers and self._batches_eyes(plan):
            self.fallbacks = replace(self.fallbacks, eye_by_eye=True)
            return engine, "the eyes are matted one after the other"
        if shortage == "host":
            told = self._watch.give_up_more()
            if told is not None:
                return engine, told
        elif infers and self._holds_idle_memory(plan):
            self.fallbacks = replace(self.fallbacks, offloaded=True)
            return engine, "the GPU holds memory of one view at a time, slower"
        elif infers and not self.fallbacks.on_cpu and not plan.config.hardware.require_device:
            self.fallbacks = replace(self.fallbacks, on_cpu=True)
            return self._on_cpu(engine, chunk), "networks run on the CPU, slower"
        if infers and plan.config.processing.allow_smaller_scale:
            return _smaller(engine, chunk)
        return None

    def _batches_eyes(self, plan: Plan) -> bool:
        """Whether both eyes are run in one batch; what follows people takes them one by one."""
        engine = plan.engine
        batches = engine.masks is None or engine.refiner == "rvm"
        return batches and plan.config.processing.parallel_eyes and not self.fallbacks.eye_by_eye

    def _holds_idle_memory(self, plan: Plan) -> bool:
        """Whether followed people's memories of several views lie on the GPU."""
        offloaded = plan.config.matting.memory_offload or self.fallbacks.offloaded
        views = plan.viewports or ()
        return plan.engine.masks is not None and len(views) > 1 and not offloaded

    def _on_cpu(self, engine: EngineChoice, chunk: int) -> EngineChoice:
        downgrade = engine.downgrade(chunk)
        if downgrade.precision == "fp32":
            return engine
        return _with_downgrade(engine, replace(downgrade, first_chunk=chunk, precision="fp32"))


def downgraded_before(engine: EngineChoice, manifest: Manifest, config: Config) -> EngineChoice:
    """The engine with the easings of the earlier run here, where they still mean the same.

    They are dropped where another network, another part of the video or another size is asked for.
    """
    known, settings = manifest.fact("engine"), manifest.fact("config")
    if known is None or settings is None:
        return engine
    try:
        before = TypeAdapter(EngineChoice).validate_python(known)
        then = Config.model_validate(settings)
    except ValidationError:
        return engine
    is_same = _what_easings_mean(engine, config) == _what_easings_mean(before, then)
    if not is_same or not (config.processing.allow_smaller_scale or _is_full_size(before)):
        return engine
    return replace(engine, downgraded=before.downgraded)


def _what_easings_mean(engine: EngineChoice, config: Config) -> tuple[object, ...]:
    """Which networks, how large, and which frames make up the chunks."""
    size = config.processing.scale_factor, config.processing.projection
    part = config.input.start, config.input.end
    follows = None if engine.masks is None else engine.masks.sha256
    networks = engine.name, engine.weights_sha256, follows, engine.refiner
    return networks, engine.precision, size, part


def _is_full_size(engine: EngineChoice) -> bool:
    return all(downgrade.scale == 1 for downgrade in engine.downgraded)


def _smaller(engine: EngineChoice, chunk: int) -> tuple[EngineChoice, str] | None:
    downgrade = engine.downgrade(chunk)
    scale = round(downgrade.scale * SMALLER, 4)
    if scale < SMALLEST:
        return None
    downgraded = _with_downgrade(engine, replace(downgrade, first_chunk=chunk, scale=scale))
    return downgraded, f"the network's picture is {scale:.0%} as wide as planned"


def _with_downgrade(engine: EngineChoice, downgrade: Downgrade) -> EngineChoice:
    """The engine with an easing from a chunk on, which takes the place of one begun there."""
    before = tuple(e for e in engine.downgraded if e.first_chunk < downgrade.first_chunk)
    return replace(engine, downgraded=(*before, downgrade))
