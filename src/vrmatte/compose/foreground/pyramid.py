"""Levels of the pyramid that solves I = alpha * F + (1 - alpha) * B for F and B.

Arrays of sums have shape (rows, 3 + 2 N, columns) for N planes: share of the cell inside the image,
alpha, alpha^2, then I and alpha * I of each plane, all as means over the cell. Solutions have shape
(rows, 2 + 2 N, columns): the weights of F and B, then F and B of each plane times their weight.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.float32]

REGULARISATION = np.float32(0.08)
"""Pull towards the coarser solution, in units of mean alpha^2. A smaller value follows an exact
matte more closely, a larger one tolerates a matte that is a little too soft."""
_HALF_WEIGHT = np.float32(0.1)
"""Mean alpha^2 at which the F of a cell has half its weight in upsampling."""
_LEAST_WEIGHT = np.float32(0.02)
_MARGIN = 3
"""Cells that extend an upsampled row on either side."""


def solve_levels(sums: Cells) -> Cells:
    """Return the solution for sums that cover a whole image, by way of all coarser levels."""
    levels = [sums]
    while max(levels[-1].shape[0], levels[-1].shape[2]) > 2:
        finer = levels[-1]
        shape = (-(-finer.shape[0] // 2), finer.shape[1], -(-finer.shape[2] // 2))
        levels.append(np.empty(shape, np.float32))
        downsample(finer, levels[-1])
    solution = _first_guess(levels[-1])
    for level in reversed(levels):
        coarser, shape = solution, (level.shape[0], solution.shape[1], level.shape[2])
        solution = np.empty(shape, np.float32)
        refine(level, coarser, 0, 0, 0, 0, solution)
    return solution


def _first_guess(top: Cells) -> Cells:
    """Return one cell: means of all samples weighted by alpha for F, by 1 - alpha for B."""
    total = top.sum(axis=(0, 2))
    planes = (len(total) - 3) // 2
    guess = np.ones((1, 2 + 2 * planes, 1), np.float32)
    tiny = np.float32(1e-6)
    for n in range(planes):
        of_all, of_front = total[3 + 2 * n], total[4 + 2 * n]
        guess[0, 2 + 2 * n, 0] = of_front / max(total[1], tiny)
        guess[0, 3 + 2 * n, 0] = (of_all - of_front) / max(total[0] - total[1], tiny)
    return guess


@numba.njit(cache=True, nogil=True)
def downsample(fine: Any, coarse: Any) -> None:
    """Average 2 x 2 cells; cells outside the array are empty."""
    rows, channels, columns = fine.shape
    quarter = np.float32(0.25)
    for i in range(coarse.shape[0]):
        for c in range(channels):
            line = coarse[i, c]
            line[:] = 0
            for k in range(2 * i, min(2 * i + 2, rows)):
                source = fine[k, c]
                for j in range(columns // 2):
                    line[j] += quarter * (source[2 * j] + source[2 * j + 1])
                if columns % 2:
                    line[columns // 2] += quarter * source[columns - 1]


@numba.njit(cache=True, nogil=True)
def upsample(coarse: Any, i: int, first: int, top: int, left: int, lines: Any, guess: Any) -> None:
    """Write one row of a coarser solution at twice its density, with bilinear interpolation.

    Args:
        coarse: the coarser solution, whose array starts at (top, left) of its level.
        i: row of the finer level.
        first: first column of `guess` in the finer level, at most two outside `coarse`.
        top: see `coarse`.
        left: see `coarse`.
        lines: scratch memory from `upsampling_memory`.
        guess: the result, shape (channels, columns).
    """
    rows, channels, columns = coarse.shape
    near_share, far_share = np.float32(0.75), np.float32(0.25)
    near = min(max((i >> 1) - top, 0), rows - 1)
    far = min(max((i >> 1) - top + (1 if i & 1 else -1), 0), rows - 1)
    # Indices in `guess` of the first even and the first odd column of the finer level.
    even, odd = first & 1, 1 - (first & 1)
    even_at = ((first + even) >> 1) - left + _MARGIN
    odd_at = ((first + odd) >> 1) - left + _MARGIN
    for c in range(channels):
        near_line, far_line, line, into = coarse[near, c], coarse[far, c], lines[c], guess[c]
        for k in range(columns):
            line[k + _MARGIN] = near_share * near_line[k] + far_share * far_line[k]
        line[:_MARGIN] = line[_MARGIN]
        line[columns + _MARGIN :] = line[columns + _MARGIN - 1]
        for k in range((into.size - even + 1) // 2):
            into[even + 2 * k] = near_share * line[even_at + k] + far_share * line[even_at + k - 1]
        for k in range((into.size - odd + 1) // 2):
            into[odd + 2 * k] = near_share * line[odd_at + k] + far_share * line[odd_at + k + 1]


@numba.njit(cache=True, nogil=True)
def upsampling_memory(coarse: Any) -> Any:
    """Return scratch memory for `upsample`."""
    return np.empty((coarse.shape[1], coarse.shape[2] + 2 * _MARGIN), np.float32)


@numba.njit(cache=True, nogil=True)
def refine(
    sums: Any, coarse: Any, top: int, left: int, coarse_top: int, coarse_left: int, solution: Any
) -> None:
    """Write the solution of a level, whose arrays start at (top, left) of that level."""
    lines = upsampling_memory(coarse)
    guess = np.empty(solution.shape[1:], np.float32)
    shares = np.empty((3, solution.shape[2]), np.float32)
    for i in range(solution.shape[0]):
        upsample(coarse, top + i, left, coarse_top, coarse_left, lines, guess)
        _invert(sums[i], shares, solution[i])
        for n in range(2, solution.shape[1], 2):
            _solve(sums[i], n + 1, guess, n, shares, solution[i])


# REGULARISATION and _LEAST_WEIGHT keep divisors positive; checking them would prevent the compiler
# from vectorising these loops.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _invert(sums: Any, shares: Any, solution: Any) -> None:
    """Write the inverse of the two equations of each cell, and the weights of its solution."""
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    inside, of_alpha, of_square = sums[0], sums[1], sums[2]
    weight_f, weight_b = solution[0], solution[1]
    of_f, of_b, crosswise = shares[0], shares[1], shares[2]
    for j in range(inside.size):
        front = of_square[j]
        both = of_alpha[j] - front
        back = max(inside[j] - two * of_alpha[j] + front, zero)
        p, q = front + REGULARISATION, back + REGULARISATION
        scale = one / (p * q - both * both)
        of_f[j], of_b[j], crosswise[j] = q * scale, p * scale, both * scale
        weight_f[j] = front / (front + _HALF_WEIGHT) + _LEAST_WEIGHT
        weight_b[j] = back / (back + _HALF_WEIGHT) + _LEAST_WEIGHT


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve(sums: Any, at: int, guess: Any, n: int, shares: Any, solution: Any) -> None:
    """Write F and B of one plane, with sums from channel `at` and the solution from channel `n`."""
    of_all, of_front = sums[at], sums[at + 1]
    guess_f, guess_b, guess_weight_f, guess_weight_b = guess[n], guess[n + 1], guess[0], guess[1]
    of_f, of_b, crosswise = shares[0], shares[1], shares[2]
    f, b, weight_f, weight_b = solution[n], solution[n + 1], solution[0], solution[1]
    for j in range(f.size):
        front = of_front[j] + REGULARISATION * guess_f[j] / guess_weight_f[j]
        back = of_all[j] - of_front[j] + REGULARISATION * guess_b[j] / guess_weight_b[j]
        f[j] = (of_f[j] * front - crosswise[j] * back) * weight_f[j]
        b[j] = (of_b[j] * back - crosswise[j] * front) * weight_b[j]
