"""Names shared by settings, files and the command line; light enough for `--help`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

PresetName = Literal["draft", "balanced", "best"]
"""Keys of `PRESETS`."""
LensName = Literal["fisheye180", "fisheye190", "fisheye200", "mkx200", "mkx220", "rf52", "vrca220"]

DetectorName = Literal[
    "yolox_nano",
    "yolox_tiny",
    "yolox_s",
    "yolox_m",
    "yolov8n",
    "yolov8s",
    "yolov8m",
    "rtdetr_v2_r18vd",
    "dfine_nano",
    "brightness",
]

MaskModelName = Literal[
    "sam2.1_hiera_tiny",
    "sam2.1_hiera_small",
    "sam2.1_hiera_base_plus",
    "sam2.1_hiera_large",
    "edgetam",
    "sam3_tracker",
    "brightness",
]
Device = Literal["auto", "cpu", "cuda", "tensorrt", "directml", "coreml", "openvino"]
EngineName = Literal["auto", "rvm", "selfie", "sam2", "brightness"]
OnDamage = Literal["stop", "hold", "partial"]
MatteKind = Literal["auto", "matte", "alpha-packed"]
"""How a file stores its matte; auto: straight alpha if it has any, packed if its name says so."""
StereoMode = Literal["independent", "reference_eye", "joint"]

PRESETS: Mapping[str, Mapping[str, object]] = {
    "draft": {"processing.scale_factor": 0.25, "output.quality": 28},
    "balanced": {},
    "best": {"processing.scale_factor": 1.0, "output.quality": 16},
}
"""Named sets of settings between the defaults and the user's files; "balanced" is the defaults.

`output.preset` stays out: its words differ between encoders, and a set must suit each of them.
"""
