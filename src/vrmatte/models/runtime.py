"""Where networks run: ONNX Runtime sessions on the processor or a GPU, chosen by what works.

Nothing falls back silently: what was tried, and why it was refused, goes with the session.

CPU options were measured with the MobileNetV3 network of Robust Video Matting on two cores:

- Memory arena on. Cut to its 384 px part, 75 ms and 180 MB peak against 116 ms and 247 MB without;
  at 768 px 378 ms and 430 MB against 641 ms and 528 MB. Only the whole network at 3072 px is
  smaller without (0.8 against 1.2 GB), at double the time.
- Memory pattern off: time and peak are the same with it.
- Waiting threads sleep instead of spinning. Beside one other busy thread a frame takes 162 ms of
  processor time against 218; alone 4 % longer. Encoders and decoders want those cores.

Every input and output gets size symbols of its own before it is loaded. The states of Robust Video
Matting share one symbol though their sizes differ; the runtime believes it, lets them share a
buffer, and a network of such inputs fails at the second size. Results are the same bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import psutil
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper
from onnxruntime.capi import (
    onnxruntime_pybind11_state as ort_errors,  # pyright: ignore[reportAttributeAccessIssue]
)

from vrmatte.config import Device
from vrmatte.errors import ConfigError, VrmatteError, WeightsError

RealDevice = Literal["cpu", "cuda", "tensorrt", "directml", "coreml"]
Provider = str | tuple[str, dict[str, str]]

_PROVIDER: dict[RealDevice, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
_PACKAGE: dict[RealDevice, str] = {
    "cuda": "install vrmatte[cuda] and an NVIDIA driver",
    "tensorrt": "install vrmatte[cuda], TensorRT and an NVIDIA driver",
    "directml": "install onnxruntime-directml (Windows)",
    "coreml": "use onnxruntime on macOS",
}
_AUTO: tuple[RealDevice, ...] = ("cuda", "directml")
"""Tried in this order before the CPU. TensorRT builds for minutes and CoreML cuts networks with
changing sizes to pieces, so both must be asked for by name."""

_CUDA_OPTIONS = {
    # The exhaustive search times kernels against each other: slow per new size, and the winner,
    # with it the last bits of the matte, may change from run to run.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Doubling at each growth would take twice the memory a frame needs.
    "arena_extend_strategy": "kSameAsRequested",
    # Ten-bit mantissas would drift away from the CPU's matte through the recurrent states.
    "use_tf32": "0",
}
_ORT_ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    RuntimeError,
    *(
        error
        for error in vars(ort_errors).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
)
"""ONNX Runtime's exceptions have no common base of their own."""
_SEVERITY_ERROR, _SEVERITY_FATAL = 3, 4


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


@dataclass(frozen=True, slots=True)
class Session:
    """A network ready to run."""

    raw: ort.InferenceSession
    provider: str
    """ONNX Runtime's name of the provider that runs it."""
    notes: tuple[str, ...] = ()
    """Why other providers were refused."""

    def run(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """Run the network once.

        Args:
            outputs: names of the outputs wanted, in order; None: all.
            feeds: an array per input name, of the network's types and shapes.

        Raises:
            VrmatteError: the runtime failed, for example for lack of memory.
        """
        try:
            results: Any = self.raw.run(None if outputs is None else list(outputs), dict(feeds))
        except _ORT_ERRORS as error:
            raise VrmatteError(
                f"the network failed on {self.provider}: {_first_line(error)}. With device: cpu "
                "it may run, slower"
            ) from error
        return results


def available_providers() -> tuple[str, ...]:
    """The providers this build of ONNX Runtime knows; whether they work, `refusal` says."""
    return tuple(ort.get_available_providers())


def cpu_threads(asked: int = 0) -> int:
    """The threads a network gets: as asked, or for 0 every physical core this process may use."""
    if asked > 0:
        return asked
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(physical, len(os.sched_getaffinity(0))))
    return physical


def resolve_device(device: Device, require_device: bool = False) -> DeviceChoice:
    """Choose where networks run by really running a tiny one there.

    Raises:
        ConfigError: the device asked for doesn't work and `require_device` is set.
    """
    wanted: tuple[RealDevice, ...] = _AUTO if device == "auto" else (device,)
    reasons: list[str] = []
    for candidate in wanted:
        reason = refusal(candidate)
        if reason is None:
            return DeviceChoice(candidate, _chain(candidate), tuple(reasons))
        reasons.append(f"{candidate}: {reason}")
    if device == "auto":
        return DeviceChoice("cpu", _chain("cpu"), tuple(reasons))
    if require_device:
        raise ConfigError(
            f"device {reasons[0]}; {_PACKAGE[wanted[0]]}, or choose device: auto or cpu"
        )
    notice = f"device {reasons[0]}; networks run on the CPU instead, slower"
    return DeviceChoice("cpu", _chain("cpu"), tuple(reasons), (notice,))


