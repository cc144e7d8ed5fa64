"""RT-DETR v2 and D-FINE person detectors, run by PyTorch through transformers.

Both take RGB 0..1, stretched to a square, and return one box per person, so there are no duplicates
to remove. Only safetensors files are opened, which contain numbers and no code.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.errors import ConfigError, WeightsError
from vrmatte.frames import FloatArray
from vrmatte.masks.sam2_loading import first_line, quiet
from vrmatte.models.devices import cpu_threads
from vrmatte.people.detect import Detector, Pictures, ViewBox
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.settings.config import HardwareConfig

_SIZE_PX = 640
_YES = ("1", "true", "yes", "on")
_FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class _Source:
    """The location of a network on the Hugging Face hub; all are Apache-2.0."""

    class_name: str
    """In transformers."""
    repository: str
    revision: str = "main"
    sha256: str | None = None
    """Of model.safetensors, where it is known."""


DETR_MODELS = {
    "rtdetr_v2_r18vd": _Source(
        "RTDetrV2ForObjectDetection",
        "PekingU/rtdetr_v2_r18vd",
        "5650961749fa93567c0d46fc7f43ea4f9e914107",
        "d18309d0d7ea57048138885c4c6ecfcb1e24506fc6153b94ad484f8ab62c7115",
    ),
    "dfine_nano": _Source("DFineForObjectDetection", "ustc-community/dfine-nano-coco"),
}
"""By their names in `detection.model`."""


class DetrDetector:
    """One network of the DETR family."""

    def __init__(self, name: str, model: Any, least_score: float = 0.1) -> None:
        """Take a network of transformers that is on its device already.

        Args:
            name: as in `detection.model`.
            model: returns `logits` (n, queries, classes) and `pred_boxes` (n, queries, 4).
            least_score: people with a lower score are left out.

        Raises:
            WeightsError: it has no class for people.
        """
        self.name = name
        self._model, self._least_score = model.eval(), least_score
        labels: dict[int, str] = model.config.id2label
        people = [int(index) for index, label in labels.items() if label.lower() == "person"]
        if not people:
            raise WeightsError(f"{name} has no class 'person': it was trained for something else")
        self._person = people[0]

    @property
    def input_px(self) -> int:
        """Side of the network's square input."""
        return _SIZE_PX

    def detect(self, pictures: Pictures) -> list[list[ViewBox]]:
        """Return the people in each RGB image; images of other sizes are stretched."""
        import torch  # pyright: ignore[reportMissingImports]

        height, width = pictures.shape[1:3]
        blob = np.stack([_network_input(picture) for picture in pictures])
        with torch.inference_mode():
            found = self._model(pixel_values=torch.from_numpy(blob).to(self._model.device))
            scores = torch.sigmoid(found.logits[..., self._person]).cpu().numpy()
            boxes = found.pred_boxes.cpu().numpy()
        sides = np.array([width, height, width, height], np.float32)
        return [self._boxes(*one, sides) for one in zip(boxes, scores, strict=True)]

    def _boxes(
        self, boxes: npt.NDArray[Any], scores: npt.NDArray[Any], sides: npt.NDArray[Any]
    ) -> list[ViewBox]:
        likely = np.flatnonzero(scores >= self._least_score)
        likely = likely[np.argsort(-scores[likely], kind="stable")]
        centre, half = boxes[likely, :2], boxes[likely, 2:] / 2
        corners = np.clip(np.concatenate([centre - half, centre + half], axis=1), 0, 1) * sides
        return [
            ViewBox(x0, y0, x1, y1, score)
            for x0, y0, x1, y1, score in np.column_stack([corners, scores[likely]]).tolist()
        ]


def open_detr(name: str, hardware: HardwareConfig, observer: Observer = ignore) -> Detector:
    """Open a network from the folder VRMATTE_MODELS_DIR/NAME, or from the Hugging Face hub.

    Args:
        name: one of `DETR_MODELS`.
        hardware: selects the device.
        observer: receives notices.

    Raises:
        ConfigError: the requested device does not work and `hardware.require_device` is set.
        WeightsError: PyTorch, transformers or the files are missing, or the files are wrong.
    """
    source = DETR_MODELS[name]
    network_class = _network_class(name, source)
    own = Path(os.environ.get("VRMATTE_MODELS_DIR", "")) / name
    users = bool(os.environ.get("VRMATTE_MODELS_DIR")) and own.is_dir()
    with quiet():
        folder = own if users else _fetched(name, source, observer)
        _check_digest(folder / _FILES[1], source, users, observer)
        model = _loaded(network_class, folder, complete=users)
    place_on_device(model, name, hardware, observer)
    return DetrDetector(name, model)


