"""Images for an 8-bit BT.709 screen, with HDR tone-mapped."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import BT709, yuv_to_rgb
from vrmatte.compose.linear_light import linear_light
from vrmatte.frames import YUV420P, ColorTags, PixelLayout, PlanarFrame, Plane

ScreenRgb = npt.NDArray[np.float32]
"""RGB signal 0..1, shape (H, W, 3)."""

_KNEE = 0.6
"""Linear light up to which HDR is not compressed; 1.0 is diffuse white."""
_CENTRE = 2
_WIDE_PRIMARIES = 9
# ITU-R BT.2087: linear BT.2020 to BT.709.
_TO_709 = np.array(
    ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
)


class PlainScreen:
    """Converts frames of one source to small RGB images."""

    def __init__(self, layout: PixelLayout, color: ColorTags) -> None:
        """Prepare for frames of this layout and colour."""
        self._color = color
        to_rgb = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)
        self._to_rgb = to_rgb.astype(np.float32)

    def rgb(self, frame: PlanarFrame, size: tuple[int, int]) -> ScreenRgb:
        """Return the RGB signal of a frame at some width and height, neither mapped nor clipped."""
        planes = [shrunk(plane, size) for plane in (frame.y, frame.u, frame.v)]
        return _transformed(np.stack(planes, axis=-1), self._to_rgb)

    def shown(self, rgb: ScreenRgb) -> ScreenRgb:
        """Return the signal 0..1 for the screen, from the RGB signal of a frame."""
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


def shrunk(plane: npt.NDArray[Any], size: tuple[int, int]) -> ScreenRgb:
    """Return a plane at another width and height, averaged if that is smaller."""
    shrinks = plane.shape[1] >= size[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(plane), size, interpolation=interpolation)
    return np.asarray(resized, np.float32)


def screen_frame(rgb: ScreenRgb, pts: int) -> PlanarFrame:
    """Return an image as an 8-bit 4:2:0 BT.709 frame, with chroma centred between four pixels."""
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


def _transformed(image: ScreenRgb, rows: npt.NDArray[np.floating[Any]]) -> ScreenRgb:
    """Multiply three channels by a (3, 4) matrix whose last column is added."""
    return np.asarray(cv2.transform(image, rows), np.float32)
