"""ONNX Runtime: which build is installed, its import, and the sessions it creates.

This is the only module that imports `onnxruntime`, and it does so when a network is first needed.

PyPI has one distribution of ONNX Runtime for each kind of device, and all of them unpack to the
same folder `onnxruntime/`. Package metadata cannot declare that they exclude each other. Where two
are installed, the one unpacked last wins: with onnxruntime 1.32.0 beside onnxruntime-gpu 1.31.1
only the CPU was left, and nothing reported it. So vrmatte itself depends on none of them, each
extra names one, and anything but exactly one is refused here with the commands that repair it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vrmatte.errors import ConfigError
from vrmatte.platform_support import cache_folder

if TYPE_CHECKING:
    from onnxruntime import (
        InferenceSession,
        SessionOptions,  # pyright: ignore[reportAttributeAccessIssue]
    )
    from onnxruntime import OrtValue as OrtValue

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "cpu": ("onnxruntime>=1.20",),
    "cuda": ("onnxruntime-gpu[cuda,cudnn]>=1.28", "nvidia-ml-py>=12"),
    "cuda12": ("onnxruntime-gpu[cuda,cudnn]>=1.23,<1.27", "nvidia-ml-py>=12"),
    "directml": ("onnxruntime-directml>=1.20",),
    "openvino": ("onnxruntime-openvino>=1.20",),
}
"""Requirements of the extras that install ONNX Runtime, as in pyproject.toml; the build first."""
_FIRST_CUDA_13 = (1, 27)
"""From 1.27 on, the wheels of onnxruntime-gpu on PyPI need CUDA 13."""
_NAME_STARTS = ("onnxruntime", "ort-nightly")
_OWNED_FILE = "onnxruntime/__init__.py"

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"
OPENVINO_PROVIDER = "OpenVINOExecutionProvider"
SEVERITY_ERROR, SEVERITY_FATAL = 3, 4

_CUDA_OPTIONS = {
    # The exhaustive search times kernels against each other: slow for each new size, and the
    # fastest one, and with it the last bits of the matte, may change from run to run.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Doubling the arena at each growth would take twice the memory that a frame needs.
    "arena_extend_strategy": "kSameAsRequested",
    # Ten-bit mantissas would drift away from the CPU's matte through the recurrent states.
    "use_tf32": "0",
}
_OPENVINO_OPTIONS = {
    "device_type": "CPU",
    # On processors that support bfloat16, OpenVINO uses it by default.
    "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}',
}


@dataclass(frozen=True, slots=True, order=True)
class RuntimeBuild:
    """An installed distribution of ONNX Runtime."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def extra(self) -> str | None:
        """Name of vrmatte's extra that installs this build; None: no extra does."""
        if self.distribution == "onnxruntime-gpu":
            number = tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])
            return "cuda" if number >= _FIRST_CUDA_13 else "cuda12"
        names = {
            re.split(r"[\[<>=]", first)[0]: extra for extra, (first, *_) in REQUIREMENTS.items()
        }
        return names.get(self.distribution)


def installed_builds(path: Sequence[str] | None = None) -> tuple[RuntimeBuild, ...]:
    """Return the installed distributions that own the folder `onnxruntime/`, sorted by name.

    Plug-ins such as onnxruntime-ep-webgpu and packages such as onnxruntime-genai do not own it.

    Args:
        path: folders to search instead of `sys.path`.
    """
    distributions = metadata.distributions(path=list(sys.path if path is None else path))
    named = ((re.sub(r"[-_.]+", "-", one.name).lower(), one) for one in distributions)
    return tuple(
        sorted(
            {
                RuntimeBuild(name, one.version)
                for name, one in named
                if name.startswith(_NAME_STARTS) and _owns_folder(one)
            }
        )
    )


def _owns_folder(distribution: metadata.Distribution) -> bool:
    files = distribution.files  # None: installed by something that keeps no list, such as conda
    return files is None or any(file.as_posix() == _OWNED_FILE for file in files)


def installation_fault(builds: Sequence[RuntimeBuild]) -> str | None:
    """Explain why these builds cannot be used, with the commands that repair it; None: they can."""
    if not builds:
        return (
            f"ONNX Runtime is not installed: run {install_commands('cpu', ())}, or on a machine "
            f"with an NVIDIA card and driver 580 or newer {install_commands('cuda', ())}"
        )
    if len(builds) == 1:
        return None
    extras = [build.extra for build in builds if build.extra not in (None, "cpu")]
    names = ", ".join(str(build) for build in builds)
    return (
        f"several builds of ONNX Runtime overwrite each other ({names}): run "
        f"{install_commands(extras[0] or 'cpu' if extras else 'cpu', builds)}"
    )


@dataclass(frozen=True, slots=True)
class Installer:
    """The program that installs packages into an environment: pip, or uv where pip is missing."""

    python: str
    """Path of the environment's interpreter."""
    has_pip: bool

    def command(self, verb: str) -> str:
        """Return the beginning of an install or uninstall command."""
        python = f'"{self.python}"' if " " in self.python else self.python
        return f"{python} -m pip {verb}" if self.has_pip else f"uv pip {verb} --python {python}"


