"""YUV planes to a small float RGB picture, without ever making a large one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.frames import PlanarFrame, Plane

FloatArray = npt.NDArray[np.float32]
Sampling = Literal["bilinear", "area"]
"""How a picture shrinks. Bilinear reads two by two pixels whatever the ratio, as RVM's own graph
does: measured on whole eyes at a quarter of their size, it leaves 8 % fewer holes in people than
area averages, and the eyes agree better, while edges are 2 % worse."""
Taps = tuple[npt.NDArray[np.int64], FloatArray]
"""Per new sample: the first old sample it reads, and the weights of that and the next ones."""


def packed(picture: PlanarFrame) -> PlanarFrame:
    """The picture with rows that follow each other without gaps; loops over it run faster."""
    y, u, v = (np.ascontiguousarray(plane) for plane in (picture.y, picture.u, picture.v))
    return replace(picture, y=y, u=u, v=v)


def small_rgb(
    picture: PlanarFrame, width: int, height: int, sampling: Sampling = "bilinear"
) -> FloatArray:
    """The picture at another size, shape (3, height, width), RGB 0..1."""
    picture = packed(picture)
    planes = [
        _resample(
            plane,
            *_taps(plane.shape[0], height, sampling),
            *_taps(plane.shape[1], width, sampling),
        )
        for plane in (picture.y, picture.u, picture.v)
    ]
    return _rgb(picture, planes)


def full_rgb(picture: PlanarFrame) -> FloatArray:
    """The picture at its own size, shape (3, H, W), RGB 0..1: large, for networks that want it."""
    layout = picture.layout
    rows = np.arange(picture.height) >> layout.chroma_shift_y
    columns = np.arange(picture.width) >> layout.chroma_shift_x
    u, v = (plane[np.ix_(rows, columns)] for plane in (picture.u, picture.v))
    return _rgb(picture, [np.asarray(plane, np.float32) for plane in (picture.y, u, v)])


def _rgb(picture: PlanarFrame, planes: list[FloatArray]) -> FloatArray:
    color = picture.color
    matrix = yuv_to_rgb(color.matrix, picture.layout.bit_depth, color.full_range)
    rgb = np.empty((3, *planes[0].shape), np.float32)
    for channel in range(3):
        rgb[channel] = matrix[channel, 3]
        for factor, plane in zip(matrix[channel], planes, strict=False):
            rgb[channel] += np.float32(factor) * plane
    return np.clip(rgb, 0, 1, out=rgb)


@lru_cache(maxsize=32)
def _taps(old_px: int, new_px: int, sampling: Sampling) -> Taps:
    step = old_px / new_px
    if sampling == "area" and step > 1:
        count = min(old_px, int(np.ceil(step)) + 1)
        start = np.arange(new_px) * step
    else:
        count = min(old_px, 2)
        start = np.clip((np.arange(new_px) + 0.5) * step - 0.5, 0, old_px - 1)
    first = np.clip(np.floor(start), 0, old_px - count).astype(np.int64)
    old = first[:, None] + np.arange(count)
    if sampling == "area" and step > 1:
        end = start[:, None] + step
        weights = np.maximum(np.minimum(old + 1, end) - np.maximum(old, start[:, None]), 0)
    else:
        weights = np.maximum(1 - np.abs(start[:, None] - old), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


@njit(nogil=True, cache=True)
def _resample(
    plane: Plane,
    first_row: npt.NDArray[np.int64],
    row_weights: FloatArray,
    first_column: npt.NDArray[np.int64],
    column_weights: FloatArray,
) -> FloatArray:
    height, width = first_row.size, first_column.size
    small = np.empty((height, width), np.float32)
    line = np.empty(plane.shape[1], np.float32)
    for i in range(height):
        line[:] = 0
        for tap in range(row_weights.shape[1]):
            weight = row_weights[i, tap]
            if weight != 0:
                row = plane[first_row[i] + tap]
                for j in range(line.size):
                    line[j] += weight * np.float32(row[j])
        for j in range(width):
            total = np.float32(0)
            for tap in range(column_weights.shape[1]):
                total += column_weights[j, tap] * line[first_column[j] + tap]
            small[i, j] = total
    return small
