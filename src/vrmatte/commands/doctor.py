"""Examines the machine: everything is tried, nothing is taken from a list."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import av
import psutil

from vrmatte.deliverable_kinds import DeliverableName
from vrmatte.errors import VrmatteError
from vrmatte.jobs.job_folder import RESERVE_BYTES
from vrmatte.media.codec_trial import CodecTrial, try_codec
from vrmatte.media.encoders import (
    MATTE_STORE,
    Codec,
    EncoderSpec,
    alpha_encoder,
    choose_encoder,
)
from vrmatte.models.devices import cpu_threads, resolve_device, verdicts
from vrmatte.models.ort import install_commands, installed_builds, load_runtime
from vrmatte.models.weights import verify_weights
from vrmatte.profiling.machine_use import free_gpu_bytes
from vrmatte.settings.config import OutputConfig

State = Literal["ok", "warning", "missing"]
"""It works; it works, but read the advice; it isn't there, or doesn't work."""

GIB = 1 << 30
DEFAULT_SIZE = 6144, 3072
_RATE = Fraction(30)
_OLDEST_PYTHON = (3, 11)
_MEMORY_GIB = 4
_DISK_GIB = 20
_GPU_GIB = 2
_DEFAULT_WEIGHTS = ("rvm_mobilenetv3_fp32.onnx", "yolox_nano.onnx")
_CODECS: tuple[tuple[Codec, str], ...] = (("h264", "H.264"), ("hevc", "HEVC"), ("av1", "AV1"))
_ALPHA: tuple[tuple[DeliverableName, str], ...] = (("webm-alpha", "VP9"), ("prores4444", "ProRes"))
_CAMERA_CODECS = ("H.264", "HEVC")
_HARDWARE: tuple[Literal["nvenc", "qsv", "amf"], ...] = ("nvenc", "qsv", "amf")
_EXTRAS = {
    "torch": "detection by RT-DETR or D-FINE, masks by SAM 2: install vrmatte[detr] or [sam2]",
    "transformers": "detection by RT-DETR or D-FINE, masks by SAM 2: install vrmatte[detr]",
    "ultralytics": "detection by YOLOv8 (AGPL-3.0): install vrmatte[yolo]",
    "nicegui": "a page in the browser",
    "ray": "several machines",
}
"""Packages the default job does without, and what they are for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined."""

    group: str
    what: str
    state: State
    found: str
    advice: str = ""
    needed: bool = False
    """The default job can't run while it is missing."""


def can_run(findings: list[Finding]) -> bool:
    """Whether the default job can."""
    return not any(f.needed and f.state == "missing" for f in findings)


def examine(folder: Path = Path(), size: tuple[int, int] = DEFAULT_SIZE) -> list[Finding]:
    """Examine versions, machine, networks, codecs at `size`, weights, and the disk of `folder`."""
    return [
        *_versions(),
        *_machine(folder),
        *_networks(),
        *_codecs(size),
        *_hardware(size),
        *_weights(),
        *_extras(),
    ]


def _versions() -> Iterator[Finding]:
    group = "versions"
    yield Finding(group, "vrmatte", "ok", version("vrmatte"))
    state: State = "ok" if sys.version_info >= _OLDEST_PYTHON else "missing"
    yield Finding(group, "Python", state, platform.python_version(), needed=True)
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, number))}"
        for name, number in av.library_versions.items()
        if name in ("libavcodec", "libavformat")
    )
    yield Finding(group, "FFmpeg", "ok", f"{libraries} (PyAV {av.__version__})")
    yield _runtime()
    yield Finding(group, "OpenCV", "ok", _version("opencv-python-headless") or "another build")
    yield Finding(group, "Numba", "ok", _version("numba") or "unknown")
    yield Finding(group, "system", "ok", platform.platform())


def _runtime() -> Finding:
    """Check that exactly one build of ONNX Runtime is installed, and loads."""
    builds = ", ".join(str(build) for build in installed_builds()) or "not installed"
    try:
        load_runtime()
    except VrmatteError as error:
        return Finding("versions", "ONNX Runtime", "missing", builds, str(error), needed=True)
    return Finding("versions", "ONNX Runtime", "ok", builds, needed=True)


def _version(package: str) -> str | None:
    """Of an installed package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine(folder: Path) -> Iterator[Finding]:
    group, memory = "machine", psutil.virtual_memory()
    cores = f"{cpu_threads()} of {psutil.cpu_count() or 1} for networks"
    yield Finding(group, "processor cores", "ok", f"{cores}, {platform.machine()}")
    free = memory.available / GIB
    enough = free >= _MEMORY_GIB
    yield Finding(
        group,
        "memory",
        "ok" if enough else "warning",
        f"{free:.1f} GiB free of {memory.total / GIB:.1f}",
        "" if enough else "6K video needs about 3 GiB: close other programs",
    )
    yield _disk(folder)
    gpu = free_gpu_bytes()
    if gpu is not None:
        state: State = "ok" if gpu >= _GPU_GIB * GIB else "warning"
        advice = "" if state == "ok" else "close other programs that use the GPU"
        yield Finding(group, "GPU memory", state, f"{gpu / GIB:.1f} GiB free", advice)


def _disk(folder: Path) -> Finding:
    """Of an output directory, or of the folder it would be made in."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    what = f"disk of {there}"
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(
            "machine", what, "missing", "can't be written to", "choose another --out", needed=True
        )
    free = shutil.disk_usage(there).free
    state: State = "ok" if free >= _DISK_GIB * GIB else "warning"
    if free < RESERVE_BYTES:
        state = "missing"
    advice = "an hour of 6K video needs some 20-80 GiB per file: free some or choose another --out"
    told = f"{free / GIB:.1f} GiB free"
    return Finding("machine", what, state, told, "" if state == "ok" else advice, needed=True)


