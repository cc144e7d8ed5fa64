"""Names shared by settings, files and the command line; light enough for `--help`."""

from __future__ import annotations

from typing import Literal

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
]

MaskModelName = Literal[
    "sam2.1_hiera_tiny",
    "sam2.1_hiera_small",
    "sam2.1_hiera_base_plus",
    "sam2.1_hiera_large",
    "edgetam",
    "sam3_tracker",
]
Device = Literal["auto", "cpu", "cuda", "tensorrt", "directml", "coreml", "openvino"]
EngineName = Literal["auto", "rvm", "selfie", "sam2", "brightness"]
OnDamage = Literal["stop", "hold", "partial"]
StereoMode = Literal["independent", "reference_eye", "joint"]
