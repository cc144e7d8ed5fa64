"""Networks ready to run, on the first device that runs them as the CPU does.

Nothing falls back silently: the devices that were tried, and the reasons for which they were
refused, are kept with the session.

CPU options were measured with the MobileNetV3 network of Robust Video Matting on two cores:

- Memory arena on. Cut to its 384 px part, 75 ms and 180 MB peak against 116 ms and 247 MB without;
  at 768 px 378 ms and 430 MB against 641 ms and 528 MB. Only the whole network at 3072 px is
  smaller without (0.8 against 1.2 GB), at double the time.
- Memory pattern off: time and peak are the same with it.
- Waiting threads sleep instead of spinning. Beside one other busy thread a frame takes 162 ms of
  processor time against 218; alone 4 % longer. Encoders and decoders want those cores.

Every input and output gets size symbols of its own before the network is loaded. The states of
Robust Video Matting share one symbol though their sizes differ; ONNX Runtime relies on it, lets
them share a buffer, and a network of such inputs fails at the second size. Results are the same bit
for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from vrmatte.errors import ConfigError, VrmatteError, WeightsError
from vrmatte.models.devices import (
    GPU_DEVICES,
    RealDevice,
    candidates,
    cpu_threads,
    disagreement,
    provider_chain,
    refusal,
    resolve_device,
)
from vrmatte.models.ort import (
    SEVERITY_ERROR,
    SEVERITY_FATAL,
    create_session,
    first_line,
    runtime_errors,
    session_options,
)
from vrmatte.settings.choices import Device
from vrmatte.settings.config import HardwareConfig

if TYPE_CHECKING:
    from vrmatte.models.ort import InferenceSession, OrtValue

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Resident:
    """A tensor that stays on the device of its network, to be passed to it again."""

    raw: OrtValue

    def on_host(self) -> Array:
        """Return a copy in ordinary memory."""
        return self.raw.numpy()


@dataclass(frozen=True, slots=True)
class Session:
    """A network ready to run."""

    raw: InferenceSession
    provider: str
    """ONNX Runtime's name of the provider that runs it."""
    device: RealDevice = "cpu"
    notes: tuple[str, ...] = ()
    """Reasons for which other devices were refused."""
    notices: tuple[str, ...] = ()
    """Messages for the user: a device that works refused this network."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Array]:
        """Run the network once.

        Args:
            outputs: names of the outputs wanted, in order; None: all.
            feeds: an array per input name, of the network's types and shapes.

        Raises:
            VrmatteError: ONNX Runtime failed, for example for lack of memory.
        """
        try:
            results: Any = self.raw.run(None if outputs is None else list(outputs), dict(feeds))
        except runtime_errors() as error:
            raise self._failure(error) from error
        return results

    def run_resident(
        self,
        outputs: Sequence[str],
        kept: Sequence[str],
        feeds: Mapping[str, Array | Resident],
    ) -> tuple[list[Array], tuple[Resident, ...]]:
        """Run the network once and leave some outputs on its device instead of copying them.

        Args:
            outputs: names of the outputs wanted as arrays, in order.
            kept: names of the outputs to leave on the device, in order.
            feeds: for each input an array, or an output that an earlier run left there.

        Raises:
            VrmatteError: ONNX Runtime failed, for example for lack of memory.
        """
        place = "cuda" if self.device in GPU_DEVICES else "cpu"
        # Binding an array does not copy it on the CPU: it must live until the run is over.
        arrays = {n: np.ascontiguousarray(v) for n, v in feeds.items() if isinstance(v, np.ndarray)}
        try:
            binding = self.raw.io_binding()
            for name, value in feeds.items():
                if isinstance(value, Resident):
                    binding.bind_ortvalue_input(name, value.raw)
                else:
                    binding.bind_cpu_input(name, arrays[name])
            for name in outputs:
                binding.bind_output(name, "cpu")
            for name in kept:
                binding.bind_output(name, place)
            self.raw.run_with_iobinding(binding)
            values = binding.get_outputs()
            results = [value.numpy() for value in values[: len(outputs)]]
        except runtime_errors() as error:
            raise self._failure(error) from error
        return results, tuple(Resident(value) for value in values[len(outputs) :])

    def _failure(self, error: Exception) -> VrmatteError:
        return VrmatteError(
            f"the network failed on {self.provider}: {first_line(error)}. With device: cpu "
            "it may run, slower"
        )


Trial = Callable[[Session], Sequence[Array]]
"""Runs a network on something tiny; its results on a device are compared with the CPU's."""
OpenNetwork = Callable[..., Session]
"""`open_session` with the device settled: takes a model, and optionally `trial`."""


def network_opener(hardware: HardwareConfig) -> OpenNetwork:
    """Return `open_session` with the arguments that the settings ask for."""
    limit = hardware.max_vram_gb
    return partial(
        open_session,
        device=hardware.device,
        threads=hardware.threads,
        require_device=hardware.require_device,
        gpu_memory_bytes=None if limit is None else int(limit * 1e9),
    )


