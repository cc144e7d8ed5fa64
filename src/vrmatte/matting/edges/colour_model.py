"""Colours as they are around each place: a normal distribution of R, G and B for every few pixels.

What somebody wears and what is behind them changes from place to place, but near any one place
there are few colours, and they lie along lines: one cloth in light and in shade. So distributions
have all their covariances. With R, G and B taken to be independent, hair and the ground behind it
were told apart far less surely (docs/quality.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray

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


Places = npt.NDArray[np.intp]

_NOISE = 2e-4
"""Variance, so that flat areas aren't taken to be flatter than pictures are."""
_STEPS_PER_RADIUS = 4
"""Places lie so close that this many steps between them make a radius."""


@dataclass(frozen=True, slots=True)
class LocalColours:
    """Normal distributions of colours around places on a coarse grid."""

    means: FloatArray
    """Shape (3, rows, columns)."""
    factors: FloatArray
    """Of the covariances, shape (6, rows, columns)."""
    taught: FloatArray
    """Mean weight around each place, shape (rows, columns)."""
    step_px: int
    """Pixels between places."""

    def log_likelihood(
        self, colours: FloatArray, rows: Places, columns: Places
    ) -> tuple[FloatArray, FloatArray]:
        """Of colours at these pixels, up to a constant; and how much was learned around them.

        Args:
            colours: shape (3, n), RGB 0..1.
            rows: of the pixels, shape (n,).
            columns: the same.
        """
        at = rows // self.step_px, columns // self.step_px
        factors = self.factors[:, *at]
        off = np.square(whitened(factors, colours - self.means[:, *at])).sum(axis=0)
        volume = factors[0] * factors[2] * factors[5]
        return np.float32(-0.5) * off - np.log(volume), self.taught[at]


def learned(picture: FloatArray, weight: FloatArray, radius_px: float) -> LocalColours:
    """The colours of what has weight, around each place.

    Args:
        picture: shape (3, h, w), RGB 0..1.
        weight: how much each pixel teaches, 0..1, shape (h, w).
        radius_px: within what they are learned, twice averaged.
    """
    step = grid_step(radius_px)
    samples, weight = picture[:, ::step, ::step], np.ascontiguousarray(weight[::step, ::step])
    taught = around(weight, radius_px / step)
    share = np.float32(1) / (taught + np.float32(1e-4))
    weighted = weight * samples
    means = np.stack([around(channel, radius_px / step) for channel in weighted])
    means = np.asarray(means * share, np.float32)
    spread = [
        around(weighted[i] * samples[j], radius_px / step) * share - means[i] * means[j]
        for i, j in PAIRS
    ]
    return LocalColours(means, factored(spread, _NOISE), taught, step)


def grid_step(radius_px: float) -> int:
    """Every how many pixels is enough to look at for what is averaged within a radius."""
    return max(1, math.floor(radius_px / _STEPS_PER_RADIUS))


def around(values: FloatArray, radius: float) -> FloatArray:
    """The mean around each place, twice taken, so that near ones count more."""
    side = 2 * max(1, math.floor(radius + 0.5)) + 1
    for _ in range(2):
        values = np.asarray(
            cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32
        )
    return values
