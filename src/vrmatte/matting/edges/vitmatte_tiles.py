"""A network for the edges of masks, run on tiles that hold an edge and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from vrmatte.frames import FloatArray
from vrmatte.matting.base import Coefficients
from vrmatte.matting.edges.refiners import stacked
from vrmatte.matting.edges.trimap import Trimap
from vrmatte.matting.guided import fit_coefficients
from vrmatte.view_memory import WithoutMemory

TILE_PX, OVERLAP_PX = 256, 64
_FIT_RADIUS_PX, _FIT_EPSILON = 1, 1e-5


class EdgeNetwork(Protocol):
    """Makes alpha of a picture and a trimap."""

    name: str
    provider: str

    def __call__(self, pictures: FloatArray, trimaps: FloatArray) -> FloatArray:
        """Alpha (n, h, w) of pictures (n, 3, h, w) by trimaps (n, h, w) of 0, 0.5 and 1."""
        ...


class EdgeTiles(WithoutMemory):
    """A refiner by an edge network."""

    def __init__(
        self, network: EdgeNetwork, tile_px: int = TILE_PX, overlap_px: int = OVERLAP_PX
    ) -> None:
        """Take a network, and the size of its tiles."""
        self.name, self.provider = network.name, network.provider
        self._network = network
        self._tile, self._overlap = tile_px, overlap_px

    def refine(
        self,
        view: str,
        pictures: FloatArray,
        trimaps: list[Trimap] | None,
        masks: FloatArray | None,
    ) -> Coefficients:
        """See `Refiner.refine`; where nothing is known the matte is empty."""
        del view, masks
        if trimaps is None:
            empty = np.zeros_like(pictures[:, 0])
            return Coefficients(empty, empty.copy())
        return stacked(
            [
                fit_coefficients(
                    picture.mean(axis=0),
                    self.alpha(picture, trimap),
                    _FIT_RADIUS_PX,
                    _FIT_EPSILON,
                )
                for picture, trimap in zip(pictures, trimaps, strict=True)
            ]
        )

    def alpha(self, picture: FloatArray, trimap: Trimap) -> FloatArray:
        """Alpha of a picture (3, h, w): the trimap's own word, and the network's in the band."""
        told = np.where(trimap.inside, 1, np.where(trimap.outside, 0, 0.5)).astype(np.float32)
        band = trimap.band
        total, weight = np.zeros_like(told), np.full_like(told, 1e-6)
        for here in self._tiles(told.shape):
            if not band[here].any():
                continue
            found = self._network(picture[:, *here][None], told[here][None])[0]
            share = _fade(found.shape, self._overlap)
            total[here] += share * found
            weight[here] += share
        return np.where(band, np.clip(total / weight, 0, 1), told).astype(np.float32)

    def _tiles(self, shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
        rows, columns = (_tile_starts(side, self._tile, self._overlap) for side in shape)
        for top in rows:
            for left in columns:
                yield slice(top, top + self._tile), slice(left, left + self._tile)


def _fade(shape: tuple[int, ...], overlap_px: int) -> FloatArray:
    """How much a tile counts: less towards its borders, where it knows less."""
    rows, columns = (
        np.minimum(np.minimum(np.arange(side), np.arange(side)[::-1]) + 1, overlap_px) / overlap_px
        for side in shape
    )
    return np.outer(rows, columns).astype(np.float32)


def _tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin that cover a length, each overlapping the next by so much at least."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(at * (length - tile) / (count - 1)) for at in range(count)]
