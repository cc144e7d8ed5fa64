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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from onnx import TensorProto

from vrmatte.errors import ConfigError, VrmatteError, WeightsError
from vrmatte.models.devices import (
    GPU_DEVICES,
    ORT_ERRORS,
    SEVERITY_ERROR,
    SEVERITY_FATAL,
    RealDevice,
    candidates,
    chain,
    create,
    disagreement,
    first_line,
    refusal,
    resolve_device,
    session_options,
)
from vrmatte.settings.choices import Device
from vrmatte.settings.config import HardwareConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Resident:
    """A tensor that stays where the network runs, to be fed to it again."""

    raw: ort.OrtValue

    def on_host(self) -> Array:
        """A copy in ordinary memory."""
        return self.raw.numpy()


@dataclass(frozen=True, slots=True)
class Session:
    """A network ready to run."""

    raw: ort.InferenceSession
    provider: str
    """ONNX Runtime's name of the provider that runs it."""
    device: RealDevice = "cpu"
    notes: tuple[str, ...] = ()
    """Why other devices were refused."""
    notices: tuple[str, ...] = ()
    """What the user must be told: a device that works refused this network."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Array]:
        """Run the network once.

        Args:
            outputs: names of the outputs wanted, in order; None: all.
            feeds: an array per input name, of the network's types and shapes.

        Raises:
            VrmatteError: the runtime failed, for example for lack of memory.
        """
        try:
            results: Any = self.raw.run(None if outputs is None else list(outputs), dict(feeds))
        except ORT_ERRORS as error:
            raise self._failure(error) from error
        return results

    def run_resident(
        self,
        outputs: Sequence[str],
        kept: Sequence[str],
        feeds: Mapping[str, Array | Resident],
    ) -> tuple[list[Array], tuple[Resident, ...]]:
        """Run the network once; what is `kept` stays on its device instead of being copied.

        Args:
            outputs: names of the outputs wanted as arrays, in order.
            kept: names of the outputs to leave there, in order.
            feeds: for each input an array, or what an earlier run left there.

        Raises:
            VrmatteError: the runtime failed, for example for lack of memory.
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
            found = [value.numpy() for value in values[: len(outputs)]]
        except ORT_ERRORS as error:
            raise self._failure(error) from error
        return found, tuple(Resident(value) for value in values[len(outputs) :])

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
    """`open_session` as the settings want it."""
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
        device: where it shall run.
        threads: CPU threads; 0: every physical core this process may use.
        require_device: fail where `device` doesn't work, don't go to the CPU.
        gpu_memory_bytes: the most memory an NVIDIA card may give to this network.
        trial: runs the network once; None: where the network says its sizes, they are tried.

    Raises:
        ConfigError: the device asked for doesn't work and `require_device` is set.
        WeightsError: the model can't be read, or isn't a network ONNX Runtime knows.
    """
    resolve_device(device, require_device)
    name = str(model) if isinstance(model, Path) else "the network"
    content = _with_own_sizes(model, name)
    notes: list[str] = []
    notices: list[str] = []
    on_cpu = _Reference(content, name, threads, trial or _try_declared)
    for candidate in candidates(device):
        if candidate == "cpu":
            break
        reason = refusal(candidate)
        if reason is not None:
            notes.append(f"{candidate}: {reason}")
            continue
        opened = _opened_on(candidate, content, threads, gpu_memory_bytes, on_cpu)
        if isinstance(opened, ort.InferenceSession):
            provider = opened.get_providers()[0]
            return Session(opened, provider, candidate, tuple(notes), tuple(notices))
        refused = f"{candidate}: it refuses the network: {opened}"
        if require_device:
            raise ConfigError(f"device {refused}; choose device: auto or cpu")
        notes.append(refused)
        notices.append(f"device {refused}; it runs elsewhere instead, perhaps slower")
    return Session(on_cpu.raw, on_cpu.raw.get_providers()[0], "cpu", tuple(notes), tuple(notices))


def _opened_on(
    device: RealDevice,
    content: bytes,
    threads: int,
    gpu_memory_bytes: int | None,
    on_cpu: _Reference,
) -> ort.InferenceSession | str:
    """The network on a device where it agreed with the CPU; else why not."""
    options = session_options(threads, SEVERITY_ERROR)
    try:
        raw = create(content, options, chain(device), gpu_memory_bytes)
        found = on_cpu.trial(Session(raw, raw.get_providers()[0], device))
    except (*ORT_ERRORS, VrmatteError) as error:
        return first_line(error)
    wrong = disagreement(found, on_cpu.results())
    return raw if wrong is None else f"it computes otherwise than the CPU: {wrong}"


class _Reference:
    """The network on the CPU, made when it is needed."""

    def __init__(self, content: bytes, name: str, threads: int, trial: Trial) -> None:
        self.trial = trial
        self._content, self._name, self._threads = content, name, threads
        self._raw: ort.InferenceSession | None = None

    @property
    def raw(self) -> ort.InferenceSession:
        """Its session.

        Raises:
            WeightsError: ONNX Runtime doesn't know such a network.
        """
        if self._raw is None:
            try:
                options = session_options(self._threads, SEVERITY_FATAL)
                self._raw = create(self._content, options, chain("cpu"))
            except ORT_ERRORS as error:
                raise WeightsError(
                    f"{self._name} can't be run by ONNX Runtime: {first_line(error)}"
                ) from error
        return self._raw

    def results(self) -> Sequence[Array]:
        """What the trial gives here."""
        return self.trial(Session(self.raw, self.raw.get_providers()[0]))


def _try_declared(session: Session) -> Sequence[Array]:
    """Run a network whose inputs have sizes of their own once; others are not tried."""
    feeds: dict[str, Array] = {}
    random = np.random.default_rng(0)
    for tensor in session.raw.get_inputs():
        # Only the first size, that of the batch, may be open.
        shape = [size if isinstance(size, int) else 0 for size in tensor.shape]
        if tensor.type != "tensor(float)" or not shape or 0 in shape[1:]:
            return ()
        feeds[tensor.name] = random.random((shape[0] or 1, *shape[1:]), dtype=np.float32)
    return session.run(None, feeds)


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
    if any(_is_elsewhere(tensor) for tensor in _tensors(network.graph, *network.functions)):
        raise WeightsError(f"{name} keeps its weights in other files, which aren't read")
    for tensor in (*network.graph.input, *network.graph.output):
        for axis, size in enumerate(tensor.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = f"{tensor.name}_{axis}"
    # Sizes noted in between may repeat the shared symbols; the runtime infers them anew.
    network.graph.ClearField("value_info")
    return network.SerializeToString()


def _tensors(*graphs: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    """All stored tensors, also those of subgraphs."""
    for graph in graphs:
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
        for attribute in (a for node in graph.node for a in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            yield from _tensors(attribute.g, *attribute.graphs)


def _is_elsewhere(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)
