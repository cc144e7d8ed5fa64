"""Where each part of one picture lies in another: dense inverse search (Kroeger et al., ECCV 2016).

OpenCV's presets stop at a quarter of the size (fast) or smooth the result at some cost (medium).
Searching on to half the size without smoothing was measured on five clips at 512 pixels: mattes
carried by it are as good as with medium (IoU 0.984 against 0.981) at 40 % of its time, and far
better than with fast (0.96). Searching at full size costs 2.5 times that and mends what is left of
the errors where somebody is very near.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray

_PATCH_STRIDE_PX = 4
_DESCENT_STEPS = 12


def flow(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], *, fine: bool = False
) -> FloatArray:
    """Motion from `first` to `second`, shape (H, W, 2): x and y in pixels.

    The same however many threads OpenCV has, though it cuts pictures into strips for them.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0 if fine else 1)
    search.setPatchStride(_PATCH_STRIDE_PX)
    search.setGradientDescentIterations(_DESCENT_STEPS)
    search.setVariationalRefinementIterations(0)
    found = search.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), np.empty(0))
    return np.asarray(found, np.float32)
