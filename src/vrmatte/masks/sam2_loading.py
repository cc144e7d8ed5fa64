"""Loading of a mask network; the first place that needs PyTorch and transformers.

Nothing is downloaded and no foreign code runs: the classes are transformers' own, the weights a
safetensors file on this machine whose digest was checked before.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vrmatte.errors import ConfigError, WeightsError
from vrmatte.masks.sam2_models import MaskModel, find_mask_model
from vrmatte.masks.sam2_network import Sam2Network
from vrmatte.masks.sam2_source import PROMPTED_KEPT, Sam2Source
from vrmatte.masks.sam2_weights import SETTINGS_FILE, MaskWeights, checked_file
from vrmatte.models.devices import cpu_threads
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.settings.config import HardwareConfig


@contextmanager
def quiet() -> Generator[None]:
    """Keep transformers from writing to the terminal inside the context."""
    from transformers.utils import logging  # pyright: ignore[reportMissingImports]

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """Return the first line of an error of transformers, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def require_packages(name: str) -> None:
    """Check that a network's packages can be imported.

    Args:
        name: one of `MASK_MODELS`.

    Raises:
        ConfigError: no such network, or packages are missing; the message names them.
    """
    model = find_mask_model(name)
    try:
        import torch  # noqa: F401  # pyright: ignore
        import transformers  # pyright: ignore[reportMissingImports]

        getattr(transformers, f"{model.family}Model")
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"mask model {name} needs PyTorch and transformers 5, which can't be imported "
            f"({first_line(error)}): install vrmatte[sam2]"
        ) from error
    missing = [package for package in model.also_needs if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"mask model {name} also needs {', '.join(missing)}: run "
            f"`pip install {' '.join(missing)}`"
        )


def open_mask_source(
    weights: MaskWeights,
    hardware: HardwareConfig,
    *,
    half: bool = False,
    memory_offload: bool = False,
    prompted_kept: int = PROMPTED_KEPT,
    observer: Observer = ignore,
) -> Sam2Source:
    """Load a network and return a mask source that uses it.

    Args:
        weights: from `choose_mask_weights`, possibly made by another process.
        hardware: device, number of threads and limit of GPU memory.
        half: compute in bfloat16 on a GPU; `half_precision` decides whether it gains.
        memory_offload: keep only the memory of the last view on the GPU.
        prompted_kept: number of prompted images remembered per person.
        observer: receives notices.

    Raises:
        ConfigError: packages are missing, or the device does not work and
            `hardware.require_device` is set.
        WeightsError: the weights are gone, differ from those chosen, or do not fit the network.
    """
    require_packages(weights.model)
    about = find_mask_model(weights.model)
    path = checked_file(weights)
    with quiet():
        model = _loaded(about, path)
    on_gpu = _placed(model, weights.model, hardware, observer)
    halved = half and on_gpu
    provider = "PyTorch on the GPU" if on_gpu else "PyTorch on the CPU"
    return Sam2Source(
        weights.model,
        Sam2Network(model, about, half=halved),
        provider=f"{provider}, bfloat16" if halved else provider,
        prompted_kept=prompted_kept,
        offload_idle=memory_offload and on_gpu,
    )


def _loaded(about: MaskModel, path: Path) -> Any:
    """Return the network with the weights of a file; settings from beside it or the catalogue.

    Raises:
        WeightsError: they do not fit each other.
    """
    import transformers  # pyright: ignore[reportMissingImports]
    from safetensors import SafetensorError  # pyright: ignore[reportMissingImports]
    from safetensors.torch import load_file  # pyright: ignore[reportMissingImports]

    kind = getattr(transformers, f"{about.family}Model")
    try:
        config = network_settings(about, path)
        model, report = kind.from_pretrained(
            None, config=config, state_dict=load_file(path), output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise WeightsError(
            f"{path} can't be opened as {about.name}: {first_line(error)}"
        ) from error
    # transformers would initialise whatever a file lacks at random.
    lacking = len(report["missing_keys"]) + len(report.get("mismatched_keys", ()))
    if lacking:
        raise WeightsError(
            f"{path} lacks {lacking} parts of {about.name}: it is damaged or of another kind"
        )
    model = model.float()
    # Memory-mapped weights keep the file's alignment, and unaligned numbers are added up in another
    # order: the last bits of masks would depend on their position in the file, and on the file
    # staying there.
    for weights in model.parameters():
        weights.data = weights.data.clone()
    return model


def network_settings(about: MaskModel, path: Path) -> Any:
    """Return the network's settings, from the file beside its weights or from the catalogue."""
    import transformers  # pyright: ignore[reportMissingImports]

    kind = getattr(transformers, f"{about.family}Config")
    if (path.parent / SETTINGS_FILE).is_file():
        return kind.from_pretrained(str(path.parent), local_files_only=True)
    encoder = transformers.Sam2HieraDetConfig(**(about.backbone or {}))
    vision = transformers.Sam2VisionConfig(backbone_config=encoder, **(about.pyramid or {}))
    return kind(vision_config=vision)


def _placed(
    model: Any, name: str, hardware: HardwareConfig, observer: Observer, cuda: Any = None
) -> bool:
    """Move a network to the wanted device, or to the CPU with a notice; return True for a GPU.

    Raises:
        ConfigError: the device does not work and `hardware.require_device` is set.
    """
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(cpu_threads(hardware.threads))
    cuda = cuda or torch.cuda
    on_gpu, notice = torch_on_gpu(name, hardware, cuda)
    if notice is not None:
        observer(Notice(notice))
    if on_gpu and hardware.max_vram_gb is not None:
        total_bytes = cuda.get_device_properties(0).total_memory
        share = min(1.0, hardware.max_vram_gb * 1e9 / total_bytes)
        cuda.set_per_process_memory_fraction(share)
    model.to("cuda" if on_gpu else "cpu")
    return on_gpu


def torch_on_gpu(name: str, hardware: HardwareConfig, cuda: Any = None) -> tuple[bool, str | None]:
    """Return True if PyTorch will run a network on the GPU, and a notice if it cannot.

    Args:
        name: of the network.
        hardware: the device requested.
        cuda: facts about the GPU, with the functions of `torch.cuda`, the default.

    Raises:
        ConfigError: the device does not work and `hardware.require_device` is set.
    """
    if hardware.device == "cpu":
        return False, None
    if cuda is None:
        from torch import cuda  # pyright: ignore
    if hardware.device in ("auto", "cuda", "tensorrt") and cuda.is_available():
        return True, None
    if hardware.device == "auto":
        return False, None
    reason = f"device {hardware.device}: PyTorch, which runs {name}, can't use it here"
    if hardware.require_device:
        raise ConfigError(f"{reason}; choose device: auto or cpu")
    return False, f"{reason}; it runs on the CPU instead, slower"


def half_precision(
    name: str, hardware: HardwareConfig, cuda: Any = None
) -> tuple[bool, str | None]:
    """Return True if a network gains from half precision, and a notice if the GPU does not.

    These networks were trained in bfloat16; GPUs without it would only emulate it.

    Raises:
        ConfigError: the device does not work and `hardware.require_device` is set.
    """
    on_gpu, _ = torch_on_gpu(name, hardware, cuda)
    if not on_gpu:
        return False, None
    if cuda is None:
        from torch import cuda  # pyright: ignore
    if cuda.is_bf16_supported(including_emulation=False):
        return True, None
    return False, "matting.fp16: the mask network runs in fp32, since this GPU lacks bfloat16"
