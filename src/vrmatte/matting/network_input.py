"""YUV planes to a small float RGB picture, without ever making a large one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.frames import FloatArray, PlanarFrame, Plane

Taps = tuple[npt.NDArray[np.int64], FloatArray]
"""Per new sample: the first of the two old samples it lies between, and the second one's share."""


def packed(picture: PlanarFrame) -> PlanarFrame:
    """The picture with rows that follow each other without gaps; loops over it run faster."""
    y, u, v = (np.ascontiguousarray(plane) for plane in (picture.y, picture.u, picture.v))
    return replace(picture, y=y, u=u, v=v)


def rgb_rows(picture: PlanarFrame) -> FloatArray:
    """The map from the picture's code values to RGB 0..1, as of `colorimetry.yuv_to_rgb`."""
    color = picture.color
    rows = yuv_to_rgb(color.matrix, picture.layout.bit_depth, color.full_range)
    return rows.astype(np.float32)


def sampled_rgb(picture: PlanarFrame, width: int, height: int) -> FloatArray:
    """The picture at another size, or its own, shape (3, height, width), RGB 0..1.

    Bilinear whatever the ratio, as RVM's own graph does it, so below half size not every pixel is
    read. Averaging all of them was measured on whole eyes at a quarter of their size: edges are
    2 % better, but people have 8 % more holes, and the eyes agree less.
    """
    picture = packed(picture)
    shifts = picture.layout.chroma_shift_x, picture.layout.chroma_shift_y
    planes = picture.y, picture.u, picture.v
    if (picture.width, picture.height) == (width, height):
        return _convert(*planes, *shifts, rgb_rows(picture))
    rows, columns = _taps(picture.height, height), _taps(picture.width, width)
    return _sample(*planes, *shifts, rgb_rows(picture), *rows, *columns)


@lru_cache(maxsize=32)
def _taps(old_px: int, new_px: int) -> Taps:
    at = np.clip((np.arange(new_px) + 0.5) * (old_px / new_px) - 0.5, 0, old_px - 1)
    first = np.minimum(np.floor(at).astype(np.int64), max(old_px - 2, 0))
    return first, (at - first).astype(np.float32)


@njit(nogil=True, cache=True)
def _convert(
    y: Plane, u: Plane, v: Plane, shift_x: int, shift_y: int, rows: FloatArray
) -> FloatArray:
    """What `_sample` makes where each new pixel is an old one, bit for bit."""
    height, width = y.shape
    zero, one = np.float32(0), np.float32(1)
    blue, red = np.empty(width, np.float32), np.empty(width, np.float32)
    rgb = np.empty((3, height, width), np.float32)
    for i in range(height):
        y_row, u_row, v_row = y[i], u[i >> shift_y], v[i >> shift_y]
        for j in range(width):
            blue[j], red[j] = np.float32(u_row[j >> shift_x]), np.float32(v_row[j >> shift_x])
        for c in range(3):
            of_y, of_u, of_v, offset = rows[c, 0], rows[c, 1], rows[c, 2], rows[c, 3]
            rgb_row = rgb[c, i]
            for j in range(width):
                value = of_y * np.float32(y_row[j]) + of_u * blue[j] + of_v * red[j] + offset
                rgb_row[j] = min(max(value, zero), one)
    return rgb


@njit(nogil=True, cache=True)
def _sample(
    y: Plane,
    u: Plane,
    v: Plane,
    shift_x: int,
    shift_y: int,
    rows: FloatArray,
    first_row: npt.NDArray[np.int64],
    row_share: FloatArray,
    first_column: npt.NDArray[np.int64],
    column_share: FloatArray,
) -> FloatArray:
    height, width = y.shape
    zero, one = np.float32(0), np.float32(1)
    rgb = np.zeros((3, first_row.size, first_column.size), np.float32)
    for i in range(first_row.size):
        for j in range(first_column.size):
            # Colours are clipped before they are mixed, as if a full RGB picture had been made.
            for down in range(2):
                row = min(first_row[i] + down, height - 1)
                of_row = row_share[i] if down else one - row_share[i]
                for right in range(2):
                    column = min(first_column[j] + right, width - 1)
                    of_column = column_share[j] if right else one - column_share[j]
                    luma = np.float32(y[row, column])
                    blue = np.float32(u[row >> shift_y, column >> shift_x])
                    red = np.float32(v[row >> shift_y, column >> shift_x])
                    for c in range(3):
                        value = (
                            rows[c, 0] * luma + rows[c, 1] * blue + rows[c, 2] * red + rows[c, 3]
                        )
                        rgb[c, i, j] += of_row * of_column * min(max(value, zero), one)
    return rgb
