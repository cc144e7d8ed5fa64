"""Where networks can run on this machine, found out by running a tiny one there.

A device counts once it computed that network itself, with no part of it handed to the CPU, and
agreed with the CPU's result. Nothing falls back silently: why a device was refused goes along.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import psutil
from onnx import TensorProto, helper
from onnxruntime.capi import (
    onnxruntime_pybind11_state as ort_errors,  # pyright: ignore[reportAttributeAccessIssue]
)

from vrmatte.errors import ConfigError
from vrmatte.platform_support import cache_folder, usable_cores
from vrmatte.settings.choices import Device

RealDevice = Literal["cpu", "cuda", "tensorrt", "directml", "coreml", "openvino"]
Provider = tuple[str, dict[str, str]]

PROVIDER: dict[RealDevice, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_PACKAGE: dict[RealDevice, str] = {
    "cuda": "install vrmatte[cuda] and an NVIDIA driver",
    "tensorrt": "install vrmatte[cuda], TensorRT and an NVIDIA driver",
    "directml": "install onnxruntime-directml (Windows)",
    "coreml": "use onnxruntime on macOS",
    "openvino": "install vrmatte[openvino]",
}
_AUTO: tuple[RealDevice, ...] = ("cuda", "directml")
"""Tried in this order before the CPU. TensorRT builds for minutes, CoreML cuts networks with
changing sizes to pieces, and OpenVINO compiles anew for each size and computes on the same CPU, so
these must be asked for by name."""
GPU_DEVICES: frozenset[RealDevice] = frozenset({"cuda", "tensorrt"})
"""Where tensors may stay between runs, and where memory can be limited."""
HALF_DEVICES: frozenset[RealDevice] = frozenset({"cuda", "tensorrt", "coreml"})
"""What gains from half precision."""

TOLERANCE = 0.01
"""How far a device's result may lie from the CPU's, as a share of the CPU's largest value (at least
of 1). Other orders of summation differ by some 1e-5, the graph in half precision by some 1e-3; a
wrong kernel is off by the size of the values themselves."""

_CUDA_OPTIONS = {
    # The exhaustive search times kernels against each other: slow per new size, and the winner,
    # with it the last bits of the matte, may change from run to run.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Doubling at each growth would take twice the memory a frame needs.
    "arena_extend_strategy": "kSameAsRequested",
    # Ten-bit mantissas would drift away from the CPU's matte through the recurrent states.
    "use_tf32": "0",
}
_OPENVINO_OPTIONS = {
    "device_type": "CPU",
    # On processors that have it OpenVINO takes bfloat16 unasked.
    "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}',
}
ORT_ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    RuntimeError,
    *(
        error
        for error in vars(ort_errors).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
)
"""ONNX Runtime's exceptions have no common base of their own."""
SEVERITY_ERROR, SEVERITY_FATAL = 3, 4


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """Where networks will run, and what was refused on the way there."""

    device: RealDevice
    providers: tuple[str, ...]
    """ONNX Runtime's names, the chosen one first and the CPU last."""
    reasons: tuple[str, ...] = ()
    """Why each device tried before was refused."""
    notices: tuple[str, ...] = ()
    """What the user must be told: the device asked for isn't the one used."""


def available_providers() -> tuple[str, ...]:
    """The providers this build of ONNX Runtime knows; whether they work, `refusal` says."""
    return tuple(ort.get_available_providers())


def cpu_threads(asked: int = 0) -> int:
    """The threads a network gets: as asked, or for 0 every physical core this process may use."""
    if asked > 0:
        return asked
    cores = usable_cores()
    return min(psutil.cpu_count(logical=False) or cores, cores)


def candidates(device: Device) -> tuple[RealDevice, ...]:
    """The devices that a setting means, in the order in which they are tried before the CPU."""
    return _AUTO if device == "auto" else (device,)


def resolve_device(device: Device, require_device: bool = False) -> DeviceChoice:
    """Choose where networks run by really running a tiny one there.

    Raises:
        ConfigError: the device asked for doesn't work and `require_device` is set.
    """
    wanted = candidates(device)
    reasons: list[str] = []
    for candidate in wanted:
        reason = refusal(candidate)
        if reason is None:
            return DeviceChoice(candidate, chain(candidate), tuple(reasons))
        reasons.append(f"{candidate}: {reason}")
    if device == "auto":
        return DeviceChoice("cpu", chain("cpu"), tuple(reasons))
    if require_device:
        raise ConfigError(
            f"device {reasons[0]}; {_PACKAGE[wanted[0]]}, or choose device: auto or cpu"
        )
    notice = f"device {reasons[0]}; networks run on the CPU instead, slower"
    return DeviceChoice("cpu", chain("cpu"), tuple(reasons), (notice,))


