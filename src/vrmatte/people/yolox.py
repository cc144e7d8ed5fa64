"""YOLOX person detectors, and the choice of a run's detector.

The networks take BGR 0..255 without normalisation, with the image in the top-left corner and grey
elsewhere. They return offsets within grid cells, which are converted to boxes here.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vrmatte.errors import WeightsError
from vrmatte.frames import FloatArray
from vrmatte.models.runtime import Session, network_opener
from vrmatte.models.weights import get_weights
from vrmatte.people.brightness import BrightnessDetector
from vrmatte.people.detect import Detector, Pictures, ViewBox
from vrmatte.people.detr import DETR_MODELS, open_detr
from vrmatte.people.letterbox import STRIDES, fitted, laid_in, without_duplicates
from vrmatte.people.yolov8 import YOLOV8_SHA256, open_yolov8
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.settings.config import Config, HardwareConfig

_PERSON = 5
"""Index of the person class in a row: box (4), objectness (1), classes."""
_DEFAULT = "yolox_nano"


class YoloxDetector:
    """One YOLOX network of any size."""

    def __init__(self, name: str, session: Session, least_score: float = 0.1) -> None:
        """Take an opened network.

        Args:
            name: as in `detection.model`.
            session: the network; the shape of its input gives the image size.
            least_score: people with a lower score are left out.

        Raises:
            WeightsError: the network does not have the structure of YOLOX.
        """
        self.name = name
        self.provider = session.provider
        self._session, self._least_score = session, least_score
        inputs, outputs = session.raw.get_inputs(), session.raw.get_outputs()
        shape = inputs[0].shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or len(outputs) != 1:
            raise WeightsError(f"{name} has an input of shape {shape}, not one of YOLOX")
        self._input_name, self._size_px = inputs[0].name, int(shape[2])
        self._batches = not isinstance(shape[0], int)

    @property
    def input_px(self) -> int:
        """Side of the network's square input."""
        return self._size_px

    def detect(self, pictures: Pictures) -> list[list[ViewBox]]:
        """Return the people in each RGB image; images of other sizes are letterboxed."""
        height, width = pictures.shape[1:3]
        scale = min(self._size_px / height, self._size_px / width)
        blob = np.stack([self._network_input(picture, scale) for picture in pictures])
        step = len(blob) if self._batches else 1
        rows = [
            row
            for first in range(0, len(blob), step)
            for row in self._session.run(None, {self._input_name: blob[first : first + step]})[0]
        ]
        return [self._boxes(row, scale, width, height) for row in rows]

    def _network_input(self, picture: npt.NDArray[np.uint8], scale: float) -> FloatArray:
        return laid_in(fitted(picture, scale)[..., ::-1], self._size_px, 0, 0)

    def _boxes(self, rows: FloatArray, scale: float, width: int, height: int) -> list[ViewBox]:
        cells, strides = _cells(self._size_px)
        if rows.shape[0] != len(cells) or rows.shape[1] <= _PERSON:
            raise WeightsError(f"{self.name} gives rows of shape {rows.shape}, not those of YOLOX")
        scores = rows[:, 4] * rows[:, _PERSON]
        likely = scores >= self._least_score
        rows, scores = rows[likely], scores[likely]
        centre = (rows[:, :2] + cells[likely]) * strides[likely]
        half = np.exp(rows[:, 2:4]) * strides[likely] / 2
        corners = np.concatenate([centre - half, centre + half], axis=1)
        return without_duplicates(corners, scores, scale, width, height)


def open_detector(config: Config, observer: Observer = ignore) -> Detector | None:
    """Open the detector that the settings request, or the nearest available with a notice.

    Returns:
        None, after a notice, if its weights are unavailable: nobody can be detected then.

    Raises:
        ConfigError: the requested device does not work and `hardware.require_device` is set.
    """
    name, hardware = config.detection.model, config.hardware
    if name == "brightness":
        return BrightnessDetector()
    open_network = partial(_open_network, hardware, observer)
    try:
        if name in YOLOV8_SHA256:
            return open_yolov8(name, hardware, open_network, observer)
        if name in DETR_MODELS:
            return open_detr(name, hardware, observer)
    except WeightsError as error:
        observer(Notice(f"{error}; {_DEFAULT} (Apache-2.0) finds the people instead"))
        name = _DEFAULT
    try:
        name = _available(name, observer)
        weights = get_weights(f"{name}.onnx", observer)
        if weights.notice is not None:
            observer(Notice(weights.notice))
        return YoloxDetector(name, open_network(weights.path))
    except WeightsError as error:
        observer(Notice(f"people can't be looked for, whole eyes are matted: {error}"))
        return None


def _available(asked: str, observer: Observer) -> str:
    """Return the name of an available YOLOX network; notify if it isn't the requested one."""
    if asked != "yolox_m":
        return asked
    observer(
        Notice(
            "detection.model yolox_m can't be fetched, since no digest of its file is known: "
            "yolox_s finds the people instead"
        )
    )
    return "yolox_s"


def _open_network(hardware: HardwareConfig, observer: Observer, path: Path) -> Session:
    session = network_opener(hardware)(path)
    for text in session.notices:
        observer(Notice(text))
    return session


@cache
def _cells(size_px: int) -> tuple[FloatArray, FloatArray]:
    """Return each row's grid cell (column, row), shape (n, 2), and its stride, shape (n, 1)."""
    cells: list[npt.NDArray[Any]] = []
    strides: list[npt.NDArray[Any]] = []
    for stride in STRIDES:
        count = size_px // stride
        columns, rows = np.meshgrid(np.arange(count), np.arange(count))
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
