"""The matte as a grey video picture."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from vrmatte.colorimetry import BT709
from vrmatte.frames import ColorTags, Matte, PixelLayout, PlanarFrame, Plane

_OPAQUE = 255


def matte_frame(
    matte: Matte, layout: PixelLayout, color_full_range: bool = False, pts: int = 0
) -> PlanarFrame:
    """A grey picture as bright as the matte is opaque.

    Args:
        matte: shape (H, W).
        layout: of the picture.
        color_full_range: black and white are the first and last code, not 16 and 235.
        pts: presentation time of the picture.

    Returns:
        Alpha 0 and 255 are exactly black and white; the planes of neutral chroma are shared by
        all pictures of a size and read-only.
    """
    luma = cast(Plane, cv2.LUT(matte, _luma_codes(layout, color_full_range)))
    height, width = matte.shape
    neutral = _neutral_chroma(height, width, layout)
    color = ColorTags(BT709, BT709, BT709, color_full_range)
    return PlanarFrame(luma, neutral, neutral, layout, color, pts)


@lru_cache(maxsize=4)
def _luma_codes(layout: PixelLayout, full_range: bool) -> Plane:
    """Luma code of each alpha 0..255, rounded to nearest."""
    step = 1 << (layout.bit_depth - 8)
    black, white = (0, layout.peak) if full_range else (16 * step, 235 * step)
    alpha = np.arange(_OPAQUE + 1)
    codes = black + (2 * alpha * (white - black) + _OPAQUE) // (2 * _OPAQUE)
    return cast(Plane, codes.astype(layout.dtype))


@lru_cache(maxsize=4)
def _neutral_chroma(height: int, width: int, layout: PixelLayout) -> Plane:
    shape = (-(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x))
    plane = np.full(shape, 1 << (layout.bit_depth - 1), layout.dtype)
    plane.setflags(write=False)
    return cast(Plane, plane)
