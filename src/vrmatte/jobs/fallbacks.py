"""Fallbacks, in order, for when memory runs out in the middle of a chunk.

The first change no bit of the result: one eye at a time, the memory of idle views in RAM, one file
at a time, no overlap. Then the CPU instead of the GPU, if the GPU is short and the CPU is allowed.
Last, and only if the user allows it, a smaller network input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from vrmatte.jobs.manifest import Manifest
from vrmatte.jobs.memory import ConcurrencyMode, MemoryWatch
from vrmatte.matting.base import Downgrade, EngineChoice
from vrmatte.plan import Plan
from vrmatte.settings.config import Config

Shortage = Literal["host", "device"]
"""The memory that ran out: the machine's or the GPU's."""
MEMORY_OF: Mapping[Shortage, str] = {"host": "memory", "device": "GPU memory"}

SMALLER = 0.7
"""Half the pixels, and so half the network's memory."""
SMALLEST = 0.3
"""Below a tenth of the planned pixels a matte is hardly usable."""

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
    """Return the memory that ran out, if an error or one of its causes says so."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__
    if not any(_is_out_of_memory(link) for link in chain):
        return None
    text = " ".join(str(link).lower() for link in chain)
    return "device" if any(word in text for word in _ON_DEVICE) else "host"


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """The fallbacks of a run so far, besides the mode of `MemoryWatch`."""

    eye_by_eye: bool = False
    """The eyes are matted one after the other, no longer in one batch."""
    offloaded: bool = False
    """The memory of idle views is kept in RAM instead of on the GPU."""
    on_cpu: bool = False
    """Networks run on the CPU."""

    def config(self, config: Config, mode: ConcurrencyMode) -> Config:
        """Return the settings with these fallbacks; none of them changes the result."""
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
    """Takes one fallback each time memory runs out; within a run they are not taken back."""

    def __init__(self, watch: MemoryWatch) -> None:
        """Take the watch that chooses the concurrency mode."""
        self._watch = watch
        self.fallbacks = Fallbacks()

    def step(
        self, plan: Plan, chunk: int, shortage: Shortage, *, infers: bool
    ) -> tuple[EngineChoice, str] | None:
        """Take one more fallback.

        Args:
            plan: the chunk's plan when memory ran out.
            chunk: index of the chunk, which will be redone.
            shortage: the memory that ran out.
            infers: the network ran for this chunk.

        Returns:
            The engine from this chunk on, and the fallback in words; None: none is left.
        """
        engine = plan.engine
        if infers and self._batches_eyes(plan):
            self.fallbacks = replace(self.fallbacks, eye_by_eye=True)
            return engine, "the eyes are matted one after the other"
        if shortage == "host":
            slower = self._watch.use_less()
            if slower is not None:
                return engine, slower
        elif infers and self._holds_idle_memory(plan):
            self.fallbacks = replace(self.fallbacks, offloaded=True)
            return engine, "the GPU holds the memory of one view at a time, slower"
        elif infers and not self.fallbacks.on_cpu and not plan.config.hardware.require_device:
            self.fallbacks = replace(self.fallbacks, on_cpu=True)
            return self._on_cpu(engine, chunk), "networks run on the CPU, slower"
        if infers and plan.config.processing.allow_smaller_scale:
            return _smaller(engine, chunk)
        return None

    def _batches_eyes(self, plan: Plan) -> bool:
        """Report whether both eyes run in one batch; SAM 2 takes them one at a time."""
        engine = plan.engine
        batches = engine.masks is None or engine.refiner == "rvm"
        return batches and plan.config.processing.parallel_eyes and not self.fallbacks.eye_by_eye

    def _holds_idle_memory(self, plan: Plan) -> bool:
        """Report whether the GPU holds the memory of followed people for several views."""
        offloaded = plan.config.matting.memory_offload or self.fallbacks.offloaded
        views = plan.viewports or ()
        return plan.engine.masks is not None and len(views) > 1 and not offloaded

    def _on_cpu(self, engine: EngineChoice, chunk: int) -> EngineChoice:
        downgrade = engine.downgrade(chunk)
        if downgrade.precision == "fp32":
            return engine
        return _with_downgrade(engine, replace(downgrade, first_chunk=chunk, precision="fp32"))


def downgraded_before(engine: EngineChoice, manifest: Manifest, config: Config) -> EngineChoice:
    """Return the engine with the downgrades of the earlier run in this folder, if still valid.

    They are dropped if the network, the selected frames or the size changed.
    """
    known, settings = manifest.fact("engine"), manifest.fact("config")
    if known is None or settings is None:
        return engine
    try:
        before = TypeAdapter(EngineChoice).validate_python(known)
        then = Config.model_validate(settings)
    except ValidationError:
        return engine
    is_same = _downgrade_context(engine, config) == _downgrade_context(before, then)
    if not is_same or not (config.processing.allow_smaller_scale or _is_full_size(before)):
        return engine
    return replace(engine, downgraded=before.downgraded)


def _downgrade_context(engine: EngineChoice, config: Config) -> tuple[object, ...]:
    """Return what downgrades depend on: the networks, their size, and the selected frames."""
    size = config.processing.scale_factor, config.processing.projection
    selected = config.input.start, config.input.end
    follows = None if engine.masks is None else engine.masks.sha256
    networks = engine.name, engine.weights_sha256, follows, engine.refiner
    return networks, engine.precision, size, selected


def _is_full_size(engine: EngineChoice) -> bool:
    return all(downgrade.scale == 1 for downgrade in engine.downgraded)


def _smaller(engine: EngineChoice, chunk: int) -> tuple[EngineChoice, str] | None:
    downgrade = engine.downgrade(chunk)
    scale = round(downgrade.scale * SMALLER, 4)
    if scale < SMALLEST:
        return None
    downgraded = _with_downgrade(engine, replace(downgrade, first_chunk=chunk, scale=scale))
    return downgraded, f"the network's input is {scale:.0%} as wide as planned"


def _with_downgrade(engine: EngineChoice, downgrade: Downgrade) -> EngineChoice:
    """Return the engine with a downgrade, in place of any from the same chunk on."""
    before = tuple(e for e in engine.downgraded if e.first_chunk < downgrade.first_chunk)
    return replace(engine, downgraded=(*before, downgrade))