def open_session(
    model: bytes | Path,
    device: Device = "auto",
    threads: int = 0,
    *,
    require_device: bool = False,
    gpu_memory_bytes: int | None = None,
    trial: Trial | None = None,
) -> Session:
    """Make a network ready to run on the first device that runs it as the CPU does.

    Args:
        model: an ONNX file, or its content.
        device: the device requested.
        threads: CPU threads; 0: every physical core this process may use.
        require_device: fail if `device` doesn't work, instead of using the CPU.
        gpu_memory_bytes: the most memory an NVIDIA card may give to this network.
        trial: runs the network once; None: networks that declare their sizes are tried with them.

    Raises:
        ConfigError: the requested device doesn't work and `require_device` is set.
        WeightsError: the model can't be read, or isn't a network that ONNX Runtime can run.
    """
    resolve_device(device, require_device)
    name = str(model) if isinstance(model, Path) else "the network"
    content = _with_separate_sizes(model, name)
    notes: list[str] = []
    notices: list[str] = []
    on_cpu = _CpuReference(content, name, threads, trial or _try_declared)
    for candidate in candidates(device):
        if candidate == "cpu":
            break
        reason = refusal(candidate)
        if reason is not None:
            notes.append(f"{candidate}: {reason}")
            continue
        opened = _open_on(candidate, content, threads, gpu_memory_bytes, on_cpu)
        if not isinstance(opened, str):
            provider = opened.get_providers()[0]
            return Session(opened, provider, candidate, tuple(notes), tuple(notices))
        refused = f"{candidate}: it refuses the network: {opened}"
        if require_device:
            raise ConfigError(f"device {refused}; choose device: auto or cpu")
        notes.append(refused)
        notices.append(f"device {refused}; it runs on another device instead, perhaps slower")
    return Session(on_cpu.raw, on_cpu.raw.get_providers()[0], "cpu", tuple(notes), tuple(notices))


def _open_on(
    device: RealDevice,
    content: bytes,
    threads: int,
    gpu_memory_bytes: int | None,
    on_cpu: _CpuReference,
) -> InferenceSession | str:
    """Open the network on a device; return the reason if it fails or disagrees with the CPU."""
    options = session_options(cpu_threads(threads), SEVERITY_ERROR)
    try:
        raw = create_session(content, options, provider_chain(device), gpu_memory_bytes)
        results = on_cpu.trial(Session(raw, raw.get_providers()[0], device))
    except (*runtime_errors(), VrmatteError) as error:
        return first_line(error)
    difference = disagreement(results, on_cpu.results())
    return raw if difference is None else f"it disagrees with the CPU: {difference}"


class _CpuReference:
    """The network on the CPU, opened when it is needed."""

    def __init__(self, content: bytes, name: str, threads: int, trial: Trial) -> None:
        self.trial = trial
        self._content, self._name, self._threads = content, name, threads
        self._raw: InferenceSession | None = None

    @property
    def raw(self) -> InferenceSession:
        """The session.

        Raises:
            WeightsError: ONNX Runtime can't run the network.
        """
        if self._raw is None:
            try:
                options = session_options(cpu_threads(self._threads), SEVERITY_FATAL)
                self._raw = create_session(self._content, options, provider_chain("cpu"))
            except runtime_errors() as error:
                raise WeightsError(
                    f"{self._name} can't be run by ONNX Runtime: {first_line(error)}"
                ) from error
        return self._raw

    def results(self) -> Sequence[Array]:
        """Return the results of the trial on the CPU."""
        return self.trial(Session(self.raw, self.raw.get_providers()[0]))


def _try_declared(session: Session) -> Sequence[Array]:
    """Run a network once if its inputs declare their sizes; return nothing for others."""
    feeds: dict[str, Array] = {}
    random = np.random.default_rng(0)
    for tensor in session.raw.get_inputs():
        # Only the first size, that of the batch, may be open.
        shape = [size if isinstance(size, int) else 0 for size in tensor.shape]
        if tensor.type != "tensor(float)" or not shape or 0 in shape[1:]:
            return ()
        feeds[tensor.name] = random.random((shape[0] or 1, *shape[1:]), dtype=np.float32)
    return session.run(None, feeds)


def _with_separate_sizes(model: bytes | Path, name: str) -> bytes:
    """Return the model with a separate symbol for every open size of its inputs and outputs."""
    try:
        content = model.read_bytes() if isinstance(model, Path) else model
        network = onnx.load_model_from_string(content)
    except OSError as error:
        raise WeightsError(f"can't read {name}: {error.strerror}") from error
    except DecodeError as error:
        raise WeightsError(f"{name} isn't an ONNX file: it is damaged or another format") from error
    if any(_is_external(tensor) for tensor in _tensors(network.graph, *network.functions)):
        raise WeightsError(f"{name} stores weights in other files, which aren't read")
    for tensor in (*network.graph.input, *network.graph.output):
        for axis, size in enumerate(tensor.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = f"{tensor.name}_{axis}"
    # Sizes noted for tensors in between may repeat the shared symbols; ONNX Runtime infers them.
    network.graph.ClearField("value_info")
    return network.SerializeToString()


def _tensors(*graphs: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    """Yield all stored tensors, including those of subgraphs."""
    for graph in graphs:
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
        for attribute in (a for node in graph.node for a in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            yield from _tensors(attribute.g, *attribute.graphs)


def _is_external(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)