def install_commands(
    extra: str,
    builds: Sequence[RuntimeBuild] | None = None,
    installer: Installer | None = None,
) -> str:
    """Return the commands that make an extra's build of ONNX Runtime the only one.

    Installing over another build is not enough: pip would leave both, and removing one of two
    builds deletes files of the other.

    Args:
        extra: one of `REQUIREMENTS`.
        builds: the installed builds; None: look them up.
        installer: of the environment; None: this interpreter's.
    """
    builds = installed_builds() if builds is None else builds
    installer = installer or Installer(
        sys.executable, has_pip=importlib.util.find_spec("pip") is not None
    )
    requirements = " ".join(f'"{requirement}"' for requirement in REQUIREMENTS[extra])
    install = f"`{installer.command('install')} {requirements}`"
    if not builds:
        return install
    names = " ".join(build.distribution for build in builds)
    confirmed = "-y " if installer.has_pip else ""
    return f"`{installer.command('uninstall')} {confirmed}{names}`, then {install}"


@functools.cache
def load_runtime() -> ModuleType:
    """Import ONNX Runtime, with its telemetry off.

    Raises:
        ConfigError: no build or several builds are installed, or the installed one is damaged.
    """
    builds = installed_builds()
    fault = installation_fault(builds)
    if fault is not None:
        raise ConfigError(fault)
    # Since 1.29 official builds send events to Microsoft. The variable prevents that if it is set
    # before the import; the call is for builds of Windows, which ignore the variable.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        runtime = importlib.import_module("onnxruntime")
        runtime.InferenceSession  # noqa: B018 - a folder without its files imports as a namespace
    except (ImportError, AttributeError, OSError) as error:
        repair = install_commands(builds[0].extra or "cpu", builds)
        if "DLL load failed" in str(error):
            repair = f"install the Microsoft Visual C++ Redistributable; if that is there, {repair}"
        raise ConfigError(
            f"ONNX Runtime ({builds[0]}) cannot be loaded: {first_line(error)}; run {repair}"
        ) from error
    runtime.disable_telemetry_events()
    return runtime


@functools.cache
def runtime_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime, which have no common base class of their own."""
    load_runtime()
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    found = (kind for kind in vars(state).values() if isinstance(kind, type))
    return (ValueError, RuntimeError, *(kind for kind in found if issubclass(kind, Exception)))


def available_providers() -> tuple[str, ...]:
    """Return the execution providers that the installed build has, working or not."""
    return tuple(load_runtime().get_available_providers())


def load_nvidia_libraries() -> None:
    """Load CUDA and cuDNN from their Python packages; what ONNX Runtime prints is dropped."""
    preload = getattr(load_runtime(), "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def session_options(threads: int, severity: int) -> SessionOptions:
    """Return the options that were fastest; `vrmatte.models.runtime` has the figures.

    Args:
        threads: CPU threads of a network.
        severity: least severity that ONNX Runtime logs.
    """
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    options.log_severity_level = severity
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def create_session(
    model: bytes,
    options: SessionOptions,
    providers: Sequence[str],
    gpu_memory_bytes: int | None = None,
) -> InferenceSession:
    """Create a session on the first of the providers.

    Raises:
        Exception: one of `runtime_errors`.
    """
    threads = options.intra_op_num_threads
    with_options = [(name, provider_options(name, threads, gpu_memory_bytes)) for name in providers]
    # ONNX Runtime's own fallback prints and retries; ours gives the reason and is recorded.
    session: Any = load_runtime().InferenceSession(
        model, options, providers=with_options, enable_fallback=0
    )
    if session.get_providers()[0] != providers[0]:
        raise RuntimeError("it could not be loaded (driver or libraries missing)")
    return session


def provider_options(
    provider: str, threads: int, gpu_memory_bytes: int | None = None
) -> dict[str, str]:
    """Return the options of one execution provider.

    Args:
        provider: ONNX Runtime's name of it.
        threads: CPU threads, for a provider that runs on the CPU.
        gpu_memory_bytes: the most GPU memory a network may take; None: no limit.
    """
    return dict(_provider_options(provider, threads, gpu_memory_bytes))


def _provider_options(
    provider: str, threads: int, gpu_memory_bytes: int | None
) -> Iterator[tuple[str, str]]:
    if provider == CUDA_PROVIDER:
        yield from _CUDA_OPTIONS.items()
        if gpu_memory_bytes is not None:
            yield "gpu_mem_limit", str(gpu_memory_bytes)
    elif provider == TENSORRT_PROVIDER:
        folder = cache_folder() / "tensorrt"
        yield "trt_engine_cache_enable", "1"
        yield "trt_engine_cache_path", str(folder)
        if gpu_memory_bytes is not None:
            yield "trt_max_workspace_size", str(gpu_memory_bytes)
    elif provider == OPENVINO_PROVIDER:
        yield from _OPENVINO_OPTIONS.items()
        yield "num_of_threads", str(threads)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its type."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
