"""People in front of one flat colour, blended in the YUV planes.

Blending is linear, so YUV codes can be blended as well as RGB codes. The frame keeps every bit
where the matte is opaque.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from vrmatte.colorimetry import rgb_to_yuv
from vrmatte.frames import ColorTags, Matte, PixelLayout, PlanarFrame


class GreenScreen:
    """Replaces the background with one colour."""

    def __init__(
        self, background_rgb: tuple[int, int, int], layout: PixelLayout, color: ColorTags
    ) -> None:
        """Compute the code values of the colour.

        Args:
            background_rgb: the colour, 0..255 per channel.
            layout: layout of all frames; 4:2:0.
            color: tags of all frames.

        Raises:
            ValueError: the layout is not 4:2:0.
        """
        if (layout.chroma_shift_x, layout.chroma_shift_y) != (1, 1):
            raise ValueError(f"green screens need 4:2:0 frames, not {layout.name}")
        self.layout = layout
        self.key_yuv = rgb_to_yuv(background_rgb, color.matrix, layout.bit_depth, color.full_range)
        """Code values of the colour in Y, U and V."""

    def compose(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """Return the frame over the colour: alpha 255 keeps its samples, 0 gives the colour.

        Args:
            frame: a frame in the expected layout.
            matte: a matte of the frame's size.

        Raises:
            ValueError: the size of the matte or the layout of the frame is wrong.
        """
        if matte.shape != frame.y.shape or frame.layout != self.layout:
            raise ValueError(
                f"expected {self.layout.name} and a matte of {frame.y.shape}; "
                f"got {frame.layout.name} and {matte.shape}"
            )
        y, u, v = (np.empty_like(plane) for plane in (frame.y, frame.u, frame.v))
        _blend(frame.y, frame.u, frame.v, matte, *self.key_yuv, y, u, v)
        return PlanarFrame(y, u, v, frame.layout, frame.color, frame.pts)


@numba.njit(cache=True, nogil=True)
def _blend(
    y: Any,
    u: Any,
    v: Any,
    matte: Any,
    key_y: int,
    key_u: int,
    key_v: int,
    out_y: Any,
    out_u: Any,
    out_v: Any,
) -> None:
    """Blend all planes of a 4:2:0 frame, two luma rows and one chroma row at a time."""
    last = matte.shape[0] - 1
    alpha_sum = np.empty(u.shape[1], np.float32)
    for row in range(u.shape[0]):
        upper, lower = 2 * row, min(2 * row + 1, last)
        _blend_luma(y[upper], matte[upper], key_y, out_y[upper])
        _blend_luma(y[lower], matte[lower], key_y, out_y[lower])
        _sum_alpha(matte[upper], matte[lower], alpha_sum)
        _blend_chroma(u[row], alpha_sum, key_u, out_u[row])
        _blend_chroma(v[row], alpha_sum, key_v, out_v[row])


# Single precision is enough to round every luma sample to the nearest code: the products are exact
# integers, the error of the scaled sum is below 1e-3, and no multiple of 1/255 is closer than 1/510
# to a half. The compiler vectorises this loop to sixteen samples at a time.


@numba.njit(cache=True, nogil=True)
def _blend_luma(samples: Any, alpha: Any, key: int, out: Any) -> None:
    scale, background = np.float32(1 / 255), np.float32(key)
    rounded = np.float32(key + 0.5)
    for x in range(samples.shape[0]):
        weighted = np.float32(alpha[x]) * (np.float32(samples[x]) - background)
        out[x] = np.int32(weighted * scale + rounded)


@numba.njit(cache=True, nogil=True)
def _sum_alpha(upper: Any, lower: Any, alpha_sum: Any) -> None:
    """Sum the alpha of the 2 x 2 luma pixels of each chroma sample, 0..1020."""
    width = upper.shape[0]
    for x in range(width // 2):
        above = np.int32(upper[2 * x]) + np.int32(upper[2 * x + 1])
        below = np.int32(lower[2 * x]) + np.int32(lower[2 * x + 1])
        alpha_sum[x] = np.float32(np.int32(above + below))
    if width % 2:
        alpha_sum[width // 2] = np.float32(
            2 * (np.int32(upper[width - 1]) + np.int32(lower[width - 1]))
        )


@numba.njit(cache=True, nogil=True)
def _blend_chroma(samples: Any, alpha_sum: Any, key: int, out: Any) -> None:
    scale, background = np.float32(1 / (4 * 255)), np.float32(key)
    rounded = np.float32(key + 0.5)
    for x in range(samples.shape[0]):
        weighted = alpha_sum[x] * (np.float32(samples[x]) - background)
        out[x] = np.int32(weighted * scale + rounded)