def verdicts() -> dict[RealDevice, str | None]:
    """What each device said when it was tried: why it can't be used, or None if it can."""
    return {device: refusal(device) for device in PROVIDER}


@functools.cache
def refusal(device: RealDevice) -> str | None:
    """Why networks can't run on a device, or None if they can; tried once per process."""
    if device == "cpu":
        return None
    provider = PROVIDER[device]
    if provider not in available_providers():
        return f"the installed ONNX Runtime is built without {provider}"
    if device in GPU_DEVICES:
        _load_nvidia_libraries()
    feeds = {"x": np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)}
    # What fails here is told in words of our own, so the runtime keeps quiet about it.
    plain = session_options(threads=1, severity=SEVERITY_FATAL)
    alone = session_options(threads=1, severity=SEVERITY_FATAL)
    alone.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    network = _probe_network()
    try:
        create(network, plain, chain(device))  # says better than the next why it can't be loaded
        found = create(network, alone, chain(device)[:-1]).run(None, feeds)
        expected = create(network, plain, chain("cpu")).run(None, feeds)
    except ORT_ERRORS as error:
        return f"{provider} fails: {first_line(error)}"
    wrong = disagreement(found, expected)
    return None if wrong is None else f"{provider} computes otherwise than the CPU: {wrong}"


def disagreement(found: Sequence[Any], expected: Sequence[Any]) -> str | None:
    """How results differ beyond `TOLERANCE`; None: they agree."""
    for at, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if np.shape(ours) != np.shape(theirs):
            return f"output {at} has shape {np.shape(ours)}, not {np.shape(theirs)}"
        share = _apart(np.asarray(ours, np.float64), np.asarray(theirs, np.float64))
        if not share <= TOLERANCE:  # not a number is no agreement either
            return f"output {at} is {share:.2g} of its range away, {TOLERANCE:g} is accepted"
    return None


def _apart(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> float:
    if theirs.size == 0:
        return 0.0
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(theirs).max())))


def session_options(threads: int, severity: int) -> ort.SessionOptions:
    """The measured options; see `vrmatte.models.runtime`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu_threads(threads)
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    options.log_severity_level = severity
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def create(
    model: bytes,
    options: ort.SessionOptions,
    providers: Sequence[str],
    gpu_memory_bytes: int | None = None,
) -> ort.InferenceSession:
    """A session on the first of the providers.

    Raises:
        Exception: one of `ORT_ERRORS`.
    """
    told = [(name, _provider_options(name, options, gpu_memory_bytes)) for name in providers]
    # Its own fall-back would print and retry; ours says why and is recorded.
    raw = ort.InferenceSession(model, options, providers=told, enable_fallback=0)
    if raw.get_providers()[0] != providers[0]:
        raise RuntimeError("it could not be loaded (driver or libraries missing)")
    return raw


def chain(device: RealDevice) -> tuple[str, ...]:
    """The names of a device's providers: its own first, the CPU's last."""
    devices: dict[RealDevice, None] = {device: None}
    if device == "tensorrt":
        devices["cuda"] = None
    devices["cpu"] = None
    return tuple(dict.fromkeys(PROVIDER[name] for name in devices))


def first_line(error: Exception) -> str:
    """What an error of the runtime says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _provider_options(
    name: str, session: ort.SessionOptions, gpu_memory_bytes: int | None
) -> dict[str, str]:
    limit = None if gpu_memory_bytes is None else str(gpu_memory_bytes)
    options: Mapping[str, str] = {}
    if name == PROVIDER["cuda"]:
        options = _CUDA_OPTIONS if limit is None else {**_CUDA_OPTIONS, "gpu_mem_limit": limit}
    elif name == PROVIDER["tensorrt"]:
        folder = cache_folder() / "tensorrt"
        options = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
        if limit is not None:
            options = {**options, "trt_max_workspace_size": limit}
    elif name == PROVIDER["openvino"]:
        options = {**_OPENVINO_OPTIONS, "num_of_threads": str(session.intra_op_num_threads)}
    return dict(options)


def _load_nvidia_libraries() -> None:
    """Let CUDA and cuDNN installed as Python packages be found; what it prints is dropped."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def _probe_network() -> bytes:
    """One small convolution, because a missing cuDNN shows only when one runs."""
    weights = [0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, 0.9]
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, [1, 1, 3, 3], weights)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "kernel"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6, 6])],
        [kernel],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8
    )
    return model.SerializeToString()