def place_on_device(model: Any, name: str, hardware: HardwareConfig, observer: Observer) -> None:
    """Move a PyTorch network to the requested device, or to the CPU with a notice.

    Raises:
        ConfigError: the device does not work and `hardware.require_device` is set.
    """
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(cpu_threads(hardware.threads))
    if hardware.device in ("auto", "cuda") and torch.cuda.is_available():
        if hardware.max_vram_gb is not None:
            total_bytes = torch.cuda.get_device_properties(0).total_memory
            share = min(1.0, hardware.max_vram_gb * 1e9 / total_bytes)
            torch.cuda.set_per_process_memory_fraction(share)
        model.to("cuda")
        return
    model.to("cpu")
    if hardware.device in ("auto", "cpu"):
        return
    reason = f"device {hardware.device}: PyTorch, which runs {name}, can't use it here"
    if hardware.require_device:
        raise ConfigError(f"{reason}; choose device: auto or cpu, or a YOLOX detector")
    observer(Notice(f"{reason}; it runs on the CPU instead, slower"))


def _network_input(picture: npt.NDArray[np.uint8]) -> FloatArray:
    if picture.shape[:2] != (_SIZE_PX, _SIZE_PX):
        kind = cv2.INTER_AREA if min(picture.shape[:2]) > _SIZE_PX else cv2.INTER_LINEAR
        size = (_SIZE_PX, _SIZE_PX)
        picture = np.asarray(cv2.resize(picture, size, interpolation=kind), np.uint8)
    return picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def _network_class(name: str, source: _Source) -> Any:
    try:
        import torch  # noqa: F401  # pyright: ignore
        import transformers  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise WeightsError(
            f"detection.model {name} needs PyTorch and transformers, which can't be imported "
            f"({error}): install vrmatte[detr]"
        ) from error
    try:
        return getattr(transformers, source.class_name)
    except (AttributeError, ImportError) as error:
        raise WeightsError(
            f"detection.model {name} can't be had from transformers {transformers.__version__} "
            f"({first_line(error)}): update it"
        ) from error


def _fetched(name: str, source: _Source, observer: Observer) -> Path:
    """Return the folder of the files from the hub, from its cache if they are there."""
    from transformers.utils.hub import cached_file  # pyright: ignore[reportMissingImports]

    def folder(local_only: bool) -> Path:
        paths = [
            cached_file(
                source.repository, file, revision=source.revision, local_files_only=local_only
            )
            for file in _FILES
        ]
        return Path(str(paths[-1])).parent

    try:
        return folder(local_only=True)
    except OSError as error:
        if os.environ.get("VRMATTE_OFFLINE", "").lower() in _YES:
            raise WeightsError(
                f"detection.model {name} is not on this machine and VRMATTE_OFFLINE forbids "
                f"fetching it: put {' and '.join(_FILES)} of huggingface.co/{source.repository} "
                f"into VRMATTE_MODELS_DIR/{name}"
            ) from error
    place = f"huggingface.co/{source.repository}"
    observer(Notice(f"fetching {name}, licence Apache-2.0, from {place}", "info"))
    try:
        return folder(local_only=False)
    except OSError as error:
        raise WeightsError(f"can't fetch {name} from {place}: {first_line(error)}") from error


def _check_digest(path: Path, source: _Source, users: bool, observer: Observer) -> None:
    """Reject a downloaded file with a wrong digest; report unknown and user-supplied files."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"can't read {path}: {error.strerror}") from error
    if digest == source.sha256:
        return
    known = "none is known" if source.sha256 is None else f"the known one is {source.sha256[:12]}…"
    if source.sha256 is not None and not users:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:12]}…, {known}: remove it from the Hugging Face cache"
        )
    observer(Notice(f"unverified weights: {path} has SHA-256 {digest[:12]}…, {known}"))


def _loaded(network_class: Any, folder: Path, *, complete: bool) -> Any:
    """Load the network in a folder; transformers' own classes never run code from it."""
    from safetensors import SafetensorError  # pyright: ignore[reportMissingImports]

    try:
        model, report = network_class.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise WeightsError(f"{folder} can't be opened: {first_line(error)}") from error
    # transformers fills parts that a file lacks with random numbers.
    if complete and report["missing_keys"]:
        raise WeightsError(
            f"{folder} lacks {len(report['missing_keys'])} parts of the network: it is damaged or "
            "of another kind"
        )
    return model.float()
