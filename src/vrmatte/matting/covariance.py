"""Covariances of R, G and B, one for each of many places, as triangular factors.

The factor L of a covariance S has L L' = S (Cholesky). Divisions by it stay well behaved in single
precision, where cofactors of nearly flat covariances vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vrmatte.matting.base import FloatArray

Floats = npt.NDArray[np.floating[Any]]

PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Which two channels each of a covariance's six different values is of."""


def factored(spread: Sequence[Floats], noise: float) -> FloatArray:
    """The factors rr, gr, gg, br, bg, bb of covariances with noise added to their diagonals.

    Args:
        spread: the six values of `PAIRS`, of any one shape.
        noise: variance; no factor is less than its root, however rounding errs.

    Returns:
        Shape (6, ...).
    """
    least = np.float32(noise)
    red, red_green, red_blue, green, green_blue, blue = spread
    rr = np.sqrt(np.maximum(red, 0) + least)
    gr, br = red_green / rr, red_blue / rr
    gg = np.sqrt(np.maximum(green - gr * gr, 0) + least)
    bg = (green_blue - br * gr) / gg
    bb = np.sqrt(np.maximum(blue - br * br - bg * bg, 0) + least)
    return np.stack([rr, gr, gg, br, bg, bb]).astype(np.float32, copy=False)


def whitened(factors: FloatArray, colours: Floats) -> FloatArray:
    """L z = c solved for z: how many standard deviations off each colour is, in three directions.

    Args:
        factors: from `factored`, shape (6, ...).
        colours: less their means, shape (3, ...).
    """
    rr, gr, gg, br, bg, bb = factors
    first = colours[0] / rr
    second = (colours[1] - gr * first) / gg
    third = (colours[2] - br * first - bg * second) / bb
    return np.stack([first, second, third]).astype(np.float32, copy=False)


def solved(factors: FloatArray, shared: Floats) -> FloatArray:
    """S x = s solved for x; shapes as in `whitened`."""
    rr, gr, gg, br, bg, bb = factors
    first, second, third = whitened(factors, shared)
    blue = third / bb
    green = (second - bg * blue) / gg
    red = (first - gr * green - br * blue) / rr
    return np.stack([red, green, blue]).astype(np.float32, copy=False)
