"""What a key can't do in this version or on this machine, said before the work begins.

Every key stands in exactly one of two tables: it does what it says, or it has a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrmatte.config import Config, DeliverableName
from vrmatte.setting_keys import value_of
from vrmatte.settings import ResolvedConfig

_Condition = Callable[[str, Config], bool]
"""Whether the value of a key, among all settings, falls short of what it promises."""


def _always(_key: str, _config: Config) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Limit:
    """When a key the user set does less than it promises, and why."""

    key: str
    reason: str
    """Follows "KEY = VALUE ", e.g. "has no effect: ..."."""
    applies: _Condition = _always


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


def _not_set_to(value: object) -> _Condition:
    return lambda key, config: value_of(config, key) != value


def _changed_without(deliverable: DeliverableName) -> _Condition:
    """The key differs from its default, but the only file that heeds it is not made."""
    usual = Config()
    return lambda key, config: (
        value_of(config, key) != value_of(usual, key) and deliverable not in config.deliverables
    )


def _limits_no_memory(key: str, config: Config) -> bool:
    return value_of(config, key) is not None and config.hardware.device not in ("auto", "cuda")


def _means_packed(_key: str, config: Config) -> bool:
    return config.output.deliver is None and config.output.format == "alpha"


def _is_overruled(_key: str, config: Config) -> bool:
    return config.output.deliver is not None


def _names_absent_detector(key: str, config: Config) -> bool:
    return value_of(config, key) == "yolox_m"


_OTHER_DETECTOR = "has no pinned weights in this version: yolox_s finds the people instead"
_NO_STEREO = "has no effect yet: both eyes are matted alike, but not compared in this version"
_NOT_PACKED = "has no effect here: no alpha-packed file is made"

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
    Limit("matting.use_disparity_mapping", _NO_STEREO, _set_to(True)),
    Limit(
        "matting.memory_offload",
        "has no effect: between frames only the small recurrent state stays on the GPU",
        _set_to(True),
    ),
    Limit(
        "matting.fp16",
        "has no effect: networks run in fp32, half precision drifts in the recurrent state",
        _set_to(True),
    ),
    Limit(
        "output.format",
        "makes an alpha-packed file; name the files in output.deliver to have others",
        _means_packed,
    ),
    Limit("output.format", "has no effect here: output.deliver names the files", _is_overruled),
    Limit(
        "output.background_color",
        "has no effect here: no greenscreen file is made",
        _changed_without("greenscreen"),
    ),
    Limit(
        "output.maintain_sbs",
        "has no effect yet: a file per eye can't be had in this version, eyes stay side by side",
        _set_to(False),
    ),
    Limit("output.alpha_packed.fov_deg", _NOT_PACKED, _changed_without("alpha-packed")),
    Limit("output.alpha_packed.channel", _NOT_PACKED, _changed_without("alpha-packed")),
    Limit(
        "hardware.max_vram_gb",
        "has no effect on this device: only CUDA takes a memory limit",
        _limits_no_memory,
    ),
    Limit("stereo.consistency_mode", _NO_STEREO, _not_set_to("independent")),
    Limit("stereo.validation_threshold", _NO_STEREO),
    Limit("stereo.correction_method", _NO_STEREO),
)
"""In the order of the models; a key may have several."""

EFFECTIVE = frozenset(
    {
        "input.video_path",
        "input.layout",
        "input.projection",
        "input.start",
        "input.end",
        "processing.scale_factor",
        "processing.projection",
        "processing.overlap_frames",
        "processing.parallel_eyes",
        "processing.max_memory_gb",
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
        "hardware.device",
        "hardware.require_device",
        "hardware.threads",
        "audio.preserve_audio",
        "audio.verify_sync",
        "audio.audio_codec",
        "performance.profile_enabled",
        "performance.preserve_intermediates",
        "debugging.log_intermediate_workflow",
        "debugging.save_detection_visualization",
        "debugging.frame_count_validation",
    }
)
"""Keys that always do what they say; a missing device is reported where it is looked for."""
