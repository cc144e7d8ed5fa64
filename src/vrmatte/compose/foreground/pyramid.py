"""Levels of a pyramid that explains mixed samples: I = alpha * F + (1 - alpha) * B.

Arrays of sums have shape (rows, 3 + 2 N, columns) for N planes: share of the cell inside the
picture, alpha, alpha^2, then I and alpha * I of each plane, all as means over the cell. Answers
have shape (rows, 2 + 2 N, columns): trust in F and in B, then each plane's F and B times it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.float32]

REGULARISATION = np.float32(0.08)
"""Pull towards the coarser answer, in units of mean alpha^2. Less follows an exact matte more
closely, more forgives a matte that is a little too soft."""
_HALF_TRUST = np.float32(0.1)
"""Mean alpha^2 at which a cell's F counts half when answers are stretched."""
_LEAST_TRUST = np.float32(0.02)
_MARGIN = 3
"""Cells that a stretched row is continued by on either side."""


def whole_picture_answers(sums: Cells) -> Cells:
    """From sums that cover a picture to their answers, by way of all coarser levels."""
    levels = [sums]
    while max(levels[-1].shape[0], levels[-1].shape[2]) > 2:
        finer = levels[-1]
        shape = (-(-finer.shape[0] // 2), finer.shape[1], -(-finer.shape[2] // 2))
        levels.append(np.empty(shape, np.float32))
        downsample(finer, levels[-1])
    answer = _first_guess(levels[-1])
    for level in reversed(levels):
        coarser, shape = answer, (level.shape[0], answer.shape[1], level.shape[2])
        answer = np.empty(shape, np.float32)
        refine(level, coarser, 0, 0, 0, 0, answer)
    return answer


def _first_guess(top: Cells) -> Cells:
    """One cell: F and B as means of all samples, weighted by alpha and 1 - alpha."""
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
    """Means of 2 x 2 cells; cells outside the array are empty."""
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
    """One row of a coarser answer at twice its density, bilinear.

    Args:
        coarse: the coarser answer, whose array begins at (top, left) of its level.
        i: row of the finer level.
        first: column of the finer level that `guess` begins at, at most two beyond `coarse`.
        top: see `coarse`.
        left: see `coarse`.
        lines: memory for the way between, from `stretch_lines`.
        guess: shape (channels, columns), written.
    """
    rows, channels, columns = coarse.shape
    near_share, far_share = np.float32(0.75), np.float32(0.25)
    near = min(max((i >> 1) - top, 0), rows - 1)
    far = min(max((i >> 1) - top + (1 if i & 1 else -1), 0), rows - 1)
    # The first even and the first odd column of the finer level, as places in `guess`.
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
def stretch_lines(coarse: Any) -> Any:
    """Memory for `upsample`."""
    return np.empty((coarse.shape[1], coarse.shape[2] + 2 * _MARGIN), np.float32)


@numba.njit(cache=True, nogil=True)
def refine(
    sums: Any, coarse: Any, top: int, left: int, coarse_top: int, coarse_left: int, answer: Any
) -> None:
    """The answers of a level whose arrays begin at (top, left) of that level."""
    lines = stretch_lines(coarse)
    guess = np.empty(answer.shape[1:], np.float32)
    shares = np.empty((3, answer.shape[2]), np.float32)
    for i in range(answer.shape[0]):
        upsample(coarse, top + i, left, coarse_top, coarse_left, lines, guess)
        _weigh(sums[i], shares, answer[i])
        for n in range(2, answer.shape[1], 2):
            _solve(sums[i], n + 1, guess, n, shares, answer[i])


# Divisors are positive by HOLD and _LEAST_TRUST; checking them would keep these loops from running
# on several cells at a time.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _weigh(sums: Any, shares: Any, answer: Any) -> None:
    """The inverse of each cell's two equations, and how far its answers are to be trusted."""
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    inside, of_alpha, of_square = sums[0], sums[1], sums[2]
    trust_f, trust_b = answer[0], answer[1]
    of_f, of_b, crosswise = shares[0], shares[1], shares[2]
    for j in range(inside.size):
        front = of_square[j]
        both = of_alpha[j] - front
        back = max(inside[j] - two * of_alpha[j] + front, zero)
        p, q = front + REGULARISATION, back + REGULARISATION
        scale = one / (p * q - both * both)
        of_f[j], of_b[j], crosswise[j] = q * scale, p * scale, both * scale
        trust_f[j] = front / (front + _HALF_TRUST) + _LEAST_TRUST
        trust_b[j] = back / (back + _HALF_TRUST) + _LEAST_TRUST


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve(sums: Any, at: int, guess: Any, n: int, shares: Any, answer: Any) -> None:
    """F and B of one plane, whose sums begin at channel `at` and whose answers at channel `n`."""
    of_all, of_front = sums[at], sums[at + 1]
    guess_f, guess_b, guess_trust_f, guess_trust_b = guess[n], guess[n + 1], guess[0], guess[1]
    of_f, of_b, crosswise = shares[0], shares[1], shares[2]
    f, b, trust_f, trust_b = answer[n], answer[n + 1], answer[0], answer[1]
    for j in range(f.size):
        front = of_front[j] + REGULARISATION * guess_f[j] / guess_trust_f[j]
        back = of_all[j] - of_front[j] + REGULARISATION * guess_b[j] / guess_trust_b[j]
        f[j] = (of_f[j] * front - crosswise[j] * back) * trust_f[j]
        b[j] = (of_b[j] * back - crosswise[j] * front) * trust_b[j]
