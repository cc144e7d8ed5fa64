"""Notices about settings that have no effect, or less than expected, given before a run starts.

Every key is in exactly one of two tables: `EFFECTIVE` if it always does what it says, `LIMITS` if
it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrmatte.deliverable_kinds import DeliverableKind, Encoding, View, kinds_of
from vrmatte.settings.config import Config
from vrmatte.settings.keys import value_of
from vrmatte.settings.load import ResolvedConfig

_Condition = Callable[[str, Config], bool]
"""Returns True if a key has less effect than it promises, among all settings."""
_KindTest = Callable[[DeliverableKind], bool]


@dataclass(frozen=True, slots=True)
class Limit:
    """A condition under which a key has less effect than it promises, and the reason."""

    key: str
    reason: str
    """Text after "KEY = VALUE ", such as "has no effect: ..."."""
    applies: _Condition


def notices(resolved: ResolvedConfig) -> list[str]:
    """Return one line for each key the user set that has no effect, or not the expected one."""
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


def _changed_without(follows: _KindTest) -> _Condition:
    """The key differs from its default, but no deliverable follows it."""
    return lambda key, config: (
        _changed(key, config) and not any(map(follows, kinds_of(config.deliverables)))
    )


def _changed_beside(ignores: _KindTest) -> _Condition:
    """The key differs from its default, but a deliverable ignores it."""
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
    Limit(
        "processing.chunk_size",
        "lets vrmatte choose the chunk length, which memory does not depend on",
        _set_to(0),
    ),
    Limit(
        "processing.memory_pipeline",
        "has no effect: frames are always streamed; one half-scale float frame takes 54 MiB",
        _set_to(True),
    ),
    Limit(
        "processing.streaming_output",
        "has no effect: chunks are always written as they finish, so that stopping loses none",
        _set_to(False),
    ),
    Limit("detection.model", _OTHER_DETECTOR, _names_absent_detector),
    Limit("detection.interval_frames", _NO_MASKS, _changed_without_masks),
    Limit("matting.mask_model", _NO_MASKS, _changed_without_masks),
    Limit("matting.refiner", _NO_MASKS, _changed_without_masks),
    Limit(
        "matting.use_disparity_mapping",
        "has no effect here: stereo.consistency_mode = independent mattes each eye by itself",
        _eyes_are_left_apart,
    ),
    Limit(
        "matting.memory_offload",
        "has no effect on this device: only CUDA and TensorRT keep state between frames",
        _is_set_off_gpu,
    ),
    Limit(
        "matting.fp16",
        "has no effect on this device: only CUDA, TensorRT and CoreML use half precision",
        _is_set_without_half,
    ),
    Limit("output.format", "has no effect here: output.deliver names the files", _is_overruled),
    Limit(
        "output.alpha_container",
        "has no effect here: it only applies to output.format = alpha",
        _means_nothing,
    ),
    Limit(
        "output.name_template",
        "does not apply to the xalpha file: players find it by the name of the source video",
        _changed_beside(lambda kind: kind.named_after_source),
    ),
    Limit(
        "output.background_color",
        "has no effect here: no greenscreen file is made",
        _screen_colour_without_use,
    ),
    Limit(
        "output.maintain_sbs",
        "does not apply to the alpha-packed file: each frame contains the mattes of both eyes",
        _changed_beside(_is_packed),
    ),
    Limit(
        "output.projection",
        "has no effect here: alpha-packed files are always fisheye",
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
        _changed_without(lambda kind: kind.encoding is Encoding.PRORES),
    ),
    Limit(
        "output.apple_boxes",
        "has no effect here: no half-equirectangular mp4 or mov file is made",
        _boxes_without_use,
    ),
    Limit("output.verify_alpha", _NOT_PACKED, _changed_without(_is_packed)),
    Limit("output.alpha_packed.fov_deg", _NOT_PACKED, _changed_without(_is_packed)),
    Limit("output.alpha_packed.channel", _NOT_PACKED, _changed_without(_is_packed)),
    Limit("output.foreground.estimate", _NO_FOREGROUND, _changed_without(_has_foreground)),
    Limit("output.foreground.despill", _NO_FOREGROUND, _changed_without(_has_foreground)),
    Limit(
        "hardware.max_vram_gb",
        "has no effect on this device: only CUDA and TensorRT accept a memory limit",
        _limits_no_memory,
    ),
    Limit(
        "stereo.consistency_mode",
        "has no effect here: matting.use_disparity_mapping = false mattes each eye by itself",
        _mode_without_disparity,
    ),
    Limit("stereo.warn_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    Limit("stereo.validation_threshold", _NOT_COMPARED, _eyes_are_not_compared),
    Limit("stereo.correction_method", _NOT_COMPARED, _eyes_are_not_compared),
)
"""In the order of the settings models; a key may have several."""

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
"""Keys that always do what they say; a missing device is reported when it is first needed."""
