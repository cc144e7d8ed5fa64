"""The devices on which networks can run, each tested by running a tiny network there.

A device is usable if it computed that network itself, with no part of it handed to the CPU, and
agreed with the CPU's result. Nothing falls back silently: the reason for each refusal is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import psutil
from onnx import TensorProto, helper

from vrmatte.errors import ConfigError
from vrmatte.models.ort import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    OPENVINO_PROVIDER,
    SEVERITY_FATAL,
    TENSORRT_PROVIDER,
    available_providers,
    create_session,
    first_line,
    install_commands,
    load_nvidia_libraries,
    runtime_errors,
    session_options,
)
from vrmatte.platform_support import usable_cores
from vrmatte.settings.choices import Device

RealDevice = Literal["cpu", "cuda", "tensorrt", "directml", "coreml", "openvino"]

PROVIDER: dict[RealDevice, str] = {
    "cpu": CPU_PROVIDER,
    "cuda": CUDA_PROVIDER,
    "tensorrt": TENSORRT_PROVIDER,
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": OPENVINO_PROVIDER,
}
_EXTRA: dict[RealDevice, str] = {
    "cuda": "cuda",
    "tensorrt": "cuda",
    "directml": "directml",
    "openvino": "openvino",
}
_NEEDS: dict[RealDevice, str] = {
    "cuda": "it needs an NVIDIA driver 580 or newer (570 with the extra cuda12)",
    "tensorrt": "it needs an NVIDIA driver 580 or newer, and TensorRT 10 (tensorrt-cu13<11)",
    "directml": "it needs Windows",
    "coreml": "it needs macOS",
    "openvino": "it needs Linux or Windows on an Intel-compatible processor",
}
_AUTO: tuple[RealDevice, ...] = ("cuda", "directml")
"""Devices tried before the CPU for `auto`. TensorRT compiles for minutes, CoreML splits networks
with changing sizes into pieces, and OpenVINO compiles again for each size and computes on the same
CPU, so these must be requested by name."""
GPU_DEVICES: frozenset[RealDevice] = frozenset({"cuda", "tensorrt"})
"""Devices on which tensors may stay between runs and memory can be limited."""
HALF_DEVICES: frozenset[RealDevice] = frozenset({"cuda", "tensorrt", "coreml"})
"""Devices that gain from half precision."""

TOLERANCE = 0.01
"""Accepted distance of a device's result from the CPU's, as a share of the CPU's largest value (at
least of 1). Other orders of summation differ by some 1e-5, the graph in half precision by some
1e-3; a wrong kernel is off by the size of the values themselves."""


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device on which networks will run, and the devices that were refused before it."""

    device: RealDevice
    providers: tuple[str, ...]
    """ONNX Runtime's names, the chosen one first and the CPU last."""
    reasons: tuple[str, ...] = ()
    """Reasons for which each device tried before was refused."""
    notices: tuple[str, ...] = ()
    """Messages for the user: the requested device is not the one used."""


def cpu_threads(requested: int = 0) -> int:
    """Return the CPU threads of a network: as requested, or for 0 all cores it may use.

    Only physical cores count, and only as many as the process is allowed to run on.
    """
    if requested > 0:
        return requested
    cores = usable_cores()
    return min(psutil.cpu_count(logical=False) or cores, cores)


def candidates(device: Device) -> tuple[RealDevice, ...]:
    """Return the devices that a setting stands for, in the order in which they are tried."""
    return _AUTO if device == "auto" else (device,)


def resolve_device(device: Device, require_device: bool = False) -> DeviceChoice:
    """Choose the device on which networks run by running a tiny one there.

    Raises:
        ConfigError: the requested device does not work and `require_device` is set, or ONNX
            Runtime is not installed properly.
    """
    wanted = candidates(device)
    reasons: list[str] = []
    for candidate in wanted:
        reason = refusal(candidate)
        if reason is None:
            return DeviceChoice(candidate, provider_chain(candidate), tuple(reasons))
        reasons.append(f"{candidate}: {reason}")
    if device == "auto":
        return DeviceChoice("cpu", provider_chain("cpu"), tuple(reasons))
    if require_device:
        raise ConfigError(
            f"device {reasons[0]}; {_advice(wanted[0])}, or choose device: auto or cpu"
        )
    notice = f"device {reasons[0]}; networks run on the CPU instead, slower"
    return DeviceChoice("cpu", provider_chain("cpu"), tuple(reasons), (notice,))


def _advice(device: RealDevice) -> str:
    if device not in _EXTRA or PROVIDER[device] in available_providers():
        return _NEEDS[device]
    return f"run {install_commands(_EXTRA[device])} ({_NEEDS[device]})"


def verdicts() -> dict[RealDevice, str | None]:
    """Return for each device the reason for which it cannot be used, or None if it can."""
    return {device: refusal(device) for device in PROVIDER}


@functools.cache
def refusal(device: RealDevice) -> str | None:
    """Return the reason for which networks can't run on a device, or None; tried once a process."""
    if device == "cpu":
        return None
    provider = PROVIDER[device]
    if provider not in available_providers():
        return f"the installed ONNX Runtime is built without {provider}"
    if device in GPU_DEVICES:
        load_nvidia_libraries()
    feeds = {"x": np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)}
    # Failures here are reported by the caller, so ONNX Runtime logs nothing about them.
    plain = session_options(threads=1, severity=SEVERITY_FATAL)
    alone = session_options(threads=1, severity=SEVERITY_FATAL)
    alone.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    network = _probe_network()
    providers = provider_chain(device)
    try:
        create_session(network, plain, providers)  # gives a better reason than the next line
        outputs = create_session(network, alone, providers[:-1]).run(None, feeds)
        expected = create_session(network, plain, provider_chain("cpu")).run(None, feeds)
    except runtime_errors() as error:
        return f"{provider} fails: {first_line(error)}"
    difference = disagreement(outputs, expected)
    return None if difference is None else f"{provider} disagrees with the CPU: {difference}"


def disagreement(outputs: Sequence[Any], expected: Sequence[Any]) -> str | None:
    """Describe how outputs differ by more than `TOLERANCE`; None: they agree."""
    for index, (actual, wanted) in enumerate(zip(outputs, expected, strict=True)):
        if np.shape(actual) != np.shape(wanted):
            return f"output {index} has shape {np.shape(actual)}, not {np.shape(wanted)}"
        share = _distance(np.asarray(actual, np.float64), np.asarray(wanted, np.float64))
        if not share <= TOLERANCE:  # not a number is no agreement either
            return f"output {index} differs by {share:.2g} of its range, {TOLERANCE:g} is accepted"
    return None


def _distance(actual: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> float:
    if wanted.size == 0:
        return 0.0
    return float(np.abs(actual - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def provider_chain(device: RealDevice) -> tuple[str, ...]:
    """Return ONNX Runtime's names of a device's providers: its own first, the CPU's last."""
    devices: dict[RealDevice, None] = {device: None}
    if device == "tensorrt":
        devices["cuda"] = None
    devices["cpu"] = None
    return tuple(dict.fromkeys(PROVIDER[name] for name in devices))


def _probe_network() -> bytes:
    """Return a network of one small convolution: a missing cuDNN shows only when one runs."""
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
