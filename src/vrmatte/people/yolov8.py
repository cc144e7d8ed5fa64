"""YOLOv8 person detectors supplied by the user; vrmatte neither contains nor downloads any.

Code and weights of YOLOv8 are AGPL-3.0. An exported NAME.onnx runs like any other network. A
NAME.pt is a pickle, which may run code when it is opened: only Ultralytics' own files, identified
by their digests, are opened, and only by the package ultralytics.

The networks take RGB 0..1, with the image in the middle and grey around it, and return boxes with a
score per class, many for each person.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrmatte.errors import WeightsError
from vrmatte.frames import FloatArray
from vrmatte.models.runtime import Session
from vrmatte.models.weights import cache_dir, digest_of_weights
from vrmatte.people.detect import Detector, Pictures, ViewBox
from vrmatte.people.detr import place_on_device
from vrmatte.people.letterbox import PAD_CODE, STRIDES, fitted, laid_in, without_duplicates
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.settings.config import HardwareConfig

YOLOV8_SHA256 = {
    "yolov8n": "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
    "yolov8s": "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
    "yolov8m": "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
}
"""Names in `detection.model`, and the digests of Ultralytics' own .pt files."""

_SIZE_PX = 640
"""Side of the input of networks that accept any size."""
_LONGEST_NAMES = 100_000
_BOX = 4
_LICENCE = "YOLOv8 is licensed AGPL-3.0, code and weights"
_IMPORT_SETTINGS = {"YOLO_VERBOSE": "false", "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
"""Read by ultralytics on import: it must not print, connect to its servers or install packages."""

Network = Callable[[FloatArray], FloatArray]
"""Maps images (n, 3, side, side) to rows (n, 4 + classes, cells)."""


class YoloV8Detector:
    """One YOLOv8 network of any size."""

    def __init__(
        self,
        name: str,
        network: Network,
        size_px: int,
        classes: Mapping[int, str] | None = None,
        least_score: float = 0.1,
    ) -> None:
        """Take a network, and try it on an empty image.

        Args:
            name: as in `detection.model`.
            network: returns box centres, sizes and class scores of one or more images.
            size_px: side of its input.
            classes: names of its classes; None: those of COCO, where person is the first.
            least_score: people with a lower score are left out.

        Raises:
            WeightsError: it has no class for people, or not the structure of YOLOv8.
        """
        self.name = name
        self._network, self._size_px, self._least_score = network, size_px, least_score
        known = {0: "person"} if classes is None else classes
        people = [index for index, label in known.items() if label.lower() == "person"]
        if not people:
            raise WeightsError(f"{name} has no class 'person': it was trained for something else")
        self._person = _BOX + people[0]
        self._checked(network(np.full((1, 3, size_px, size_px), PAD_CODE / 255, np.float32)))

    @property
    def input_px(self) -> int:
        """Side of the network's square input."""
        return self._size_px

    def detect(self, pictures: Pictures) -> list[list[ViewBox]]:
        """Return the people in each RGB image; images of other sizes are letterboxed."""
        height, width = pictures.shape[1:3]
        scale = min(self._size_px / height, self._size_px / width)
        blob = np.stack([self._network_input(picture, scale) for picture in pictures])
        rows = self._checked(self._network(blob))
        return [self._boxes(picture_rows.T, scale, width, height) for picture_rows in rows]

    def _margins(self, width: int, height: int) -> tuple[int, int]:
        return (self._size_px - width) // 2, (self._size_px - height) // 2

    def _network_input(self, picture: npt.NDArray[np.uint8], scale: float) -> FloatArray:
        picture = fitted(picture, scale)
        height, width = picture.shape[:2]
        blob = laid_in(picture, self._size_px, *self._margins(width, height))
        return blob / np.float32(255)

    def _checked(self, rows: FloatArray) -> FloatArray:
        cells = sum((self._size_px // stride) ** 2 for stride in STRIDES)
        if rows.ndim != 3 or rows.shape[1] <= self._person or rows.shape[2] != cells:
            raise WeightsError(
                f"{self.name} gives rows of shape {rows.shape}, not those of YOLOv8 "
                f"(n, 4 + classes, {cells}): export it for detection, without nms"
            )
        return rows

    def _boxes(self, rows: FloatArray, scale: float, width: int, height: int) -> list[ViewBox]:
        scores = rows[:, self._person]
        likely = scores >= self._least_score
        rows, scores = rows[likely], scores[likely]
        margins = self._margins(round(width * scale), round(height * scale))
        centre, half = rows[:, :2] - np.array(margins, np.float32), rows[:, 2:_BOX] / 2
        corners = np.concatenate([centre - half, centre + half], axis=1)
        return without_duplicates(corners, scores, scale, width, height)


def open_yolov8(
    name: str,
    hardware: HardwareConfig,
    open_network: Callable[[Path], Session],
    observer: Observer = ignore,
) -> Detector:
    """Open the user's NAME.onnx, else NAME.pt, and report the licence.

    Args:
        name: one of `YOLOV8_SHA256`.
        hardware: selects the device of a .pt file.
        open_network: opens a session for an .onnx file.
        observer: receives notices.

    Raises:
        ConfigError: the requested device does not work and `hardware.require_device` is set.
        WeightsError: there is no such file, or none that may be opened.
    """
    exported, checkpoint = _users_file(f"{name}.onnx"), _users_file(f"{name}.pt")
    if exported is not None:
        detector = _from_onnx(name, open_network(exported))
        digest = digest_of_weights(exported)[:12]
        observer(
            Notice(f"unverified weights: {exported} (SHA-256 {digest}…) is your own; {_LICENCE}")
        )
        return detector
    if checkpoint is not None:
        _refuse_unknown(name, checkpoint)
        detector = _from_checkpoint(name, checkpoint, hardware, observer)
        observer(Notice(f"detection.model {name} is in use; {_LICENCE}"))
        return detector
    raise WeightsError(
        f"detection.model {name} is licensed AGPL-3.0, code and weights, and doesn't come with "
        f"vrmatte: put {name}.onnx, or {name}.pt with vrmatte[yolo] installed, into the folder "
        "VRMATTE_MODELS_DIR"
    )


def _from_onnx(name: str, session: Session) -> YoloV8Detector:
    size_px = _input_side(name, session)
    asked = session.raw.get_inputs()[0]
    batches = not isinstance(asked.shape[0], int)

    def network(blob: FloatArray) -> FloatArray:
        step = len(blob) if batches else 1
        parts = [
            session.run(None, {asked.name: blob[first : first + step]})[0]
            for first in range(0, len(blob), step)
        ]
        return np.concatenate(parts)

    return YoloV8Detector(name, network, size_px, _exported_classes(session))


def _input_side(name: str, session: Session) -> int:
    """Return the side of the network's square input."""
    (asked, *others), outputs = session.raw.get_inputs(), session.raw.get_outputs()
    right = len(asked.shape) == 4 and asked.type == "tensor(float)" and not others
    if right and asked.shape[1] == 3 and len(outputs) == 1:
        height, width = asked.shape[2:]
        if not isinstance(height, int) and not isinstance(width, int):
            return _SIZE_PX
        if height == width:
            return int(height)
    raise WeightsError(
        f"{name}.onnx has an input {asked.type} of shape {asked.shape}, not one of YOLOv8: export "
        "it square and in full precision"
    )


def _exported_classes(session: Session) -> dict[int, str] | None:
    """Return the class names that ultralytics writes into exported files."""
    names = session.raw.get_modelmeta().custom_metadata_map.get("names")
    if names is None or len(names) > _LONGEST_NAMES:
        return None
    try:
        found: Any = ast.literal_eval(names)
        if not isinstance(found, dict):
            return None
        return {int(index): str(label) for index, label in found.items()}
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError):
        return None


def _refuse_unknown(name: str, path: Path) -> None:
    digest = digest_of_weights(path)
    if digest != YOLOV8_SHA256[name]:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:12]}…, Ultralytics' own {name}.pt has "
            f"{YOLOV8_SHA256[name][:12]}…; a .pt file may run any code when it is opened, so it "
            f"isn't: export it to {name}.onnx where you trust it "
            f"(yolo export model={path.name} format=onnx)"
        )


