"""Takes mixed samples apart: I = alpha * F + (1 - alpha) * B with F and B that vary slowly.

In any neighbourhood the F and B that explain its samples best (least squares) follow from a few
sums: of alpha, alpha^2, I and alpha * I. These sums are halved into a pyramid; from its top down
each level's F and B are its own sums' answer, held to the coarser level's answer where the sums say
little. One sample alone leaves F and B open, so the finest level only shares out what the coarser
answer leaves unexplained. (Multi-level in the manner of Germer et al. 2020, but with the sums of
each neighbourhood in place of iterations between neighbours.)

The pyramid above 1/8 is made for the whole picture, the rest tile by tile and only where alpha is
mixed, so no full-size array of floats exists and tiles meet without seams.
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
    stretch_lines,
    upsample,
    whole_picture_answers,
)
from vrmatte.frames import Matte, Plane

TileMap = npt.NDArray[np.bool_]

TILE = 64
"""Side of the tiles in samples; a multiple of 8."""

COARSE = 8
"""Samples per cell, each way, of the finest level that covers the whole picture."""


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
    """Write F wherever alpha is neither 0 nor 255; whatever is opaque is not written at all.

    Args:
        planes: planes of one size, each C-contiguous.
        alpha: same shape as each plane.
        columns: which columns are the picture; others are neither read nor written.
        peak: largest sample.
        out: where F is written; of the planes' shapes.
        tiles: what `mixed_tiles` says of these columns; None: it is asked.
        beyond: F continued where alpha is 0: how much of it there is, the rest being `empty`; one
            value 0..1 for each 8 x 8 samples of the picture. None: nothing is written there.
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
    answer = whole_picture_answers(sums)
    fade = np.zeros((1, 1), np.float32) if beyond is None else beyond
    base = np.array(empty or (0,) * len(planes), np.float32)
    _finish(planes, alpha, targets, left, right, answer, fade, base, beyond is not None, peak, out)


def mixed_tiles(alpha: Matte, left: int, right: int) -> tuple[TileMap, TileMap]:
    """Tiles of the columns left..right-1 that hold both some and not full alpha; and any alpha."""
    shape = (-(-alpha.shape[0] // TILE), -(-(right - left) // TILE))
    mixed, seen = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    _look(alpha, left, right, mixed, seen)
    return mixed, seen


def _reached_tiles(beyond: Cells) -> TileMap:
    """Tiles in which the foreground's colours run on."""
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


# --- loops ---------------------------------------------------------------------------------------


@numba.njit(cache=True, nogil=True)
def _look(alpha: Any, left: int, right: int, mixed: Any, seen: Any) -> None:
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
    """`empty` in all tiles not used."""
    for n in range(len(out)):
        plane, value = out[n], empty[n]
        for row in range(used.shape[0]):
            for column in range(used.shape[1]):
                if not used[row, column]:
                    last = min(left + (column + 1) * TILE, right)
                    plane[row * TILE : (row + 1) * TILE, left + column * TILE : last] = value


@numba.njit(cache=True, nogil=True)
def _add_up(planes: Any, alpha: Any, tiles: Any, left: int, right: int, sums: Any) -> None:
    """Sums of 8 x 8 samples, in the tiles asked for."""
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
    """Sums of up to 8 rows, whole numbers: 8 samples of 16 bits times alpha stay below 2^31."""
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
    """Sums of 2 x 2 samples for cells from (top, first) on, which may lie outside the picture."""
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
    """The three finest levels, tile by tile; a margin of cells around each lets tiles agree."""
    n_sums, n_answers = 3 + 2 * len(planes), 2 + 2 * len(planes)
    half, quarter = TILE // 2, TILE // 4
    sums_2 = np.empty((half + 4, n_sums, half + 4), np.float32)
    sums_4 = np.empty((quarter + 2, n_sums, quarter + 2), np.float32)
    answer_4 = np.empty((quarter + 2, n_answers, quarter + 2), np.float32)
    answer_2 = np.empty((half + 4, n_answers, half + 4), np.float32)
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            if tiles[row, column]:
                top, first = row * quarter - 1, column * quarter - 1
                _fine_sums(planes, alpha, left, right, 2 * top, 2 * first, sums_2)
                downsample(sums_2, sums_4)
                refine(sums_4, coarse, top, first, 0, 0, answer_4)
                refine(sums_2, answer_4, 2 * top, 2 * first, top, first, answer_2)
                _finish_tile(
                    planes, alpha, row * TILE, left, column * TILE, right, answer_2, fade, empty,
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
    answer: Any,
    fade: Any,
    empty: Any,
    continued: bool,
    peak: int,
    out: Any,
) -> None:
    """Single samples of one tile."""
    begin, columns = left + first, min(TILE, right - left - first)
    lines = stretch_lines(answer)
    guess = np.empty((answer.shape[1], columns), np.float32)
    share = np.ones(columns, np.float32)
    for i in range(top, min(top + TILE, alpha.shape[0])):
        line = alpha[i, begin : begin + columns]
        if not _needed(line, continued):
            continue
        upsample(answer, i, first, (top >> 1) - 2, (first >> 1) - 2, lines, guess)
        if continued:
            for j in range(columns):
                share[j] = np.float32(1) if line[j] else _fade_at(fade, i, first + j)
        for n in range(len(planes)):
            samples, into = (
                planes[n][i, begin : begin + columns],
                out[n][i, begin : begin + columns],
            )
            _share_out(samples, line, guess, 2 + 2 * n, share, empty[n], continued, peak, into)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _share_out(
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
    """What the guess leaves unexplained goes to F by its part in the mixture."""
    guess_f, guess_b, trust_f, trust_b = guess[n], guess[n + 1], guess[0], guess[1]
    scale, one, half = np.float32(1 / 255), np.float32(1), np.float32(0.5)
    zero, most = np.float32(0), np.float32(peak)
    least = 0 if continued else 1
    for j in range(out.size):
        a = np.float32(alpha[j]) * scale
        b = one - a
        f, back = guess_f[j] / trust_f[j], guess_b[j] / trust_b[j]
        rest = np.float32(samples[j]) - a * f - b * back
        f += a / (a * a + b * b + REGULARISATION) * rest
        f = empty + share[j] * (f - empty)
        made = np.int32(min(max(f, zero), most) + half)
        mixed = alpha[j] >= least and alpha[j] < 255
        out[j] = made if mixed else np.int32(out[j])


@numba.njit(cache=True, nogil=True)
def _needed(line: Any, continued: bool) -> Any:
    low, high = np.uint8(255), np.uint8(0)
    for a in line:
        low, high = min(low, a), max(high, a)
    return low < 255 and (continued or high > 0)


@numba.njit(cache=True, nogil=True)
def _fade_at(fade: Any, i: int, j: int) -> Any:
    """`fade`, given for each 8 x 8 samples, between its cells at a sample, bilinear."""
    y = min(max((i + np.float32(0.5)) / COARSE - np.float32(0.5), 0), fade.shape[0] - 1)
    x = min(max((j + np.float32(0.5)) / COARSE - np.float32(0.5), 0), fade.shape[1] - 1)
    top, left = int(y), int(x)
    below, beside = min(top + 1, fade.shape[0] - 1), min(left + 1, fade.shape[1] - 1)
    down, right = np.float32(y - top), np.float32(x - left)
    upper = fade[top, left] + right * (fade[top, beside] - fade[top, left])
    lower = fade[below, left] + right * (fade[below, beside] - fade[below, left])
    return upper + down * (lower - upper)
