"""Pictures as a plain 8-bit BT.709 screen shows them, HDR brought down to it."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import BT709, yuv_to_rgb
from vrmatte.compose.linear_light import linear_light
from vrmatte.frames import YUV420P, ColorTags, PixelLayout, PlanarFrame, Plane

Picture = npt.NDArray[np.float32]
"""RGB as the screen is sent it, shape (H, W, 3)."""

_KNEE = 0.6
"""Linear light, 1.0 being diffuse white, up to which HDR is shown as it is."""
_CENTRE = 2
_WIDE_PRIMARIES = 9
# ITU-R BT.2087: linear BT.2020 to BT.709.
_TO_709 = np.array(
    ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
)


class PlainScreen:
    """Small RGB pictures of frames of one kind."""

    def __init__(self, layout: PixelLayout, color: ColorTags) -> None:
        """Take how all frames come."""
        self._color = color
        to_rgb = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)
        self._to_rgb = to_rgb.astype(np.float32)

    def rgb(self, frame: PlanarFrame, size: tuple[int, int]) -> Picture:
        """The frame's own RGB at that width and height; HDR as it is, nothing held at its ends."""
        planes = [shrunk(plane, size) for plane in (frame.y, frame.u, frame.v)]
        return _transformed(np.stack(planes, axis=-1), self._to_rgb)

    def shown(self, rgb: Picture) -> Picture:
        """What the screen is sent for the frame's own RGB."""
        rgb = np.clip(rgb, 0, 1)
        if not self._color.is_hdr:
            return rgb
        light = linear_light(rgb.astype(np.float64), self._color.transfer)
        if self._color.primaries == _WIDE_PRIMARIES:
            light = np.maximum(light @ _TO_709.T, 0)
        above = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
        light = np.minimum(light, _KNEE) + (1 - _KNEE) * (1 - np.exp(-above))
        signal = np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)
        return signal.astype(np.float32)


def shrunk(plane: npt.NDArray[Any], size: tuple[int, int]) -> Picture:
    """One plane at another width and height, averaged where it gets smaller."""
    shrinks = plane.shape[1] >= size[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=how), np.float32)


def screen_frame(rgb: Picture, pts: int) -> PlanarFrame:
    """The picture as 8-bit 4:2:0 planes of BT.709, chroma in the middle of four pixels."""
    to_rgb = yuv_to_rgb(BT709, 8, False)
    from_rgb = np.linalg.inv(to_rgb[:, :3])
    rows = np.column_stack((from_rgb, -from_rgb @ to_rgb[:, 3]))
    yuv = _transformed(np.clip(rgb, 0, 1), rows.astype(np.float32))
    half = (yuv.shape[1] // 2, yuv.shape[0] // 2)
    chroma = cv2.resize(yuv[..., 1:], half, interpolation=cv2.INTER_AREA)
    y, u, v = (
        cast(Plane, np.rint(plane).astype(np.uint8))
        for plane in (yuv[..., 0], chroma[..., 0], chroma[..., 1])
    )
    color = ColorTags(BT709, BT709, BT709, chroma_location=_CENTRE)
    return PlanarFrame(y, u, v, YUV420P, color, pts)


def _transformed(picture: Picture, rows: npt.NDArray[np.floating[Any]]) -> Picture:
    """Three channels times a matrix (3, 4) whose last column is added."""
    return np.asarray(cv2.transform(picture, rows), np.float32)