def _from_checkpoint(
    name: str, path: Path, hardware: HardwareConfig, observer: Observer
) -> YoloV8Detector:
    """Load the network from a file whose digest is one of Ultralytics'."""
    try:
        with _environment(_IMPORT_SETTINGS):
            from ultralytics import YOLO  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise WeightsError(
            f"{path} needs the package ultralytics, which can't be imported ({error}): install "
            f"vrmatte[yolo], or export the file to {name}.onnx"
        ) from error
    try:
        model: Any = YOLO(str(path), task="detect", verbose=False).model.float().eval()
    except (OSError, RuntimeError, TypeError, AttributeError, ImportError) as error:
        raise WeightsError(
            f"{path} can't be opened by this version of ultralytics ({error}): update it, or "
            f"export the file to {name}.onnx"
        ) from error
    place_on_device(model.requires_grad_(False), name, hardware, observer)
    somewhere = next(model.parameters())

    def network(blob: FloatArray) -> FloatArray:
        return model(somewhere.new_tensor(blob))[0].cpu().numpy()

    return YoloV8Detector(name, network, _SIZE_PX, model.names)


@contextmanager
def _environment(values: Mapping[str, str]) -> Generator[None]:
    """Set environment variables temporarily; those the user has set stay unchanged."""
    added = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _users_file(file_name: str) -> Path | None:
    folder = os.environ.get("VRMATTE_MODELS_DIR")
    folders = [Path(folder)] if folder else []
    folders += [cache_dir() / "unverified", cache_dir()]
    return next((path for at in folders if (path := at / file_name).is_file()), None)
