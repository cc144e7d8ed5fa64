"""A small picture for people who judge a matte on a flat screen.

One row for each eye: source, matte, the people over a grey checker. Side by side, an edge in the
matte is found again in the source at the same height; one above the other, the eyes' mattes can be
compared. Neither hair darker nor hair lighter than its surroundings vanishes before two greys.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import BT709, yuv_to_rgb
from vrmatte.compose.foreground import ForegroundEstimator
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.linear_light import linear_light
from vrmatte.frames import (
    EYES,
    YUV420P,
    ColorTags,
    Eye,
    Matte,
    PixelLayout,
    PlanarFrame,
    Plane,
    half_of,
)

Picture = npt.NDArray[np.float32]

_MOST_PX = 640
"""Width of a panel; three of them make 1920."""
_CHECKER_PX = 16
_CHECKER_GREYS = (0.40, 0.50)
_KNEE = 0.6
"""Linear light, 1.0 being diffuse white, up to which HDR is shown as it is."""
_CENTRE = 2
_WIDE_PRIMARIES = 9
# ITU-R BT.2087: linear BT.2020 to BT.709.
_TO_709 = np.array(
    ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
)


class Preview:
    """Makes the pictures: 8-bit 4:2:0, BT.709, at most 1920 pixels wide."""

    def __init__(
        self,
        layout: PixelLayout,
        color: ColorTags,
        foreground: ForegroundEstimator | None = None,
        eyes: Sequence[Eye] = EYES,
    ) -> None:
        """Prepare for frames of one kind.

        Args:
            layout: of all frames; 4:2:0.
            color: of all frames; HDR is brought to what a plain screen shows.
            foreground: gives edges their own colours in the third panel; None: as in the source.
            eyes: which eyes are shown, from top to bottom.

        Raises:
            ValueError: a layout other than 4:2:0.
        """
        self._cut_out = GreenScreen((0, 0, 0), layout, color, foreground)
        self._layout, self._color, self._eyes = layout, color, tuple(eyes)
        to_rgb = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)
        self._to_rgb = to_rgb.astype(np.float32)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture made of a side-by-side frame."""
        return preview_size(width, height, len(self._eyes))

    def __call__(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """The picture of one side-by-side frame and its matte.

        Raises:
            ValueError: the matte or the layout does not fit.
        """
        size = _panel_size(frame.width, frame.height)
        cut_out = self._cut_out.compose(frame, matte)
        rows = [
            self._row(frame.eye(eye), cut_out.eye(eye), half_of(matte, eye), size)
            for eye in self._eyes
        ]
        return _as_yuv(np.concatenate(rows), frame.pts)

    def _row(
        self, source: PlanarFrame, cut_out: PlanarFrame, matte: Matte, size: tuple[int, int]
    ) -> Picture:
        alpha = _small(matte, size)[..., None] * np.float32(1 / 255)
        # Averaged over black, the people's colours are free of what lay beside them.
        colours = cast(Picture, self._rgb(cut_out, size) / np.maximum(alpha, np.float32(1 / 255)))
        people = alpha * self._shown(colours) + (1 - alpha) * _checker(size)
        matte_panel = np.broadcast_to(alpha, people.shape)
        panels = (self._shown(self._rgb(source, size)), matte_panel, people)
        return np.concatenate(panels, axis=1, dtype=np.float32)

    def _rgb(self, frame: PlanarFrame, size: tuple[int, int]) -> Picture:
        planes = [_small(plane, size) for plane in (frame.y, frame.u, frame.v)]
        return _transformed(np.stack(planes, axis=-1), self._to_rgb)

    def _shown(self, rgb: Picture) -> Picture:
        """What a BT.709 screen is sent."""
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


def preview_size(width: int, height: int, eyes: int = len(EYES)) -> tuple[int, int]:
    """Width and height of the picture made of a side-by-side frame of that size."""
    across, down = _panel_size(width, height)
    return 3 * across, eyes * down


def _panel_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a panel, both even, in the shape of an eye."""
    eye = width // 2
    across = min(eye, _MOST_PX) // 2 * 2
    return across, max(round(height * across / eye / 2) * 2, 2)


def _small(plane: npt.NDArray[Any], size: tuple[int, int]) -> Picture:
    shrinks = plane.shape[1] >= size[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=how), np.float32)


def _transformed(picture: Picture, rows: npt.NDArray[np.floating[Any]]) -> Picture:
    """Three channels times a matrix (3, 4) whose last column is added."""
    return np.asarray(cv2.transform(picture, rows), np.float32)


@lru_cache(maxsize=4)
def _checker(size: tuple[int, int]) -> Picture:
    x, y = np.meshgrid(np.arange(size[0]) // _CHECKER_PX, np.arange(size[1]) // _CHECKER_PX)
    return np.array(_CHECKER_GREYS, np.float32)[(x + y) % 2][..., None]


def _as_yuv(rgb: Picture, pts: int) -> PlanarFrame:
    """8-bit 4:2:0, chroma in the middle of four pixels."""
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
