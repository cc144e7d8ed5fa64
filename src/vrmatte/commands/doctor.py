"""`vrmatte doctor`: check the machine by trying everything instead of trusting lists."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
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

CheckState = Literal["ok", "warning", "missing"]
"""Works; works, but with advice; is missing or doesn't work."""

TryCodec = Callable[[EncoderSpec, int, int], CodecTrial]
"""Tries an encoder, and the decoder of its codec, at a width and height."""

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
"""Optional packages and their purpose."""


@dataclass(frozen=True, slots=True)
class MachineCheck:
    """Result of one check."""

    group: str
    what: str
    state: CheckState
    result: str
    advice: str = ""
    needed: bool = False
    """Runs with default settings can't work without it."""


def missing_needs(checks: Sequence[MachineCheck]) -> list[MachineCheck]:
    """Return what runs with default settings need, but is missing."""
    return [check for check in checks if check.needed and check.state == "missing"]


def examine(folder: Path = Path(), size: tuple[int, int] = DEFAULT_SIZE) -> list[MachineCheck]:
    """Check versions, machine, networks, codecs, weights, and the disk of a folder.

    Args:
        folder: an output directory, which may not exist yet.
        size: width and height the codecs are tried with.
    """
    return [
        *_versions(),
        *_machine(folder),
        *_networks(),
        *check_codecs(size),
        *_hardware(size),
        *_weights(),
        *_extras(),
    ]


def _versions() -> Iterator[MachineCheck]:
    group = "versions"
    yield MachineCheck(group, "vrmatte", "ok", version("vrmatte"))
    state: CheckState = "ok" if sys.version_info >= _OLDEST_PYTHON else "missing"
    yield MachineCheck(group, "Python", state, platform.python_version(), needed=True)
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, number))}"
        for name, number in av.library_versions.items()
        if name in ("libavcodec", "libavformat")
    )
    yield MachineCheck(group, "FFmpeg", "ok", f"{libraries} (PyAV {av.__version__})")
    yield _runtime()
    yield MachineCheck(group, "OpenCV", "ok", _version("opencv-python-headless") or "another build")
    yield MachineCheck(group, "Numba", "ok", _version("numba") or "unknown")
    yield MachineCheck(group, "system", "ok", platform.platform())


def _runtime() -> MachineCheck:
    """Check that exactly one build of ONNX Runtime is installed, and loads."""
    builds = ", ".join(str(build) for build in installed_builds()) or "not installed"
    try:
        load_runtime()
    except VrmatteError as error:
        return MachineCheck("versions", "ONNX Runtime", "missing", builds, str(error), needed=True)
    return MachineCheck("versions", "ONNX Runtime", "ok", builds, needed=True)


def _version(package: str) -> str | None:
    """Return the version of an installed package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine(folder: Path) -> Iterator[MachineCheck]:
    group, memory = "machine", psutil.virtual_memory()
    cores = f"{cpu_threads()} of {psutil.cpu_count() or 1} for networks"
    yield MachineCheck(group, "processor cores", "ok", f"{cores}, {platform.machine()}")
    free = memory.available / GIB
    enough = free >= _MEMORY_GIB
    yield MachineCheck(
        group,
        "memory",
        "ok" if enough else "warning",
        f"{free:.1f} GiB free of {memory.total / GIB:.1f}",
        "" if enough else "6K video needs about 3 GiB: close other programs",
    )
    yield _disk(folder)
    gpu = free_gpu_bytes()
    if gpu is not None:
        state: CheckState = "ok" if gpu >= _GPU_GIB * GIB else "warning"
        advice = "" if state == "ok" else "close other programs that use the GPU"
        yield MachineCheck(group, "GPU memory", state, f"{gpu / GIB:.1f} GiB free", advice)


def _disk(folder: Path, least_bytes: int = RESERVE_BYTES) -> MachineCheck:
    """Check the disk of an output directory, or of the folder it would be created in."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    name = f"disk of {existing}"
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return MachineCheck(
            "machine", name, "missing", "can't be written to", "choose another --out", needed=True
        )
    free = shutil.disk_usage(existing).free
    state: CheckState = "ok" if free >= _DISK_GIB * GIB else "warning"
    if free < least_bytes:
        state = "missing"
    advice = "an hour of 6K video takes 20-80 GiB per file: free space or choose another --out"
    result = f"{free / GIB:.1f} GiB free"
    return MachineCheck(
        "machine", name, state, result, "" if state == "ok" else advice, needed=True
    )


