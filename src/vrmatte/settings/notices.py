"""Notices about keys that have no effect, or not the expected one, before the work begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrmatte.settings.choices import DeliverableName
from vrmatte.settings.config import Config
from vrmatte.settings.keys import KEYS, value_of
from vrmatte.settings.load import ResolvedConfig

_Condition = Callable[[str, Config], bool]
"""Returns True if the value of a key, together with all settings, lacks its usual effect."""


@dataclass(frozen=True, slots=True)
class KeyLimit:
    """A condition under which a key has no effect, or not the expected one."""

    key: str
    reason: str
    """Text that follows "KEY = VALUE ", for example "has no effect: ..."."""
    applies: _Condition


def notices(resolved: ResolvedConfig) -> list[str]:
    """Return a line for each key set by the user that has no effect, or not the expected one."""
    config, origins = resolved.config, resolved.origins
    reasons = [
        (key.path, f"has no effect: {key.meaning}")
        for key in KEYS.values()
        if key.is_deprecated and _changed(key.path, config)
    ]
    reasons += [(limit.key, limit.reason) for limit in LIMITS if limit.applies(limit.key, config)]
    return [
        f"{origins[key]}: {key} = {_shown(value_of(config, key))} {reason}"
        for key, reason in reasons
        if origins[key] != "default"
    ]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _set_to(value: object) -> _Condition:
    return lambda key, config: value_of(config, key) == value


def _changed(key: str, config: Config) -> bool:
    return value_of(config, key) != value_of(Config(), key)


def _changed_without(*files: DeliverableName) -> _Condition:
    """Return a condition: the key differs from its default, but no file that uses it is made."""
    return lambda key, config: (
        _changed(key, config) and not set(files).intersection(config.deliverables)
    )


def _changed_without_fisheye(key: str, config: Config) -> bool:
    return _changed(key, config) and (
        config.output.projection != "fisheye" or _makes_only_packed(config)
    )


def _apple_boxes_unused(key: str, config: Config) -> bool:
    fisheye = config.output.projection == "fisheye"
    return _changed(key, config) and (fisheye or _changed_without(*_BOXED)(key, config))


def _changed_but_packed_only(key: str, config: Config) -> bool:
    return _changed(key, config) and _makes_only_packed(config)


def _makes_only_packed(config: Config) -> bool:
    return set(config.deliverables) == {"alpha-packed"}


def _changed_beside(deliverable: DeliverableName) -> _Condition:
    """Return a condition: the key differs from its default, but one of the files ignores it."""
    return lambda key, config: _changed(key, config) and deliverable in config.deliverables


def _limits_no_memory(key: str, config: Config) -> bool:
    return value_of(config, key) is not None and config.hardware.device not in _NVIDIA


def _is_set_off_gpu(key: str, config: Config) -> bool:
    return bool(value_of(config, key)) and config.hardware.device not in _NVIDIA


def _is_set_without_half(key: str, config: Config) -> bool:
    return bool(value_of(config, key)) and config.hardware.device not in (*_NVIDIA, "coreml")


def _deliver_is_set(_key: str, config: Config) -> bool:
    return config.output.deliver is not None


def _container_unused(key: str, config: Config) -> bool:
    used = config.output.deliver is None and config.output.format == "alpha"
    return _changed(key, config) and not used


def _detector_without_weights(key: str, config: Config) -> bool:
    return value_of(config, key) == "yolox_m"


def _eyes_are_not_compared(_key: str, config: Config) -> bool:
    return not config.matting.use_disparity_mapping or config.stereo.mode == "independent"


def _eyes_are_independent(_key: str, config: Config) -> bool:
    return config.matting.use_disparity_mapping and config.stereo.mode == "independent"


def _mode_without_disparity(_key: str, config: Config) -> bool:
    return not config.matting.use_disparity_mapping and config.stereo.mode != "independent"


def _changed_without_masks(key: str, config: Config) -> bool:
    return _changed(key, config) and config.matting.engine != "sam2"


_BOXED = ("matte", "xalpha", "greenscreen", "prores4444", "confidence")
"""Files with spherical metadata if they are half-equirectangular."""
_COLOURED = (
    "alpha-packed",
    "greenscreen",
    "prores4444",
    "webm-alpha",
    "ffv1-alpha",
    "png",
    "exr",
    "preview",
)
"""Files that show people and not only their matte."""

_NVIDIA = ("auto", "cuda", "tensorrt")
_OTHER_DETECTOR = "has no registered weights in this version: yolox_s detects the people instead"
_NOT_COMPARED = (
    "has no effect here: the eyes are not compared (matting.use_disparity_mapping = false, or "
    "stereo.consistency_mode = independent)"
)
_NO_MASKS = "has no effect here: only matting.engine = sam2 tracks people by masks"
_NOT_PACKED = "has no effect here: no alpha-packed file is made"
_ONLY_MATTES = "has no effect here: only mattes are written, which have no colours"

LIMITS = (
    KeyLimit(
        "processing.chunk_size",
        "means chunks of about four seconds: a whole video in one chunk would not be faster",
        _set_to(0),
    ),
    KeyLimit("detection.model", _OTHER_DETECTOR, _detector_without_weights),
    KeyLimit("detection.interval_frames", _NO_MASKS, _changed_without_masks),
    KeyLimit("matting.mask_model", _NO_MASKS, _changed_without_masks),
    KeyLimit("matting.refiner", _NO_MASKS, _changed_without_masks),
    KeyLimit(
        "matting.use_disparity_mapping",
        "has no effect here: with stereo.consistency_mode = independent the eyes are not compared",
        _eyes_are_independent,
    ),
    KeyLimit(
        "matting.memory_offload",
        "has no effect on this device: only on CUDA and TensorRT does state stay on the device",
        _is_set_off_gpu,
    ),
    KeyLimit(
        "matting.fp16",
        "has no effect on this device: only CUDA, TensorRT and CoreML gain from half precision",
        _is_set_without_half,
    ),
    KeyLimit(
        "output.format", "has no effect here: output.deliver lists the files", _deliver_is_set
    ),
    KeyLimit(
        "output.alpha_container",
        "has no effect here: it is the kind of file for output.format = alpha",
        _container_unused,
    ),
    KeyLimit(
        "output.name_template",
        "does not apply to the xalpha file: players find it by the name of the video",
        _changed_beside("xalpha"),
    ),
    KeyLimit(
        "output.background_color",
        "has no effect here: no greenscreen file is made",
        _changed_without("greenscreen"),
    ),
    KeyLimit(
        "output.maintain_sbs",
        "does not apply to the alpha-packed file: its frames contain the mattes of both eyes",
        _changed_beside("alpha-packed"),
    ),
    KeyLimit(
        "output.projection",
        "has no effect here: alpha-packed files are always fisheye",
        _changed_but_packed_only,
    ),
    KeyLimit(
        "output.fisheye_fov_deg",
        "has no effect here: no file is made with output.projection = fisheye",
        _changed_without_fisheye,
    ),
    KeyLimit(
        "output.prores_alpha_bits",
        "has no effect here: no prores4444 file is made",
        _changed_without("prores4444"),
    ),
    KeyLimit(
        "output.apple_boxes",
        "has no effect here: no half-equirectangular mp4 or mov file is made",
        _apple_boxes_unused,
    ),
    KeyLimit("output.verify_alpha", _NOT_PACKED, _changed_without("alpha-packed")),
    KeyLimit("output.alpha_packed.fov_deg", _NOT_PACKED, _changed_without("alpha-packed")),
    KeyLimit("output.alpha_packed.channel", _NOT_PACKED, _changed_without("alpha-packed")),
    KeyLimit("output.foreground.estimate", _ONLY_MATTES, _changed_without(*_COLOURED)),
    KeyLimit("output.foreground.despill", _ONLY_MATTES, _changed_without(*_COLOURED)),
    KeyLimit(
        "hardware.max_vram_gb",
        "has no effect on this device: only CUDA and TensorRT have a memory limit",
        _limits_no_memory,
    ),
    KeyLimit(
        "stereo.consistency_mode",
        "has no effect here: with matting.use_disparity_mapping = false the eyes are not compared",
        _mode_without_disparity,
    ),
    KeyLimit("stereo.warn_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    KeyLimit("stereo.validation_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    KeyLimit("stereo.correction_method", _NOT_COMPARED, _eyes_are_not_compared),
)
"""Limits in the order of the models; a key may have several."""