@functools.cache
def refusal(device: RealDevice) -> str | None:
    """Why networks can't run on a device, or None if they can; tried once per process."""
    if device == "cpu":
        return None
    provider = _PROVIDER[device]
    if provider not in available_providers():
        return f"the installed ONNX Runtime is built without {provider}"
    if device in ("cuda", "tensorrt"):
        _load_nvidia_libraries()
    # What fails here is told in words of our own, so the runtime keeps quiet about it.
    options = _options(threads=1, severity=_SEVERITY_FATAL)
    try:
        raw = _create(_probe_network(), options, _chain(device))
        raw.run(None, {"x": np.ones((1, 1, 8, 8), np.float32)})
    except _ORT_ERRORS as error:
        return f"{provider} fails: {_first_line(error)}"
    return None


def open_session(
    model: bytes | Path,
    device: Device = "auto",
    threads: int = 0,
    *,
    require_device: bool = False,
    gpu_memory_bytes: int | None = None,
) -> Session:
    """Make a network ready to run.

    Args:
        model: an ONNX file, or its content.
        device: where it shall run.
        threads: CPU threads; 0: every physical core this process may use.
        require_device: fail where `device` doesn't work, don't go to the CPU.
        gpu_memory_bytes: the most memory CUDA may take for this network.

    Raises:
        ConfigError: the device asked for doesn't work and `require_device` is set.
        WeightsError: the model can't be read, or isn't a network ONNX Runtime knows.
    """
    choice = resolve_device(device, require_device)
    notes = choice.reasons
    name = str(model) if isinstance(model, Path) else "the network"
    content = _with_own_sizes(model, name)
    if choice.device != "cpu":
        options = _options(threads, _SEVERITY_ERROR)
        try:
            raw = _create(content, options, choice.providers, gpu_memory_bytes)
        except _ORT_ERRORS as error:
            reason = f"{choice.device}: it refuses the network: {_first_line(error)}"
            if require_device:
                raise ConfigError(f"device {reason}; choose device: auto or cpu") from error
            notes = (*notes, reason)
        else:
            return Session(raw, raw.get_providers()[0], notes)
    try:
        raw = _create(content, _options(threads, _SEVERITY_FATAL), _chain("cpu"))
    except _ORT_ERRORS as error:
        raise WeightsError(f"{name} can't be run by ONNX Runtime: {_first_line(error)}") from error
    return Session(raw, _PROVIDER["cpu"], notes)


def _with_own_sizes(model: bytes | Path, name: str) -> bytes:
    """The model with a symbol of its own for every open size of its inputs and outputs."""
    try:
        content = model.read_bytes() if isinstance(model, Path) else model
        network = onnx.load_model_from_string(content)
    except OSError as error:
        raise WeightsError(f"can't read {name}: {error.strerror}") from error
    except DecodeError as error:
        raise WeightsError(
            f"{name} isn't an ONNX file: it is damaged or of another kind"
        ) from error
    for tensor in (*network.graph.input, *network.graph.output):
        for axis, size in enumerate(tensor.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = f"{tensor.name}_{axis}"
    # Sizes noted in between may repeat the shared symbols; the runtime infers them anew.
    network.graph.ClearField("value_info")
    return network.SerializeToString()


def _options(threads: int, severity: int) -> ort.SessionOptions:
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


def _create(
    model: bytes,
    options: ort.SessionOptions,
    providers: Sequence[str],
    gpu_memory_bytes: int | None = None,
) -> ort.InferenceSession:
    cuda_options = dict(_CUDA_OPTIONS)
    if gpu_memory_bytes is not None:
        cuda_options["gpu_mem_limit"] = str(gpu_memory_bytes)
    with_options: list[Provider] = [
        (name, cuda_options) if name == _PROVIDER["cuda"] else name for name in providers
    ]
    # Its own fall-back would print and retry; ours says why and is recorded.
    raw = ort.InferenceSession(model, options, providers=with_options, enable_fallback=0)
    if raw.get_providers()[0] != providers[0]:
        raise RuntimeError("it could not be loaded (driver or libraries missing)")
    return raw


def _chain(device: RealDevice) -> tuple[str, ...]:
    devices: dict[RealDevice, None] = {device: None}
    if device == "tensorrt":
        devices["cuda"] = None
    devices["cpu"] = None
    return tuple(_PROVIDER[name] for name in devices)


def _load_nvidia_libraries() -> None:
    """Let CUDA and cuDNN installed as Python packages be found; what it prints is dropped."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def _probe_network() -> bytes:
    """One small convolution, because a missing cuDNN shows only when one runs."""
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, [1, 1, 3, 3], [1.0] * 9)
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


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