def _networks() -> Iterator[MachineCheck]:
    """Check on which device networks run, by running a tiny one on each."""
    try:
        choice = resolve_device("auto")
    except VrmatteError:
        advice = "see ONNX Runtime above"
        yield MachineCheck("networks", "networks", "missing", "can't run", advice, needed=True)
        return
    advice = ""
    if choice.device == "cpu":
        advice = f"a GPU is many times faster; with an NVIDIA card run {install_commands('cuda')}"
    found = f"run on {choice.device}, {cpu_threads()} CPU threads"
    yield MachineCheck("networks", "networks", "ok", found, advice, needed=True)
    for device, reason in verdicts().items():
        result = "ran a network; results match the CPU" if device != "cpu" else "always available"
        yield MachineCheck("networks", device, "missing" if reason else "ok", reason or result)


def check_codecs(size: tuple[int, int], try_codec: TryCodec = try_codec) -> Iterator[MachineCheck]:
    """Check each software encoder at a size, and the decoder on the encoder's output."""
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
    """Yield encoder and codec by name, with the settings of a run, or why there are none."""
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


def _encoder(name: str, size: tuple[int, int], trial: CodecTrial, *, needed: bool) -> MachineCheck:
    result = f"encoded and decoded {size[0]}x{size[1]} in {trial.seconds:.1f} s"
    advice = "reinstall PyAV, or choose another output.codec" if trial.encoding else ""
    state: CheckState = "missing" if trial.encoding else "ok"
    return MachineCheck("encoders", name, state, trial.encoding or result, advice, needed)


def _decoder(title: str, size: tuple[int, int], trial: CodecTrial) -> MachineCheck:
    needed = title in _CAMERA_CODECS
    if trial.encoding:
        return MachineCheck("decoders", title, "warning", "not tried: the encoder failed")
    result = f"decoded {size[0]}x{size[1]} correctly"
    advice = "reinstall PyAV" if trial.decoding else ""
    state: CheckState = "missing" if trial.decoding else "ok"
    return MachineCheck("decoders", title, state, trial.decoding or result, advice, needed)


def _hardware(size: tuple[int, int]) -> Iterator[MachineCheck]:
    """Check hardware encoders, family by family; none is needed."""
    for family in _HARDWARE:
        works: list[str] = []
        reasons: list[str] = []
        for codec, title in _CODECS:
            choice = choose_encoder(OutputConfig(codec=codec, encoder=family), *size, 8, _RATE)
            if choice.spec.encoder.endswith(family):
                works.append(title)
            else:
                reasons += choice.notices
        encoded = f"encoded {size[0]}x{size[1]}: {', '.join(works)}"
        refused = reasons[0].partition(": using")[0] if reasons else ""
        state: CheckState = "ok" if works else "missing"
        yield MachineCheck("encoders", family, state, encoded if works else refused)


def _weights() -> Iterator[MachineCheck]:
    """Check the digest of every weights file on this machine, and of those a run needs."""
    try:
        rows = verify_weights()
    except VrmatteError as error:
        yield MachineCheck("weights", "weights", "missing", str(error), needed=True)
        return
    offline = os.environ.get("VRMATTE_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    for row in rows:
        name, needed = row.file.name, row.file.name in _DEFAULT_WEIGHTS
        about = f"{row.file.licence}, for {row.file.used_by}"
        if row.state == "verified":
            yield MachineCheck("weights", name, "ok", f"digest verified; {about}", needed=needed)
        elif row.state == "unverified":
            advice = "not the registered file: used anyway, with a notice"
            yield MachineCheck(
                "weights", name, "warning", f"different digest; {about}", advice, needed
            )
        elif needed or row.state == "damaged":
            state: CheckState = "missing" if offline and needed else "warning"
            advice = f"downloaded by the first run, or now by: vrmatte models pull {name}"
            if offline:
                advice = f"VRMATTE_OFFLINE forbids downloads: vrmatte models import {name}"
            yield MachineCheck("weights", name, state, f"{row.state}; {about}", advice, needed)


def _extras() -> Iterator[MachineCheck]:
    for package, purpose in _EXTRAS.items():
        number = _version(package)
        advice = "" if number else f"only needed for {purpose}"
        state: CheckState = "ok" if number else "missing"
        yield MachineCheck("extras", package, state, number or "not installed", advice)
