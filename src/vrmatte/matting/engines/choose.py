"""Choice of the matting engine, as a plain value, and loading of the chosen engine."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrmatte.errors import WeightsError
from vrmatte.masks.brightness import BRIGHT_MASKS, BrightMasks
from vrmatte.masks.sam2_loading import half_precision, open_mask_source, require_packages
from vrmatte.masks.sam2_weights import MaskWeights, choose_mask_weights
from vrmatte.masks.source import MaskSource
from vrmatte.masks.vitmatte import VITMATTE_WEIGHTS, open_vitmatte
from vrmatte.matting.base import Engine, EngineChoice, EngineKind
from vrmatte.matting.edges.refiners import GuidedRefiner, NetworkRefiner
from vrmatte.matting.edges.vitmatte_tiles import EdgeTiles
from vrmatte.matting.engines.brightness import BRIGHTNESS, BrightnessEngine
from vrmatte.matting.engines.masked import MaskedEngine
from vrmatte.matting.engines.rvm import RvmEngine, half_rvm_runs, load_rvm
from vrmatte.matting.engines.selfie import SelfieEngine
from vrmatte.models.devices import HALF_DEVICES, resolve_device
from vrmatte.models.runtime import Session, network_opener
from vrmatte.models.weights import LocalWeights, get_weights
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.settings.config import Config

RVM_WEIGHTS = "rvm_mobilenetv3_fp32.onnx"
SELFIE_WEIGHTS = "selfie_segmentation.tflite"

_LICENCE_WORDS = "weights licensed"
_LARGEST_AUTO_SCALE = 0.5
_LARGEST_AUTO_PX = 768


def choose_engine(config: Config, observer: Observer = ignore) -> EngineChoice:
    """Choose an engine whose weights are on this machine, downloading them if necessary.

    The notices of the choice also go to the observer.

    Raises:
        WeightsError: weights are unavailable; with `matting.engine: auto`, those of all engines.
    """
    if config.matting.engine == "brightness":
        choice = BRIGHTNESS
    elif config.matting.engine == "sam2":
        choice = _choice_of_masks(config, observer)
    elif config.matting.engine == "selfie":
        choice = _choice("selfie", get_weights(SELFIE_WEIGHTS, observer))
    else:
        try:
            choice = _choice("rvm", get_weights(RVM_WEIGHTS, observer))
        except WeightsError as error:
            if config.matting.engine == "rvm":
                raise
            choice = _stand_in(error, observer)
    if choice.name == "rvm" or choice.refiner == "rvm":
        choice = _with_precision(choice, config, observer)
    if choice.masks not in (None, BRIGHT_MASKS) and config.matting.fp16:
        choice = _with_half_masks(choice, choice.masks, config)
    for text in choice.notices:
        observer(Notice(text, level="info" if text.startswith(_LICENCE_WORDS) else "warning"))
    return choice


def load_engine(choice: EngineChoice, config: Config, observer: Observer = ignore) -> Engine:
    """Load the chosen engine.

    Args:
        choice: from `choose_engine`, possibly made by another process.
        config: for device and threads.
        observer: receives a notice if the network runs on another device than asked for.

    Raises:
        WeightsError: the weights are gone, differ from those chosen, or cannot be run.
        ConfigError: the device does not work and `hardware.require_device` is set.
    """
    if choice.name == "brightness":
        return BrightnessEngine()
    if choice.masks is not None:
        return _masked(choice, choice.masks, config, observer)
    weights = _read(choice)
    if choice.name == "selfie":
        return SelfieEngine(weights)
    return _rvm(choice, weights, config, observer)


def _rvm(choice: EngineChoice, weights: bytes, config: Config, observer: Observer) -> RvmEngine:
    open_as_set = network_opener(config.hardware)

    def open_network(*args: Any, **how: Any) -> Session:
        session = open_as_set(*args, **how)
        for text in session.notices:
            observer(Notice(text))
        return session

    return load_rvm(
        weights,
        open_network,
        batch_pictures=config.processing.parallel_eyes,
        half=choice.precision in ("fp16", "fp16+bf16"),
        offload_idle=config.matting.memory_offload,
    )


def _choice_of_masks(config: Config, observer: Observer) -> EngineChoice:
    """Choose the mask model and the refiner.

    Raises:
        ConfigError: packages are missing; the message names them.
        WeightsError: weights are unavailable; the message names their source.
    """
    if config.matting.mask_model == "brightness":
        masks = BRIGHT_MASKS
    else:
        require_packages(config.matting.mask_model)
        masks = choose_mask_weights(config.matting.mask_model, observer=observer)
    refiner = config.matting.refiner
    if refiner == "guided":
        return EngineChoice(
            name="sam2",
            weights_name=masks.model,
            weights_path=masks.path,
            weights_sha256=masks.sha256,
            licence=masks.licence,
            verified=masks.verified,
            notices=masks.notices,
            masks=masks,
            refiner=refiner,
        )
    name = VITMATTE_WEIGHTS if refiner == "vitmatte" else RVM_WEIGHTS
    choice = _choice("sam2", get_weights(name, observer), *masks.notices)
    return replace(choice, masks=masks, refiner=refiner)


def _masked(
    choice: EngineChoice, masks: MaskWeights, config: Config, observer: Observer
) -> MaskedEngine:
    source: MaskSource = BrightMasks()
    if masks != BRIGHT_MASKS:
        source = open_mask_source(
            masks,
            config.hardware,
            half=choice.precision in ("bf16", "fp16+bf16"),
            memory_offload=config.matting.memory_offload,
            observer=observer,
        )
    if choice.refiner == "guided":
        return MaskedEngine(source, GuidedRefiner())
    weights = _read(choice)
    if choice.refiner == "vitmatte":
        return MaskedEngine(source, EdgeTiles(open_vitmatte(weights, config.hardware)))
    return MaskedEngine(source, NetworkRefiner(_rvm(choice, weights, config, observer)))


def _with_precision(choice: EngineChoice, config: Config, observer: Observer) -> EngineChoice:
    """Return the choice in half precision if that is allowed, faster, and works."""
    hardware = config.hardware
    device = resolve_device(hardware.device, hardware.require_device).device
    if not config.matting.fp16:
        return choice
    if device not in HALF_DEVICES:
        if hardware.device == "auto" and "fp16" in config.matting.model_fields_set:
            observer(Notice(f"matting.fp16 = true has no effect on {device}", "info"))
        return choice
    refused = half_rvm_runs(_read(choice), network_opener(hardware))
    if refused is None:
        return replace(choice, precision="fp16")
    notice = f"matting.fp16: the network runs in fp32, since {refused}"
    return replace(choice, notices=(*choice.notices, notice))


def _with_half_masks(choice: EngineChoice, masks: MaskWeights, config: Config) -> EngineChoice:
    """Return the choice with half-precision masks if PyTorch's device gains from it.

    PyTorch and ONNX Runtime may support different devices, so the other network is no guide.
    """
    gains, notice = half_precision(masks.model, config.hardware)
    if gains:
        return replace(choice, precision="fp16+bf16" if choice.precision == "fp16" else "bf16")
    notices = () if notice is None else (notice,)
    return replace(choice, notices=(*choice.notices, *notices))


def network_scale(config: Config, eye_px: int) -> float:
    """Return network pixels per source pixel for eyes `eye_px` wide."""
    asked = config.processing.scale_factor
    if asked == "auto":
        return min(_LARGEST_AUTO_SCALE, _LARGEST_AUTO_PX / eye_px)
    return asked


def _stand_in(cause: WeightsError, observer: Observer) -> EngineChoice:
    notice = f"matting with the simpler selfie engine, edges are coarser and flicker more: {cause}"
    try:
        return _choice("selfie", get_weights(SELFIE_WEIGHTS, observer), notice)
    except WeightsError as error:
        raise WeightsError(f"no matting engine has its weights: {cause}. And {error}") from error


def _choice(name: EngineKind, weights: LocalWeights, *notices: str) -> EngineChoice:
    told = [*notices]
    if weights.file.licence.startswith("GPL"):
        told.append(
            f"{_LICENCE_WORDS} {weights.file.licence}: {weights.file.name} is not covered by "
            f"vrmatte's own licence, see {weights.file.licence_url}"
        )
    if weights.notice is not None:
        told.append(weights.notice)
    return EngineChoice(
        name=name,
        weights_name=weights.file.name,
        weights_path=str(weights.path),
        weights_sha256=weights.sha256,
        licence=weights.file.licence,
        verified=weights.verified,
        notices=tuple(told),
    )


def _read(choice: EngineChoice) -> bytes:
    path = Path(choice.weights_path)
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"can't read the weights {path}: {error.strerror}. Run the same command again to "
            "choose an engine anew"
        ) from error
    if hashlib.sha256(weights).hexdigest() != choice.weights_sha256:
        raise WeightsError(
            f"the weights {path} changed since this run began: put the former file back, or "
            "begin a new run"
        )
    return weights
