"""Guided upsampling: a small matte becomes a full-size one whose edges follow the picture.

A small matte is described as alpha = A * guide + b with A and b that vary slowly; stretched to full
size they are applied to the full-size guide (He & Sun, Fast Guided Filter, 2015). The guide is the
mean of R, G and B, which is linear in Y, U and V, so it is taken straight from the planes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.frames import Matte, PlanarFrame, Plane
from vrmatte.matting.network_input import packed

FloatArray = npt.NDArray[np.float32]


def fit_coefficients(
    guide: FloatArray, matte: FloatArray, radius_px: int, epsilon: float
) -> tuple[FloatArray, FloatArray]:
    """The A and b that explain a matte best around each pixel.

    Args:
        guide: shape (H, W), 0..1.
        matte: shape (H, W), 0..1.
        radius_px: half side of the window in which A and b are constant.
        epsilon: guide variance below which an area counts as flat.

    Returns:
        A and b, shape (H, W) each.
    """
    window = (2 * radius_px + 1, 2 * radius_px + 1)

    def mean(values: npt.NDArray[np.floating[Any]]) -> FloatArray:
        return np.asarray(cv2.blur(values, window, borderType=cv2.BORDER_REFLECT), np.float32)

    mean_guide, mean_matte = mean(guide), mean(matte)
    variance = mean(guide * guide) - mean_guide * mean_guide
    covariance = mean(guide * matte) - mean_guide * mean_matte
    slope = covariance / (variance + np.float32(epsilon))
    offset = mean_matte - slope * mean_guide
    return mean(slope), mean(offset)


def apply_coefficients(picture: PlanarFrame, slope: FloatArray, offset: FloatArray) -> Matte:
    """Alpha at the picture's size from small A and b.

    Args:
        picture: any bit depth and range.
        slope: A, shape (h, w), for a guide of 0..1; stretched bilinearly, half-pixel centres.
        offset: b, same shape.

    Returns:
        255 * clip(A * mean(RGB) + b), shape (H, W), rounded.
    """
    color = picture.color
    rows = yuv_to_rgb(color.matrix, picture.layout.bit_depth, color.full_range)
    guide_row = rows.mean(axis=0).astype(np.float32)
    # Only the width is stretched here: rows are blended on the fly, so no full-size float exists.
    slopes, offsets = (
        np.asarray(
            cv2.resize(small, (picture.width, len(small)), interpolation=cv2.INTER_LINEAR),
            np.float32,
        )
        for small in (slope, offset)
    )
    matte = np.empty((picture.height, picture.width), np.uint8)
    picture = packed(picture)
    shift_x, shift_y = picture.layout.chroma_shift_x, picture.layout.chroma_shift_y
    y, u, v = picture.y, picture.u, picture.v
    _apply(y, u, v, shift_x, shift_y, guide_row, slopes, offsets, matte)
    return matte


@njit(nogil=True, cache=True)
def _apply(
    y: Plane,
    u: Plane,
    v: Plane,
    shift_x: int,
    shift_y: int,
    guide_row: FloatArray,
    slopes: FloatArray,
    offsets: FloatArray,
    matte: Matte,
) -> None:
    height, width = y.shape
    small_height = slopes.shape[0]
    of_y, of_u, of_v, constant = guide_row[0], guide_row[1], guide_row[2], guide_row[3]
    # Adding a half rounds where the conversion to integers cuts off.
    low, span, high = np.float32(0.5), np.float32(255), np.float32(255.5)
    narrow, chroma = np.empty(u.shape[1], np.float32), np.empty(width, np.float32)
    for i in range(height):
        if i == i >> shift_y << shift_y:
            u_row, v_row = u[i >> shift_y], v[i >> shift_y]
            for k in range(narrow.size):
                narrow[k] = of_u * np.float32(u_row[k]) + of_v * np.float32(v_row[k]) + constant
            for j in range(width):
                chroma[j] = narrow[j >> shift_x]
        at = min(max((i + 0.5) * small_height / height - 0.5, 0.0), small_height - 1.0)
        above = int(at)
        below = min(above + 1, small_height - 1)
        share = np.float32(at - above)
        a0, a1, b0, b1 = slopes[above], slopes[below], offsets[above], offsets[below]
        y_row, matte_row = y[i], matte[i]
        for j in range(width):
            guide = of_y * np.float32(y_row[j]) + chroma[j]
            slope = a0[j] + share * (a1[j] - a0[j])
            offset = b0[j] + share * (b1[j] - b0[j])
            alpha = (slope * guide + offset) * span + low
            matte_row[j] = np.uint8(np.int32(min(max(alpha, low), high)))
