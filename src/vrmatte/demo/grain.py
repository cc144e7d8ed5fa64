"""Repeatable noise for the grain of cloth, wood and plaster."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]
"""Numbers on a grid; float32 where there are many."""

TILE_PX = 512


@lru_cache(maxsize=32)
def tile(seed: int, slope: float) -> Field:
    """Return a noise image that repeats without a seam, mean 0, standard deviation 1.

    Args:
        seed: of the random numbers.
        slope: fall-off of the spectrum; 0 is white, 1 mottled, 2 cloudy.
    """
    white = np.random.default_rng(seed).standard_normal((TILE_PX, TILE_PX))
    row, column = np.fft.fftfreq(TILE_PX)[:, None], np.fft.rfftfreq(TILE_PX)[None]
    radius = np.hypot(row, column) * TILE_PX
    radius[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(white) / radius**slope, s=white.shape)
    return (field / field.std()).astype(np.float32)


def sample(noise: Field, u: Field, v: Field) -> Field:
    """Return the noise at positions (u, v) in tile widths; the tile repeats endlessly."""
    x, y = (np.mod(w, 1).astype(np.float32) * np.float32(TILE_PX) for w in (u, v))
    values = cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(values, np.float32)
