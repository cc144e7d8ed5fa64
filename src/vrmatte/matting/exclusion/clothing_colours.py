"""Clothing colours: histograms of the colours of each person while nobody overlaps them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.view_memory import State

Bins = npt.NDArray[np.int32]

_BINS = 8
"""Bins of Y, of U and of V."""
_CHROMA_STEP = 10
"""Width of a bin of U and V; nearly all colours are close to grey, so the bins cover that range."""
_LEARNING, _LEAST_PIXELS = 0.1, 20
_RARE = 0.002
"""Lowest probability of a colour on a known person."""
_STRANGE = 0.015
"""Probability of any colour on a person whose colours are unknown."""


def colour_bins(y: FloatArray, u: FloatArray, v: FloatArray) -> Bins:
    """Return the colour bin of each pixel, from 8-bit code values."""
    luma = np.clip(y * (_BINS / 256), 0, _BINS - 1).astype(np.int32)
    blue, red = (
        np.clip((plane - 128) / _CHROMA_STEP + _BINS / 2, 0, _BINS - 1).astype(np.int32)
        for plane in (u, v)
    )
    return (luma * _BINS + blue) * _BINS + red


class ClothingColours:
    """Colour histograms of people, by number."""

    def __init__(self) -> None:
        self._shares: dict[int, FloatArray] = {}

    def learn(self, number: int, sure: Bins) -> None:
        """Add the colours of pixels that certainly belong to a person; too few are ignored."""
        if sure.size < _LEAST_PIXELS:
            return
        seen = (np.bincount(sure, minlength=_BINS**3) / sure.size).astype(np.float32)
        old = self._shares.get(number, seen)
        self._shares[number] = (old + (seen - old) * _LEARNING).astype(np.float32)

    def evidence(self, numbers: Sequence[int], colours: Bins) -> FloatArray:
        """Return the log likelihood of each pixel's colour by person, shape (people, H, W)."""
        result = np.full((len(numbers), *colours.shape), math.log(_STRANGE), np.float32)
        for at, number in enumerate(numbers):
            if number in self._shares:
                result[at] = _log_likelihood(self._shares[number])[colours]
        return result

    def forget_absent(self, there: Iterable[int]) -> None:
        """Drop people who have left."""
        for number in self._shares.keys() - set(there):
            del self._shares[number]

    def state(self) -> dict[str, FloatArray]:
        """Return all histograms, by number."""
        return {str(number): share for number, share in self._shares.items()}

    def restore(self, state: State) -> None:
        """Replace all histograms by a saved state."""
        self._shares = {int(number): share for number, share in state.items()}


def _log_likelihood(frequencies: FloatArray) -> FloatArray:
    """Return the log likelihood of each colour; neighbouring colours share their counts."""
    cube = frequencies.reshape(_BINS, _BINS, _BINS)
    for axis in range(3):
        padded = np.pad(cube, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (
            np.take(padded, range(start, start + _BINS), axis=axis) for start in (0, 2)
        )
        cube = cube / 2 + (before + after) / 4
    return np.log(cube.reshape(-1) + np.float32(_RARE)).astype(np.float32)
