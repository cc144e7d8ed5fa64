"""What a key can't do in this version or on this machine, said before the work begins.

Every key stands in exactly one of two tables: it does what it says, or it has a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrmatte.settings.config import Config, DeliverableName
from vrmatte.settings.keys import value_of
from vrmatte.settings.load import ResolvedConfig

_Condition = Callable[[str, Config], bool]
"""Whether the value of a key, among all settings, falls short of what it promises."""


@dataclass(frozen=True, slots=True)
class Limit:
    """When a key the user set does less than it promises, and why."""

    key: str
    reason: str
    """Follows "KEY = VALUE ", e.g. "has no effect: ..."."""
    applies: _Condition


def notices(resolved: ResolvedConfig) -> list[str]:
    """One line for each key the user set whose value has no effect, or not the expected one."""
    config, origins = resolved.config, resolved.origins
    return [
        f"{origins[limit.key]}: {limit.key} = {_shown(value_of(config, limit.key))} {limit.reason}"
        for limit in LIMITS
        if origins[limit.key] != "default" and limit.applies(limit.key, config)
    ]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _set_to(value: object) -> _Condition:
    return lambda key, config: value_of(config, key) == value


def _changed(key: str, config: Config) -> bool:
    return value_of(config, key) != value_of(Config(), key)


def _changed_without(*heeding: DeliverableName) -> _Condition:
    """The key differs from its default, but no file that heeds it is made."""
    return lambda key, config: (
        _changed(key, config) and not set(heeding).intersection(config.deliverables)
    )


def _changed_without_fisheye(key: str, config: Config) -> bool:
    return _changed(key, config) and (
        config.output.projection != "fisheye" or _makes_only_packed(config)
    )


def _boxes_without_a_place(key: str, config: Config) -> bool:
    fisheye = config.output.projection == "fisheye"
    return _changed(key, config) and (fisheye or _changed_without(*_BOXED)(key, config))


def _changed_while_packed(key: str, config: Config) -> bool:
    return _changed(key, config) and _makes_only_packed(config)


def _makes_only_packed(config: Config) -> bool:
    return set(config.deliverables) == {"alpha-packed"}


def _changed_beside(deliverable: DeliverableName) -> _Condition:
    """The key differs from its default, but one of the files does not follow it."""
    return lambda key, config: _changed(key, config) and deliverable in config.deliverables


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


_BOXED = ("matte", "xalpha", "greenscreen", "prores4444", "confidence")
"""Files that carry spherical boxes where they are half-equirectangular."""
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
"""Files that show people, not their matte alone."""

_NVIDIA = ("auto", "cuda", "tensorrt")
_OTHER_DETECTOR = "has no pinned weights in this version: yolox_s finds the people instead"
_NOT_COMPARED = (
    "has no effect here: the eyes are not compared (matting.use_disparity_mapping = false, or "
    "stereo.consistency_mode = independent)"
)
_NO_MASKS = "has no effect here: only matting.engine = sam2 follows people by masks"
_NOT_PACKED = "has no effect here: no alpha-packed file is made"
_ONLY_MATTES = "has no effect here: only mattes are made, which have no colours"

LIMITS = (
    Limit(
        "processing.chunk_size",
        "lets vrmatte choose the length of chunks: memory does not depend on it",
        _set_to(0),
    ),
    Limit(
        "processing.memory_pipeline",
        "has no effect: frames always stream, a half-scale float frame alone takes 54 MiB",
        _set_to(True),
    ),
    Limit(
        "processing.streaming_output",
        "has no effect: chunks are always written as they come, so that a stop loses none",
        _set_to(False),
    ),
    Limit("detection.model", _OTHER_DETECTOR, _names_absent_detector),
    Limit("detection.interval_frames", _NO_MASKS, _changed_without_masks),
    Limit("matting.mask_model", _NO_MASKS, _changed_without_masks),
    Limit("matting.refiner", _NO_MASKS, _changed_without_masks),
    Limit(
        "matting.use_disparity_mapping",
        "has no effect here: stereo.consistency_mode = independent leaves each eye alone",
        _eyes_are_left_apart,
    ),
    Limit(
        "matting.memory_offload",
        "has no effect on this device: only on CUDA and TensorRT state stays between frames",
        _is_set_off_gpu,
    ),
    Limit(
        "matting.fp16",
        "has no effect on this device: only CUDA, TensorRT and CoreML gain from half precision",
        _is_set_without_half,
    ),
    Limit("output.format", "has no effect here: output.deliver names the files", _is_overruled),
    Limit(
        "output.alpha_container",
        "has no effect here: it says what output.format = alpha means",
        _means_nothing,
    ),
    Limit(
        "output.name_template",
        "does not name the xalpha file: players find it by the name of the video it lies over",
        _changed_beside("xalpha"),
    ),
    Limit(
        "output.background_color",
        "has no effect here: no greenscreen file is made",
        _changed_without("greenscreen"),
    ),
    Limit(
        "output.maintain_sbs",
        "does not apply to the alpha-packed file: its frames hold the mattes of both eyes",
        _changed_beside("alpha-packed"),
    ),
    Limit(
        "output.projection",
        "has no effect here: alpha-packed pictures are always fisheye",
        _changed_while_packed,
    ),
    Limit(
        "output.fisheye_fov_deg",
        "has no effect here: no file is made with output.projection = fisheye",
        _changed_without_fisheye,
    ),
    Limit(
        "output.prores_alpha_bits",
        "has no effect here: no prores4444 file is made",
        _changed_without("prores4444"),
    ),
    Limit(
        "output.apple_boxes",
        "has no effect here: no half-equirectangular mp4 or mov file is made",
        _boxes_without_a_place,
    ),
    Limit("output.verify_alpha", _NOT_PACKED, _changed_without("alpha-packed")),
    Limit("output.alpha_packed.fov_deg", _NOT_PACKED, _changed_without("alpha-packed")),
    Limit("output.alpha_packed.channel", _NOT_PACKED, _changed_without("alpha-packed")),
    Limit("output.foreground.estimate", _ONLY_MATTES, _changed_without(*_COLOURED)),
    Limit("output.foreground.despill", _ONLY_MATTES, _changed_without(*_COLOURED)),
    Limit(
        "hardware.max_vram_gb",
        "has no effect on this device: only CUDA and TensorRT take a memory limit",
        _limits_no_memory,
    ),
    Limit(
        "stereo.consistency_mode",
        "has no effect here: matting.use_disparity_mapping = false leaves each eye alone",
        _mode_without_disparity,
    ),
    Limit("stereo.warn_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    Limit("stereo.validation_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    Limit("stereo.correction_method", _NOT_COMPARED, _eyes_are_not_compared),
)
"""In the order of the models; a key may have several."""

EFFECTIVE = frozenset(
    {
        "input.video_path",
        "input.layout",
        "input.projection",
        "input.lens",
        "input.start",
        "input.end",
        "input.on_damage",
        "processing.scale_factor",
        "processing.projection",
        "processing.overlap_frames",
        "processing.parallel_eyes",
        "processing.max_memory_gb",
        "processing.allow_smaller_scale",
        "processing.stall_minutes",
        "detection.confidence_threshold",
        "people.file",
        "people.viewer_body",
        "matting.engine",
        "output.path",
        "output.deliver",
        "output.codec",
        "output.encoder",
        "output.quality",
        "output.preset",
        "output.report",
        "output.edge.choke_px",
        "output.edge.feather_px",
        "hardware.device",
        "hardware.require_device",
        "hardware.threads",
        "audio.preserve_audio",
        "audio.verify_sync",
        "audio.audio_codec",
        "quality.scores",
        "performance.overlap",
        "performance.profile_enabled",
        "performance.preserve_intermediates",
        "debugging.log_intermediate_workflow",
        "debugging.save_detection_visualization",
        "debugging.frame_count_validation",
    }
)
"""Keys that always do what they say; a missing device is reported where it is looked for."""