def _networks() -> Iterator[Finding]:
    """Where they run, and what each device said when a tiny one was run there."""
    try:
        choice = resolve_device("auto")
    except VrmatteError:
        advice = "see ONNX Runtime above"
        yield Finding("networks", "networks", "missing", "can't run", advice, needed=True)
        return
    advice = ""
    if choice.device == "cpu":
        advice = f"a GPU is many times faster; with an NVIDIA card run {install_commands('cuda')}"
    found = f"run on {choice.device}, {cpu_threads()} CPU threads"
    yield Finding("networks", "networks", "ok", found, advice, needed=True)
    for device, reason in verdicts().items():
        found = "ran a network, which agreed with the CPU" if device != "cpu" else "always there"
        yield Finding("networks", device, "missing" if reason else "ok", reason or found)


def _codecs(size: tuple[int, int]) -> Iterator[Finding]:
    """Each software encoder at the size, and the decoder of what it made."""
    default = choose_encoder(OutputConfig(encoder="software"), *size, 8, _RATE).spec
    store = try_codec(MATTE_STORE, *size)
    encoders = [_encoder("FFV1 (matte store)", size, store, needed=True)]
    for name, title, spec in _specs(size):
        trial = CodecTrial(spec, None, 0) if isinstance(spec, str) else try_codec(spec, *size)
        is_default = isinstance(spec, EncoderSpec) and spec.encoder == default.encoder
        encoders.append(_encoder(name, size, trial, needed=is_default))
        yield _decoder(title, size, trial)
    yield from encoders


def _specs(size: tuple[int, int]) -> Iterator[tuple[str, str, EncoderSpec | str]]:
    """Encoder and codec by name, with its real settings, or why there are none."""
    for codec, title in _CODECS:
        output = OutputConfig(codec=codec, encoder="software")
        try:
            yield f"{title}, software", title, choose_encoder(output, *size, 8, _RATE).spec
        except VrmatteError as error:
            yield f"{title}, software", title, str(error)
    for name, title in _ALPHA:
        try:
            spec = alpha_encoder(name, 8, *size, _RATE, OutputConfig()).spec
            yield f"{title} with alpha", title, spec
        except VrmatteError as error:
            yield f"{title} with alpha", title, str(error)


def _encoder(name: str, size: tuple[int, int], trial: CodecTrial, *, needed: bool) -> Finding:
    found = f"coded and read back {size[0]}x{size[1]} in {trial.seconds:.1f} s"
    advice = "reinstall PyAV, or choose another output.codec" if trial.encoding else ""
    state: State = "missing" if trial.encoding else "ok"
    return Finding("encoders", name, state, trial.encoding or found, advice, needed)


def _decoder(title: str, size: tuple[int, int], trial: CodecTrial) -> Finding:
    needed = title in _CAMERA_CODECS
    if trial.encoding:
        return Finding("decoders", title, "warning", "not tried: the encoder made no picture")
    found = f"decoded {size[0]}x{size[1]} to the same picture"
    advice = "reinstall PyAV" if trial.decoding else ""
    state: State = "missing" if trial.decoding else "ok"
    return Finding("decoders", title, state, trial.decoding or found, advice, needed)


def _hardware(size: tuple[int, int]) -> Iterator[Finding]:
    """Hardware encoders by family; none is needed."""
    for family in _HARDWARE:
        works: list[str] = []
        reasons: list[str] = []
        for codec, title in _CODECS:
            choice = choose_encoder(OutputConfig(codec=codec, encoder=family), *size, 8, _RATE)
            if choice.spec.encoder.endswith(family):
                works.append(title)
            else:
                reasons += choice.notices
        found = f"coded pictures of {size[0]}x{size[1]}: {', '.join(works)}"
        refused = reasons[0].partition(": using")[0] if reasons else ""
        yield Finding("encoders", family, "ok" if works else "missing", found if works else refused)


def _weights() -> Iterator[Finding]:
    """Every file that is here, by its digest, and those the default job needs."""
    try:
        rows = verify_weights()
    except VrmatteError as error:
        yield Finding("weights", "weights", "missing", str(error), needed=True)
        return
    offline = os.environ.get("VRMATTE_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    for row in rows:
        name, needed = row.file.name, row.file.name in _DEFAULT_WEIGHTS
        told = f"{row.file.licence}, for {row.file.used_by}"
        if row.state == "verified":
            yield Finding("weights", name, "ok", f"digest as registered; {told}", needed=needed)
        elif row.state == "unverified":
            advice = "not the registered file: used all the same, and said so"
            yield Finding("weights", name, "warning", f"another digest; {told}", advice, needed)
        elif needed or row.state == "damaged":
            state: State = "missing" if offline and needed else "warning"
            advice = f"fetched at the first run, or now: vrmatte models pull {name}"
            if offline:
                advice = f"VRMATTE_OFFLINE forbids fetching: vrmatte models import {name}"
            yield Finding("weights", name, state, f"{row.state}; {told}", advice, needed)


def _extras() -> Iterator[Finding]:
    for package, purpose in _EXTRAS.items():
        told = _version(package)
        advice = "" if told else f"only needed for {purpose}"
        yield Finding("extras", package, "ok" if told else "missing", told or "not here", advice)
