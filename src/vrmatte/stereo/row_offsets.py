"""Row offsets by 2-D flow, for lenses whose rows do not agree under any rotation.

Row offsets of two lenses change slowly over the picture, so the flow's vertical part is smoothed
far more than disparity may be. The right eye is then read along bent rows, and stereo continues as
usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vrmatte.frames import Eye, FloatArray, Grey
from vrmatte.stereo.flow import flow

_SIGMA_SHARE = 12 / 512
_BACK_WITHIN_PX = 1.0
_LITTLE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class RowOffsets:
    """Number of rows by which the left eye sees a point further down than the right eye, (S, S)."""

    of_right: FloatArray
    """At the right eye's own pixels."""

    @classmethod
    def measure(cls, left: Grey, right: Grey) -> RowOffsets:
        """Measure offsets between two rectified pictures; 0 where nothing can be matched."""
        there, back = flow(right, left), flow(left, right)
        rows, columns = right.shape
        x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        returned = cv2.remap(
            back, x + there[..., 0], y + there[..., 1], cv2.INTER_LINEAR, borderValue=1e6
        )
        sure = (np.hypot(*np.moveaxis(there + returned, 2, 0)) < _BACK_WITHIN_PX).astype(np.float32)
        sigma = _SIGMA_SHARE * columns
        total, weighed = (
            cv2.GaussianBlur(values, (0, 0), sigma) for values in (sure, there[..., 1] * sure)
        )
        return cls(np.asarray(weighed / (total + np.float32(_LITTLE)), np.float32))

    def straightened(self, picture: FloatArray | Grey) -> FloatArray:
        """Move a picture of the right eye to the left eye's rows."""
        return self._moved(picture, -self.of_right)

    def bent(self, picture: FloatArray) -> FloatArray:
        """Move a straightened picture of the right eye back to its own pixels."""
        return self._moved(picture, self.of_right)

    def other_rows(self, eye: Eye) -> FloatArray:
        """Return how many rows further down the other eye sees an eye's pixels."""
        return self.of_right if eye is Eye.RIGHT else -self.of_right

    @staticmethod
    def _moved(picture: FloatArray | Grey, rows: FloatArray) -> FloatArray:
        height, width = rows.shape
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        moved = cv2.remap(picture, x, y + rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.float32)
