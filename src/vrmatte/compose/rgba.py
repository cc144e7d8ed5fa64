"""Conversion of images with straight alpha to RGBA samples, a few rows at a time.

A 6144x3072 image in linear light takes 150 MB of half floats; converted row by row it is never in
memory as a whole. Chroma is upsampled linearly, each eye by itself.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import numba
import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.compose.linear_light import linear_light
from vrmatte.frames import ColorTags, PixelLayout, StraightFrame
from vrmatte.geometry.remap import PlaneSites, chroma_sites

RgbaSamples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float16]
"""Shape (rows, W, 4)."""

_BRIGHTEST_SIGNAL = 1.25
"""Linear light is tabulated up to this signal; grey in video range ends at 1.09."""
_SIGNAL_STEPS = 65535


class RgbaPainter:
    """Converts straight frames of one size to RGBA, in the video's transfer or linear light."""

    def __init__(
        self,
        size: tuple[int, int],
        layout: PixelLayout,
        color: ColorTags,
        light: Literal["video", "linear"],
        eyes: Literal[1, 2] = 2,
    ) -> None:
        """Compute the tables.

        Args:
            size: width and height of all frames.
            layout: layout of all frames; any chroma subsampling.
            color: tags of all frames.
            light: "video": integers with the transfer curve of the video, 8 bits for 8-bit
                layouts, else 16 (peak is 65535). "linear": half floats, 1.0 is diffuse white;
                brighter values are kept.
            eyes: number of eyes side by side.

        Raises:
            InputError: the matrix or transfer curve of the video is not supported.
        """
        self._size = size
        self._layout = layout
        codes = np.arange(layout.peak + 1)
        matrix = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)
        self._light: npt.NDArray[np.float16] | None = None
        if light == "linear":
            signal = np.linspace(0, _BRIGHTEST_SIGNAL, _SIGNAL_STEPS + 1)
            self._light = linear_light(signal, color.transfer).astype(np.float16)
            self._alpha = (codes / layout.peak).astype(np.float16)
            self._top, scale = _SIGNAL_STEPS, _SIGNAL_STEPS / _BRIGHTEST_SIGNAL
        else:
            self._top = scale = 255 if layout.bit_depth == 8 else 65535
            # No value is exactly half-way between two codes: both peaks are odd.
            self._alpha = ((codes * self._top + layout.peak // 2) // layout.peak).astype(
                np.uint8 if layout.bit_depth == 8 else np.uint16
            )
        self._matrix = (matrix * scale).astype(np.float32)
        sites = chroma_sites(layout, color)
        chroma_height = -(-size[1] >> layout.chroma_shift_y)
        self._columns = _column_taps(size[0], layout, sites, eyes)
        self._rows = _taps(size[1], chroma_height, sites.step_y, sites.offset_y)

    def rows(self, frame: StraightFrame, first: int, last: int) -> RgbaSamples:
        """Return rows first..last-1 as RGBA, shape (last - first, W, 4), with straight alpha.

        Colours are clipped to the range; in linear light only below 0.

        Raises:
            ValueError: the size or layout of the frame is wrong.
        """
        picture = frame.picture
        if (picture.width, picture.height) != self._size or picture.layout != self._layout:
            raise ValueError(
                f"expected {self._layout.name} of {self._size}; "
                f"got {picture.layout.name} of {(picture.width, picture.height)}"
            )
        rows = slice(first, last)
        codes = np.empty(
            (last - first, self._size[0], 4), np.uint8 if self._top == 255 else np.uint16
        )
        _paint(
            picture.y[rows],
            picture.u,
            picture.v,
            self._columns[0],
            self._columns[1],
            self._rows[0][rows],
            self._rows[1][rows],
            self._matrix,
            self._top,
            codes,
        )
        samples = codes if self._light is None else self._light[codes]
        samples[..., 3] = self._alpha[frame.alpha[rows]]
        return cast(RgbaSamples, samples)


_Taps = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""First of two adjacent chroma samples for each luma sample, and the weight of the second."""


def _column_taps(width: int, layout: PixelLayout, sites: PlaneSites, eyes: int) -> _Taps:
    """Return taps along a row, separately for each eye if chroma splits evenly."""
    step, offset = sites.step_x, sites.offset_x
    chroma_width = -(-width >> layout.chroma_shift_x)
    if eyes == 1 or width % (2 << layout.chroma_shift_x):
        return _taps(width, chroma_width, step, offset)
    first, weight = _taps(width // 2, chroma_width // 2, step, offset)
    return np.concatenate([first, first + chroma_width // 2]), np.tile(weight, 2)


def _taps(luma: int, chroma: int, step: float, offset: float) -> _Taps:
    """Return taps along an axis of `luma` samples; the outermost chroma samples are repeated."""
    position = np.clip((np.arange(luma) + 0.5 - offset) / step, 0, chroma - 1)
    first = np.floor(position)
    return first.astype(np.int32), (position - first).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _paint(
    y: Any,
    u: Any,
    v: Any,
    column_first: Any,
    column_weight: Any,
    row_first: Any,
    row_weight: Any,
    matrix: Any,
    top: int,
    out: Any,
) -> None:
    """Write the RGB of some rows as codes 0..top, rounded; leave alpha unchanged."""
    # One extra sample: the second tap of the last one, whose weight is 0.
    line_u = np.zeros(u.shape[1] + 1, np.float32)
    line_v = np.zeros(u.shape[1] + 1, np.float32)
    zero, highest, half = np.float32(0), np.float32(top), np.float32(0.5)
    for row in range(y.shape[0]):
        upper = row_first[row]
        lower = min(upper + 1, u.shape[0] - 1)
        _mix(u[upper], u[lower], row_weight[row], line_u)
        _mix(v[upper], v[lower], row_weight[row], line_v)
        for x in range(y.shape[1]):
            at = np.uint64(column_first[x])
            after, weight = at + np.uint64(1), column_weight[x]
            blue = line_u[at] + weight * (line_u[after] - line_u[at])
            red = line_v[at] + weight * (line_v[after] - line_v[at])
            luma = np.float32(y[row, x])
            for channel in range(3):
                value = (
                    matrix[channel, 0] * luma
                    + matrix[channel, 1] * blue
                    + matrix[channel, 2] * red
                    + matrix[channel, 3]
                )
                out[row, x, channel] = np.int32(min(max(value, zero), highest) + half)


@numba.njit(cache=True, nogil=True)
def _mix(upper: Any, lower: Any, weight: Any, out: Any) -> None:
    for x in range(upper.shape[0]):
        above = np.float32(upper[x])
        out[x] = above + weight * (np.float32(lower[x]) - above)
