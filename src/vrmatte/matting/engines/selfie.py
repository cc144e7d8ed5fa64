"""A small segmentation network with a guided filter behind it: the engine without strings.

Its weights are Apache-2.0 and a quarter of a megabyte, and it remembers nothing, so any frame can
be made alone. Its edges are far coarser than RVM's and flicker more.
"""

from __future__ import annotations

import cv2
import numpy as np

from vrmatte.errors import WeightsError
from vrmatte.frames import FloatArray
from vrmatte.matting.base import Coefficients
from vrmatte.matting.guided import fit_coefficients
from vrmatte.view_memory import WithoutMemory

_NETWORK_SIZE = (256, 256)
# On the ground-truth clips these cut the error along edges by 7 % against plain stretching and
# leave the rest as it is; wider windows eat small people, finer guides gain less.
_RADIUS_PX = 1
_EPSILON = 1e-4


class SelfieEngine(WithoutMemory):
    """Mattes of single pictures."""

    name = "selfie"
    settling_frames = 0
    provider = "OpenCV DNN on the CPU"

    def __init__(self, weights: bytes) -> None:
        """Take the content of MediaPipe's selfie_segmentation.tflite.

        Raises:
            WeightsError: it can't be read.
        """
        try:
            self._network = cv2.dnn.readNetFromTFLite(np.frombuffer(weights, np.uint8))
        except cv2.error as error:
            raise WeightsError(f"the selfie weights can't be read: {error.err}") from error

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        """Coefficients of pictures (n, 3, h, w); at the network's own size, then stretched."""
        del view
        height, width = pictures.shape[2:]
        found = [self._coefficients(picture) for picture in pictures]
        stretched = [
            [
                np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))
                for part in parts
            ]
            for parts in found
        ]
        slopes, offsets = zip(*stretched, strict=True)
        return Coefficients(np.stack(slopes), np.stack(offsets))

    def reset(self) -> None:
        """Do nothing: there is no memory."""

    def _coefficients(self, picture: FloatArray) -> tuple[FloatArray, FloatArray]:
        square = cv2.resize(
            np.ascontiguousarray(picture.transpose(1, 2, 0)),
            _NETWORK_SIZE,
            interpolation=cv2.INTER_AREA,
        )
        rgb = np.asarray(square, np.float32).transpose(2, 0, 1)
        self._network.setInput(np.ascontiguousarray(rgb[None]))
        person = np.asarray(self._network.forward()[0, 0], np.float32)
        return fit_coefficients(rgb.mean(axis=0), person, _RADIUS_PX, _EPSILON)
