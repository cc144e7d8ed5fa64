"""Guided upsampling: a small matte becomes a full-size one whose edges follow the picture.

A small matte is described as alpha = A * guide + b with A and b that vary slowly; stretched to full
size they are applied to the full-size guide (He & Sun, Fast Guided Filter, 2015). The guide, the
mean of R, G and B, is worked out of the YUV planes pixel by pixel and never stored.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from vrmatte.frames import FloatArray, Matte, PlanarFrame, Plane
from vrmatte.matting.network_input import packed, rgb_rows


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
    _apply(y, u, v, shift_x, shift_y, rgb_rows(picture), slopes, offsets, matte)
    return matte


@njit(nogil=True, cache=True)
def _apply(
    y: Plane,
    u: Plane,
    v: Plane,
    shift_x: int,
    shift_y: int,
    rows: FloatArray,
    slopes: FloatArray,
    offsets: FloatArray,
    matte: Matte,
) -> None:
    height, width = y.shape
    small_height = slopes.shape[0]
    of_y = rows[0, 0]
    # Adding a half rounds where the conversion to integers cuts off.
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    span, third = np.float32(255), np.float32(1 / 3)
    narrow, wide = np.empty((3, u.shape[1]), np.float32), np.empty((3, width), np.float32)
    red, green, blue = wide[0], wide[1], wide[2]
    for i in range(height):
        if i == i >> shift_y << shift_y:
            u_row, v_row = u[i >> shift_y], v[i >> shift_y]
            for c in range(3):
                for k in range(u_row.size):
                    chroma = rows[c, 1] * np.float32(u_row[k]) + rows[c, 2] * np.float32(v_row[k])
                    narrow[c, k] = chroma + rows[c, 3]
                for j in range(width):
                    wide[c, j] = narrow[c, j >> shift_x]
        at = min(max((i + 0.5) * small_height / height - 0.5, 0.0), small_height - 1.0)
        above = int(at)
        below = min(above + 1, small_height - 1)
        share = np.float32(at - above)
        a0, a1, b0, b1 = slopes[above], slopes[below], offsets[above], offsets[below]
        y_row, matte_row = y[i], matte[i]
        for j in range(width):
            luma = of_y * np.float32(y_row[j])
            total = min(max(luma + red[j], zero), one)
            total += min(max(luma + green[j], zero), one)
            total += min(max(luma + blue[j], zero), one)
            slope = a0[j] + share * (a1[j] - a0[j])
            offset = b0[j] + share * (b1[j] - b0[j])
            alpha = min(max(slope * total * third + offset, zero), one)
            matte_row[j] = np.uint8(np.int32(alpha * span + half))


def add_weighted(
    picture: PlanarFrame,
    laid: FloatArray,
    weight: npt.NDArray[np.uint8],
    region: tuple[slice, slice],
    matte: Matte,
) -> None:
    """Add the weighted alpha of a region to a matte, in place.

    Args:
        picture: the whole eye, any bit depth and range.
        laid: A and b for each pixel of the region, shape (2, rows, columns).
        weight: how much this alpha counts, in 255ths, shape (rows, columns).
        region: rows and columns of the eye.
        matte: the eye's matte, shape of its luma; with all weights it may come to 255 at most.
    """
    shifts = picture.layout.chroma_shift_x, picture.layout.chroma_shift_y
    corner = region[0].start, region[1].start
    _add_weighted(
        picture.y, picture.u, picture.v, *shifts, rgb_rows(picture), *corner, laid, weight, matte
    )


@njit(nogil=True, cache=True)
def _add_weighted(
    y: Plane,
    u: Plane,
    v: Plane,
    shift_x: int,
    shift_y: int,
    rows: FloatArray,
    top: int,
    left: int,
    laid: FloatArray,
    weight: npt.NDArray[np.uint8],
    matte: Matte,
) -> None:
    height, width = weight.shape
    of_y = rows[0, 0]
    zero, one, half, third = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1 / 3)
    chroma_left, chroma_stop = left >> shift_x, ((left + width - 1) >> shift_x) + 1
    narrow = np.empty((3, chroma_stop - chroma_left), np.float32)
    wide = np.empty((3, width), np.float32)
    red, green, blue = wide[0], wide[1], wide[2]
    for i in range(height):
        row = top + i
        if i == 0 or row == row >> shift_y << shift_y:
            u_row = u[row >> shift_y, chroma_left:chroma_stop]
            v_row = v[row >> shift_y, chroma_left:chroma_stop]
            for c in range(3):
                for k in range(u_row.size):
                    chroma = rows[c, 1] * np.float32(u_row[k]) + rows[c, 2] * np.float32(v_row[k])
                    narrow[c, k] = chroma + rows[c, 3]
                for j in range(width):
                    wide[c, j] = narrow[c, ((left + j) >> shift_x) - chroma_left]
        y_row, matte_row = y[row, left : left + width], matte[row, left : left + width]
        slopes, offsets, weight_row = laid[0, i], laid[1, i], weight[i]
        for j in range(width):
            luma = of_y * np.float32(y_row[j])
            total = min(max(luma + red[j], zero), one)
            total += min(max(luma + green[j], zero), one)
            total += min(max(luma + blue[j], zero), one)
            alpha = min(max(slopes[j] * total * third + offsets[j], zero), one)
            part = np.int32(alpha * np.float32(weight_row[j]) + half)
            matte_row[j] = np.uint8(np.int32(matte_row[j]) + part)
