"""What people wear: which colours were seen on whom, learned while nobody else was in the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.view_memory import State

Bins = npt.NDArray[np.int32]

_BINS = 8
"""Steps of Y, of U and of V."""
_CHROMA_STEP = 10
"""Nearly all colours lie close about grey, so bins of U and V are finer there."""
_LEARNING, _LEAST_PIXELS = 0.1, 20
_RARE = 0.002
"""How often any colour may turn up on anybody."""
_STRANGE = 0.015
"""How likely any colour is on somebody never seen alone."""


def colour_bins(y: FloatArray, u: FloatArray, v: FloatArray) -> Bins:
    """Colour bin of each pixel, from 8-bit code values."""
    luma = np.clip(y * (_BINS / 256), 0, _BINS - 1).astype(np.int32)
    blue, red = (
        np.clip((plane - 128) / _CHROMA_STEP + _BINS / 2, 0, _BINS - 1).astype(np.int32)
        for plane in (u, v)
    )
    return (luma * _BINS + blue) * _BINS + red


class ClothingColours:
    """How often each colour is seen on a person; people are known by number."""

    def __init__(self) -> None:
        self._shares: dict[int, FloatArray] = {}

    def learn(self, number: int, sure: Bins) -> None:
        """Heed the colours of pixels that are surely a person's; a handful says nothing."""
        if sure.size < _LEAST_PIXELS:
            return
        seen = (np.bincount(sure, minlength=_BINS**3) / sure.size).astype(np.float32)
        old = self._shares.get(number, seen)
        self._shares[number] = (old + (seen - old) * _LEARNING).astype(np.float32)

    def evidence(self, numbers: Sequence[int], colours: Bins) -> FloatArray:
        """Log-likelihood of each pixel's colour for each person, shape (people, H, W)."""
        result = np.full((len(numbers), *colours.shape), math.log(_STRANGE), np.float32)
        for at, number in enumerate(numbers):
            if number in self._shares:
                result[at] = _log_likelihood(self._shares[number])[colours]
        return result

    def forget_absent(self, there: Iterable[int]) -> None:
        """Drop what is known of people who have gone."""
        for number in self._shares.keys() - set(there):
            del self._shares[number]

    def state(self) -> dict[str, FloatArray]:
        """All that is known, by number."""
        return {str(number): share for number, share in self._shares.items()}

    def restore(self, state: State) -> None:
        """Know what a saved state says, and nothing else."""
        self._shares = {int(number): share for number, share in state.items()}


def _log_likelihood(frequencies: FloatArray) -> FloatArray:
    """Of each colour, from how often it was seen; colours next to each other help each other."""
    cube = frequencies.reshape(_BINS, _BINS, _BINS)
    for axis in range(3):
        padded = np.pad(cube, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (
            np.take(padded, range(start, start + _BINS), axis=axis) for start in (0, 2)
        )
        cube = cube / 2 + (before + after) / 4
    return np.log(cube.reshape(-1) + np.float32(_RARE)).astype(np.float32)
