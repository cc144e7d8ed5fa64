"""Solver for mixed samples: I = alpha * F + (1 - alpha) * B, with F and B that vary slowly.

In any neighbourhood, the least-squares F and B follow from a few sums: of alpha, alpha^2, I and
alpha * I. The sums are downsampled to a pyramid. From its top down, F and B of each level solve its
own sums, pulled towards the solution of the coarser level where the sums say little. A single
sample does not determine F and B, so the finest level only distributes the residual of the coarser
solution. (This is multi-level as in Germer et al. 2020, but with the sums of each neighbourhood in
place of iterations between neighbours.)

Levels from 1/8 up are computed for the whole image, the finer ones tile by tile and only where
alpha is mixed. So there is no full-size array of floats, and tiles meet without seams.
"""

from __future__ import annotations

from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from vrmatte.compose.foreground.pyramid import (
    REGULARISATION,
    Cells,
    downsample,
    refine,
    solve_levels,
    upsample,
    upsampling_memory,
)
from vrmatte.frames import Matte, Plane

TileMap = npt.NDArray[np.bool_]

TILE = 64
"""Side of the tiles in samples; a multiple of 8."""

COARSE = 8
"""Samples per cell, in each direction, of the finest level that covers the whole image."""


def solve_colours(
    planes: tuple[Plane, ...],
    alpha: Matte,
    columns: slice,
    peak: int,
    out: tuple[Plane, ...],
    tiles: tuple[TileMap, TileMap] | None = None,
    *,
    beyond: Cells | None = None,
    empty: tuple[int, ...] = (),
) -> None:
    """Write F wherever alpha is neither 0 nor 255; opaque samples are not written.

    Args:
        planes: planes of one size, each C-contiguous.
        alpha: alpha in the shape of each plane.
        columns: columns of the image; others are neither read nor written.
        peak: largest sample value.
        out: the result, in the shape of the planes.
        tiles: result of `mixed_tiles` for these columns; None: compute it.
        beyond: share of F where alpha is 0, the rest being `empty`: a value 0..1 for each 8 x 8
            samples of the image. None: nothing is written there.
        empty: sample of each plane where `beyond` is 0.
    """
    left, right = columns.start, columns.stop
    mixed, seen = tiles or mixed_tiles(alpha, left, right)
    targets = mixed
    if beyond is not None:
        if mixed.any():
            targets = mixed | (_reached_tiles(beyond) & ~seen)
        _fill(out, empty, seen | targets, left, right)
    if not mixed.any():
        return
    around = cv2.dilate(mixed.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
    sums = _coarse_sums(planes, alpha, around, left, right)
    solution = solve_levels(sums)
    fade = np.zeros((1, 1), np.float32) if beyond is None else beyond
    base = np.array(empty or (0,) * len(planes), np.float32)
    continued = beyond is not None
    _finish(planes, alpha, targets, left, right, solution, fade, base, continued, peak, out)


def mixed_tiles(alpha: Matte, left: int, right: int) -> tuple[TileMap, TileMap]:
    """Return the tiles of columns left..right-1 with mixed alpha, and those with any alpha."""
    shape = (-(-alpha.shape[0] // TILE), -(-(right - left) // TILE))
    mixed, seen = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    _inspect_tiles(alpha, left, right, mixed, seen)
    return mixed, seen


def _reached_tiles(beyond: Cells) -> TileMap:
    """Return the tiles into which foreground colours continue."""
    spread = cv2.dilate(beyond, np.ones((3, 3), np.uint8))
    rows, columns = (np.arange(0, size, TILE // COARSE) for size in beyond.shape)
    most = np.maximum.reduceat(np.maximum.reduceat(spread, rows, axis=0), columns, axis=1)
    return most > 0


def _coarse_sums(
    planes: tuple[Plane, ...], alpha: Matte, tiles: TileMap, left: int, right: int
) -> Cells:
    rows, columns = -(-alpha.shape[0] // COARSE), -(-(right - left) // COARSE)
    sums = np.zeros((rows, 3 + 2 * len(planes), columns), np.float32)
    _add_up(planes, alpha, tiles, left, right, sums)
    return sums


@numba.njit(cache=True, nogil=True)
def _inspect_tiles(alpha: Any, left: int, right: int, mixed: Any, seen: Any) -> None:
    for row in range(mixed.shape[0]):
        stop = min((row + 1) * TILE, alpha.shape[0])
        for column in range(mixed.shape[1]):
            first, last = left + column * TILE, min(left + (column + 1) * TILE, right)
            low, high = np.uint8(255), np.uint8(0)
            for i in range(row * TILE, stop):
                line = alpha[i, first:last]
                for j in range(line.size):
                    low, high = min(low, line[j]), max(high, line[j])
            seen[row, column] = high > 0
            mixed[row, column] = high > 0 and low < 255


@numba.njit(cache=True, nogil=True)
def _fill(out: Any, empty: Any, used: Any, left: int, right: int) -> None:
    """Write `empty` to all tiles that are not used."""
    for n in range(len(out)):
        plane, value = out[n], empty[n]
        for row in range(used.shape[0]):
            for column in range(used.shape[1]):
                if not used[row, column]:
                    last = min(left + (column + 1) * TILE, right)
                    plane[row * TILE : (row + 1) * TILE, left + column * TILE : last] = value


@numba.njit(cache=True, nogil=True)
def _add_up(planes: Any, alpha: Any, tiles: Any, left: int, right: int, sums: Any) -> None:
    """Sum 8 x 8 samples in the given tiles."""
    per_tile = TILE // COARSE
    columns = np.empty((3 + 2 * len(planes), TILE), np.int32)
    for row in range(sums.shape[0]):
        top, stop = row * COARSE, min((row + 1) * COARSE, alpha.shape[0])
        for tile in range(tiles.shape[1]):
            if tiles[row // per_tile, tile]:
                first = left + tile * TILE
                last = min(first + TILE, right)
                _add_columns(planes, alpha, top, stop, first, last, columns)
                for k in range(-(-(last - first) // COARSE)):
                    cell = sums[row, :, tile * per_tile + k]
                    _add_cell(columns[:, k * COARSE : (k + 1) * COARSE], cell)


@numba.njit(cache=True, nogil=True)
def _add_columns(
    planes: Any, alpha: Any, top: int, stop: int, first: int, last: int, columns: Any
) -> None:
    """Sum up to 8 rows in integers: 8 samples of 16 bits times alpha stay below 2^31."""
    width = last - first
    columns[:] = 0
    columns[0, :width] = 255 * (stop - top)
    for i in range(top, stop):
        a = alpha[i, first:last]
        for j in range(width):
            columns[1, j] += np.int32(a[j])
            columns[2, j] += np.int32(a[j]) * np.int32(a[j])
        for n in range(len(planes)):
            line = planes[n][i, first:last]
            of_all, of_front = columns[3 + 2 * n], columns[4 + 2 * n]
            for j in range(width):
                sample = np.int32(line[j])
                of_all[j] += sample
                of_front[j] += sample * np.int32(a[j])


@numba.njit(cache=True, nogil=True)
def _add_cell(columns: Any, cell: Any) -> None:
    share = np.float32(1 / (COARSE * COARSE))
    for c in range(cell.size):
        total = np.float32(0)
        for value in columns[c]:
            total += np.float32(value)
        of_alpha = c < 2 or (c > 3 and c % 2 == 0)
        scale = np.float32(1 / 255) if of_alpha else np.float32(1)
        cell[c] = total * share * (np.float32(1 / 255**2) if c == 2 else scale)


@numba.njit(cache=True, nogil=True)
def _fine_sums(
    planes: Any, alpha: Any, left: int, right: int, top: int, first: int, sums: Any
) -> None:
    """Sum 2 x 2 samples for cells from (top, first), which may be outside the image."""
    share, scale = np.float32(0.25), np.float32(1 / 255)
    sums[:] = 0
    begin = max(2 * first, 0)
    width = min(2 * (first + sums.shape[2]), right - left) - begin
    a = np.empty(width, np.float32)
    for i in range(max(2 * top, 0), min(2 * (top + sums.shape[0]), alpha.shape[0])):
        row, at = (i >> 1) - top, (begin >> 1) - first
        line = alpha[i, left + begin : left + begin + width]
        for j in range(width):
            a[j] = np.float32(line[j]) * scale
        for j in range(width // 2):
            one, two = a[2 * j], a[2 * j + 1]
            sums[row, 0, at + j] += np.float32(0.5)
            sums[row, 1, at + j] += share * (one + two)
            sums[row, 2, at + j] += share * (one * one + two * two)
        for n in range(len(planes)):
            samples = planes[n][i, left + begin : left + begin + width]
            of_all, of_front = sums[row, 3 + 2 * n], sums[row, 4 + 2 * n]
            for j in range(width // 2):
                one, two = np.float32(samples[2 * j]), np.float32(samples[2 * j + 1])
                of_all[at + j] += share * (one + two)
                of_front[at + j] += share * (one * a[2 * j] + two * a[2 * j + 1])


@numba.njit(cache=True, nogil=True)
def _finish(
    planes: Any,
    alpha: Any,
    tiles: Any,
    left: int,
    right: int,
    coarse: Any,
    fade: Any,
    empty: Any,
    continued: bool,
    peak: int,
    out: Any,
) -> None:
    """Solve the three finest levels tile by tile, with a margin of cells so that tiles agree."""
    n_sums, n_solutions = 3 + 2 * len(planes), 2 + 2 * len(planes)
    half, quarter = TILE // 2, TILE // 4
    sums_2 = np.empty((half + 4, n_sums, half + 4), np.float32)
    sums_4 = np.empty((quarter + 2, n_sums, quarter + 2), np.float32)
    solution_4 = np.empty((quarter + 2, n_solutions, quarter + 2), np.float32)
    solution_2 = np.empty((half + 4, n_solutions, half + 4), np.float32)
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            if tiles[row, column]:
                top, first = row * quarter - 1, column * quarter - 1
                _fine_sums(planes, alpha, left, right, 2 * top, 2 * first, sums_2)
                downsample(sums_2, sums_4)
                refine(sums_4, coarse, top, first, 0, 0, solution_4)
                refine(sums_2, solution_4, 2 * top, 2 * first, top, first, solution_2)
                _finish_tile(
                    planes, alpha, row * TILE, left, column * TILE, right, solution_2, fade, empty,
                    continued, peak, out,
                )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _finish_tile(
    planes: Any,
    alpha: Any,
    top: int,
    left: int,
    first: int,
    right: int,
    solution: Any,
    fade: Any,
    empty: Any,
    continued: bool,
    peak: int,
    out: Any,
) -> None:
    """Solve the single samples of one tile."""
    begin, columns = left + first, min(TILE, right - left - first)
    lines = upsampling_memory(solution)
    guess = np.empty((solution.shape[1], columns), np.float32)
    share = np.ones(columns, np.float32)
    for i in range(top, min(top + TILE, alpha.shape[0])):
        line = alpha[i, begin : begin + columns]
        if not _has_work(line, continued):
            continue
        upsample(solution, i, first, (top >> 1) - 2, (first >> 1) - 2, lines, guess)
        if continued:
            for j in range(columns):
                share[j] = np.float32(1) if line[j] else _fade_at(fade, i, first + j)
        for n in range(len(planes)):
            samples, into = (
                planes[n][i, begin : begin + columns],
                out[n][i, begin : begin + columns],
            )
            _add_residual(samples, line, guess, 2 + 2 * n, share, empty[n], continued, peak, into)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_residual(
    samples: Any,
    alpha: Any,
    guess: Any,
    n: int,
    share: Any,
    empty: Any,
    continued: bool,
    peak: int,
    out: Any,
) -> None:
    """Add the residual of the guess to F, by its share in the mixture."""
    guess_f, guess_b, weight_f, weight_b = guess[n], guess[n + 1], guess[0], guess[1]
    scale, one, half = np.float32(1 / 255), np.float32(1), np.float32(0.5)
    zero, most = np.float32(0), np.float32(peak)
    least = 0 if continued else 1
    for j in range(out.size):
        a = np.float32(alpha[j]) * scale
        b = one - a
        f, back = guess_f[j] / weight_f[j], guess_b[j] / weight_b[j]
        residual = np.float32(samples[j]) - a * f - b * back
        f += a / (a * a + b * b + REGULARISATION) * residual
        f = empty + share[j] * (f - empty)
        color = np.int32(min(max(f, zero), most) + half)
        mixed = alpha[j] >= least and alpha[j] < 255
        out[j] = color if mixed else np.int32(out[j])


@numba.njit(cache=True, nogil=True)
def _has_work(line: Any, continued: bool) -> Any:
    low, high = np.uint8(255), np.uint8(0)
    for a in line:
        low, high = min(low, a), max(high, a)
    return low < 255 and (continued or high > 0)


@numba.njit(cache=True, nogil=True)
def _fade_at(fade: Any, i: int, j: int) -> Any:
    """Return `fade`, given for each 8 x 8 samples, at one sample, bilinearly interpolated."""
    y = min(max((i + np.float32(0.5)) / COARSE - np.float32(0.5), 0), fade.shape[0] - 1)
    x = min(max((j + np.float32(0.5)) / COARSE - np.float32(0.5), 0), fade.shape[1] - 1)
    top, left = int(y), int(x)
    below, beside = min(top + 1, fade.shape[0] - 1), min(left + 1, fade.shape[1] - 1)
    down, right = np.float32(y - top), np.float32(x - left)
    upper = fade[top, left] + right * (fade[top, beside] - fade[top, left])
    lower = fade[below, left] + right * (fade[below, beside] - fade[below, left])
    return upper + down * (lower - upper)
