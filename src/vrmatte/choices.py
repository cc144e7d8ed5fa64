"""Names that settings, files and the command line share; light enough for `--help`."""

from __future__ import annotations

from typing import Literal

DeliverableName = Literal[
    "matte",
    "matte-lossless",
    "xalpha",
    "alpha-packed",
    "greenscreen",
    "prores4444",
    "webm-alpha",
    "ffv1-alpha",
    "png",
    "exr",
    "preview",
]
AlphaContainer = Literal["prores4444", "webm-alpha", "ffv1-alpha", "png", "exr", "alpha-packed"]
LensName = Literal["fisheye180", "fisheye190", "fisheye200", "mkx200", "mkx220", "rf52", "vrca220"]
