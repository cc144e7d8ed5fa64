"""Examines the machine: everything is tried, nothing is taken from a list."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import psutil

from vrmatte.config import OutputConfig
from vrmatte.media.encoders import choose_encoder
from vrmatte.models.devices import cpu_threads, resolve_device, verdicts
from vrmatte.models.gpu_memory import free_gpu_bytes
from vrmatte.models.weights import list_weights

GIB = 1 << 30
_SIZES = ((6144, 3072), (8192, 4096))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined."""

    what: str
    ok: bool
    found: str
    advice: str = ""


def examine(folder: Path = Path()) -> list[Finding]:
    """Examine networks, encoders, weights, memory, and the disk of `folder`."""
    return [
        Finding("Python", sys.version_info >= (3, 11), sys.version.split()[0]),
        _memory(),
        _disk(folder),
        _networks(),
        *_devices(),
        *_gpu_memory(),
        *_encoders(),
        *_weights(),
    ]


def _memory() -> Finding:
    free = psutil.virtual_memory().available / GIB
    return Finding(
        "memory",
        free >= 4,
        f"{free:.1f} GiB free of {psutil.virtual_memory().total / GIB:.1f}",
        "" if free >= 4 else "6K video needs about 3 GiB: close other programs",
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / GIB
    return Finding(
        "disk here",
        free >= 20,
        f"{free:.0f} GiB free",
        ""
        if free >= 20
        else "an hour of 6K video needs some 20-80 GiB per file: choose another --out",
    )


def _networks() -> Finding:
    choice = resolve_device("auto")
    advice = (
        "a GPU is many times faster: install vrmatte[cuda] on a machine with an NVIDIA card"
        if choice.device == "cpu"
        else ""
    )
    return Finding("networks", True, f"{choice.device}, {cpu_threads()} CPU threads", advice)


def _devices() -> Iterator[Finding]:
    """What each device said when a network was run there."""
    for device, reason in verdicts().items():
        yield Finding(
            f"device {device}",
            True,
            f"not used: {reason}" if reason else "ran a network, which agreed with the CPU",
        )


def _gpu_memory() -> Iterator[Finding]:
    free = free_gpu_bytes()
    if free is not None:
        yield Finding("GPU memory", free >= 2 * GIB, f"{free / GIB:.1f} GiB free")


def _encoders() -> Iterator[Finding]:
    for width, height in _SIZES:
        for codec in ("hevc", "h264"):
            output = OutputConfig(codec=codec)
            choice = choose_encoder(output, width, height, 8, Fraction(30))
            software = choice.spec.encoder.startswith("lib")
            yield Finding(
                f"{codec} {width}x{height}",
                True,
                choice.spec.label,
                "on the CPU; a hardware encoder would be faster" if software else "",
            )


def _weights() -> Iterator[Finding]:
    for row in list_weights():
        if row.file.name in ("rvm_mobilenetv3_fp32.onnx", "selfie_segmentation.tflite"):
            missing = row.state == "missing"
            advice = f"fetched at the first run, or: vrmatte models pull {row.file.name}"
            yield Finding(row.file.name, not missing, row.state, advice if missing else "")
