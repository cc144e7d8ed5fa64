"""Notices about keys that have no effect, or not the expected one, before a run starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrmatte.deliverable_kinds import DeliverableKind, Encoding, View, kinds_of
from vrmatte.settings.config import Config
from vrmatte.settings.keys import KEYS, value_of
from vrmatte.settings.load import ResolvedConfig

_Condition = Callable[[str, Config], bool]
"""Returns True if a key has less effect than it promises, among all settings."""
_KindTest = Callable[[DeliverableKind], bool]


@dataclass(frozen=True, slots=True)
class KeyLimit:
    """A condition under which a key has less effect than it promises, and the reason."""

    key: str
    reason: str
    """Text after "KEY = VALUE ", such as "has no effect: ..."."""
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


def _changed_without(follows: _KindTest) -> _Condition:
    """Return True if the key differs from its default, but no deliverable uses it."""
    return lambda key, config: (
        _changed(key, config) and not any(map(follows, kinds_of(config.deliverables)))
    )


def _changed_beside(ignores: _KindTest) -> _Condition:
    """Return True if the key differs from its default, but a deliverable ignores it."""
    return lambda key, config: (
        _changed(key, config) and any(map(ignores, kinds_of(config.deliverables)))
    )


def _screen_colour_without_use(key: str, config: Config) -> bool:
    despills = config.output.foreground.despill > 0

    def uses_it(kind: DeliverableKind) -> bool:
        return "background_color" in kind.settings or (despills and _has_foreground(kind))

    return _changed_without(uses_it)(key, config)


def _changed_without_fisheye(key: str, config: Config) -> bool:
    makes_no_fisheye = config.output.projection != "fisheye"
    return _changed(key, config) and (makes_no_fisheye or _makes_only_packed(config))


def _boxes_without_use(key: str, config: Config) -> bool:
    if config.output.projection == "fisheye":
        return _changed(key, config)
    return _changed_without(lambda kind: kind.can_hold_boxes)(key, config)


def _changed_while_packed(key: str, config: Config) -> bool:
    return _changed(key, config) and _makes_only_packed(config)


def _makes_only_packed(config: Config) -> bool:
    return all(map(_is_packed, kinds_of(config.deliverables)))


def _is_packed(kind: DeliverableKind) -> bool:
    return kind.view is View.PACKED


def _has_foreground(kind: DeliverableKind) -> bool:
    return bool(kind.foreground)


def _limits_no_memory(key: str, config: Config) -> bool:
    return value_of(config, key) is not None and config.hardware.device not in _NVIDIA


def _is_set_off_gpu(key: str, config: Config) -> bool:
    return bool(value_of(config, key)) and config.hardware.device not in _NVIDIA


def _is_set_without_half(key: str, config: Config) -> bool:
    return bool(value_of(config, key)) and config.hardware.device not in (*_NVIDIA, "coreml")


def _is_overruled(_key: str, config: Config) -> bool:
    return config.output.deliver is not None


def _means_nothing(key: str, config: Config) -> bool:
    asked = config.output.deliver is None and config.output.format == "alpha"
    return _changed(key, config) and not asked


def _names_absent_detector(key: str, config: Config) -> bool:
    return value_of(config, key) == "yolox_m"


def _eyes_are_not_compared(_key: str, config: Config) -> bool:
    return not config.matting.use_disparity_mapping or config.stereo.mode == "independent"


def _eyes_are_left_apart(_key: str, config: Config) -> bool:
    return config.matting.use_disparity_mapping and config.stereo.mode == "independent"


def _mode_without_disparity(_key: str, config: Config) -> bool:
    return not config.matting.use_disparity_mapping and config.stereo.mode != "independent"


def _changed_without_masks(key: str, config: Config) -> bool:
    return _changed(key, config) and config.matting.engine != "sam2"


_NVIDIA = ("auto", "cuda", "tensorrt")
_OTHER_DETECTOR = "has no pinned weights in this version: yolox_s is used instead"
_NOT_COMPARED = (
    "has no effect here: the eyes are not compared (matting.use_disparity_mapping = false, or "
    "stereo.consistency_mode = independent)"
)
_NO_MASKS = "has no effect here: only matting.engine = sam2 tracks people by masks"
_NOT_PACKED = "has no effect here: no alpha-packed file is made"
_NO_FOREGROUND = "has no effect here: no deliverable with foreground colours is made"

LIMITS = (
    KeyLimit(
        "processing.chunk_size",
        "lets vrmatte choose the chunk length, which memory does not depend on",
        _set_to(0),
    ),
    KeyLimit("detection.model", _OTHER_DETECTOR, _names_absent_detector),
    KeyLimit("detection.interval_frames", _NO_MASKS, _changed_without_masks),
    KeyLimit("matting.mask_model", _NO_MASKS, _changed_without_masks),
    KeyLimit("matting.refiner", _NO_MASKS, _changed_without_masks),
    KeyLimit(
        "matting.use_disparity_mapping",
        "has no effect here: stereo.consistency_mode = independent mattes each eye by itself",
        _eyes_are_left_apart,
    ),
    KeyLimit(
        "matting.memory_offload",
        "has no effect on this device: only CUDA and TensorRT keep state between frames",
        _is_set_off_gpu,
    ),
    KeyLimit(
        "matting.fp16",
        "has no effect on this device: only CUDA, TensorRT and CoreML use half precision",
        _is_set_without_half,
    ),
    KeyLimit("output.format", "has no effect here: output.deliver names the files", _is_overruled),
    KeyLimit(
        "output.alpha_container",
        "has no effect here: it only applies to output.format = alpha",
        _means_nothing,
    ),
    KeyLimit(
        "output.name_template",
        "does not apply to the xalpha file: players find it by the name of the source video",
        _changed_beside(lambda kind: kind.named_after_source),
    ),
    KeyLimit(
        "output.background_color",
        "has no effect here: no greenscreen file is made",
        _screen_colour_without_use,
    ),
    KeyLimit(
        "output.maintain_sbs",
        "does not apply to the alpha-packed file: each frame contains the mattes of both eyes",
        _changed_beside(_is_packed),
    ),
    KeyLimit(
        "output.projection",
        "has no effect here: alpha-packed files are always fisheye",
        _changed_while_packed,
    ),
    KeyLimit(
        "output.fisheye_fov_deg",
        "has no effect here: no file is made with output.projection = fisheye",
        _changed_without_fisheye,
    ),
    KeyLimit(
        "output.prores_alpha_bits",
        "has no effect here: no prores4444 file is made",
        _changed_without(lambda kind: kind.encoding is Encoding.PRORES),
    ),
    KeyLimit(
        "output.apple_boxes",
        "has no effect here: no half-equirectangular mp4 or mov file is made",
        _boxes_without_use,
    ),
    KeyLimit("output.verify_alpha", _NOT_PACKED, _changed_without(_is_packed)),
    KeyLimit("output.alpha_packed.fov_deg", _NOT_PACKED, _changed_without(_is_packed)),
    KeyLimit("output.alpha_packed.channel", _NOT_PACKED, _changed_without(_is_packed)),
    KeyLimit("output.foreground.estimate", _NO_FOREGROUND, _changed_without(_has_foreground)),
    KeyLimit("output.foreground.despill", _NO_FOREGROUND, _changed_without(_has_foreground)),
    KeyLimit(
        "hardware.max_vram_gb",
        "has no effect on this device: only CUDA and TensorRT accept a memory limit",
        _limits_no_memory,
    ),
    KeyLimit(
        "stereo.consistency_mode",
        "has no effect here: matting.use_disparity_mapping = false mattes each eye by itself",
        _mode_without_disparity,
    ),
    KeyLimit("stereo.warn_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    KeyLimit("stereo.validation_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    KeyLimit("stereo.correction_method", _NOT_COMPARED, _eyes_are_not_compared),
)
"""In the order of the settings models; a key may have several."""
