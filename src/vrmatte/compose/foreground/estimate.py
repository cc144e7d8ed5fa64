"""Estimation of foreground colours in pixels that mix a person with the background.

Mixing is linear, so colours are solved on the YUV planes, chroma at its own density with the alpha
that each chroma sample was mixed with. Opaque pixels keep every bit. Each eye is solved by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numba
import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import rgb_to_yuv
from vrmatte.compose.foreground.pyramid import Cells
from vrmatte.compose.foreground.solve import COARSE, TILE, TileMap, mixed_tiles, solve_colours
from vrmatte.frames import ColorTags, Matte, PixelLayout, PlanarFrame, Plane

_FULL = 16 * 255


@dataclass(frozen=True, slots=True)
class Despill:
    """Removal of one hue from edges; luma is kept.

    It is meant for people in front of a coloured wall or screen that lights their hair and
    shoulders. That light is part of their own colour, so the estimate, which removes the background
    seen *through* a pixel, rightly keeps it. Despill also removes the hue from hair or clothes that
    really have it, so it is off by default.
    """

    amount: float
    """Share of the hue to remove, 0..1."""
    hue_rgb: tuple[int, int, int]
    """A colour of the hue, 0..255 per channel; greys have no hue, so nothing is removed."""


class ForegroundEstimator:
    """Replaces the colours of soft edges with those of the foreground."""

    def __init__(
        self,
        layout: PixelLayout,
        color: ColorTags,
        despill: Despill | None = None,
        *,
        continued: bool = False,
    ) -> None:
        """Prepare for frames of one source.

        Args:
            layout: layout of all frames; 4:2:0.
            color: tags of all frames.
            despill: a hue to remove from edges, besides the background.
            continued: continue colours for about 8 to 24 pixels where alpha is 0, and set the rest
                to black, for files with straight alpha; False: keep the frame where alpha is 0.

        Raises:
            ValueError: the layout is not 4:2:0.
        """
        if (layout.chroma_shift_x, layout.chroma_shift_y) != (1, 1):
            raise ValueError(f"foreground colours need 4:2:0 frames, not {layout.name}")
        self.layout, self._continued = layout, continued
        depth, full = layout.bit_depth, color.full_range
        self._black = rgb_to_yuv((0, 0, 0), color.matrix, depth, full)
        self._weights = _site_weights(color.chroma_location)
        self._hue, self._amount = (0.0, 0.0), 0.0
        if despill is not None and despill.amount > 0:
            _, u, v = rgb_to_yuv(despill.hue_rgb, color.matrix, depth, full)
            self._hue = _direction(u - self._black[1], v - self._black[2])
            self._amount = despill.amount

    def __call__(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """Return a copy of the frame with foreground colours.

        Args:
            frame: side by side, in the expected layout.
            matte: a matte of the frame's size.

        Raises:
            ValueError: the size of the matte or the layout of the frame is wrong.
        """
        if matte.shape != frame.y.shape or frame.layout != self.layout:
            raise ValueError(
                f"expected {self.layout.name} and a matte of {frame.y.shape}; "
                f"got {frame.layout.name} and {matte.shape}"
            )
        y, u, v = (cast(Plane, np.ascontiguousarray(p)) for p in (frame.y, frame.u, frame.v))
        matte = np.ascontiguousarray(matte)
        result = replace(frame, y=y.copy(), u=u.copy(), v=v.copy())
        middle = frame.width // 2
        chroma_alpha = np.empty(u.shape, np.uint8)
        eyes = (slice(0, middle), slice(middle, frame.width)) if middle % 2 == 0 else ()
        for columns in eyes or (slice(0, frame.width),):
            halved = slice(columns.start // 2, -(-columns.stop // 2))
            tiles = mixed_tiles(matte, columns.start, columns.stop)
            span = columns.start, columns.stop
            _alpha_at_chroma(matte, *span, *self._weights, _plain_tiles(*tiles), chroma_alpha)
            fine, coarse = self._fades(matte[:, columns], *tiles)
            black, peak = self._black, self.layout.peak
            solve_colours(
                (y,), matte, columns, peak, (result.y,), tiles, beyond=fine, empty=black[:1]
            )
            target = (result.u, result.v)
            solve_colours(
                (u, v), chroma_alpha, halved, peak, target, beyond=coarse, empty=black[1:]
            )
        if self._amount:
            neutral, hue = self._black[1], self._hue
            _remove_hue(result.u, result.v, chroma_alpha, *hue, neutral, self._amount)
        return result

    def _fades(
        self, matte: Matte, mixed: TileMap, seen: TileMap
    ) -> tuple[Cells, Cells] | tuple[None, None]:
        """Return the share of the continued colour, for cells of luma and of chroma."""
        if not self._continued:
            return None, None
        rows, columns = (-(-size // COARSE) for size in matte.shape)
        per_tile = TILE // COARSE
        cells = seen.astype(np.uint8).repeat(per_tile, axis=0).repeat(per_tile, axis=1)
        _mark_cells(matte, mixed, cells)
        cells = np.ascontiguousarray(cells[:rows, :columns])
        wide = cv2.dilate(cells, np.ones((3, 3), np.uint8)).astype(np.float32)
        fine = cast(Cells, cv2.blur(wide, (3, 3), borderType=cv2.BORDER_REPLICATE))
        size = (-(-columns // 2), -(-rows // 2))
        return fine, cast(Cells, cv2.resize(fine, size, interpolation=cv2.INTER_AREA))


def _direction(u: float, v: float) -> tuple[float, float]:
    length = math.hypot(u, v)
    return (u / length, v / length) if length >= 1 else (0.0, 0.0)


def _site_weights(location: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the weights of luma pixels around a chroma sample, in quarters.

    Args:
        location: FFmpeg's AVChromaLocation.

    Returns:
        Weights of columns 2 x - 1 .. 2 x + 1, and of rows 2 y - 1 .. 2 y + 2.
    """
    across = (0, 2, 2) if location in (2, 4, 6) else (1, 2, 1)
    if location in (3, 4):
        return across, (1, 2, 1, 0)
    return across, (0, 1, 2, 1) if location in (5, 6) else (0, 2, 2, 0)


_NOT_PLAIN = 2
"""Value of a tile with mixed alpha; 0: no alpha, 1: full alpha."""


def _plain_tiles(mixed: TileMap, seen: TileMap) -> npt.NDArray[np.uint8]:
    """Return 0 or 1 for tiles that have, like all tiles around them, no alpha or full alpha."""
    held = np.where(mixed, _NOT_PLAIN, seen).astype(np.uint8)
    around = np.ones((3, 3), np.uint8)
    least, most = cv2.erode(held, around), cv2.dilate(held, around)
    return np.where(least == most, held, _NOT_PLAIN).astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _mark_cells(matte: Any, mixed: Any, cells: Any) -> None:
    """Mark the cells of mixed tiles that have any alpha."""
    per_tile = TILE // COARSE
    height, width = matte.shape
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            if not mixed[row // per_tile, column // per_tile]:
                continue
            most = np.uint8(0)
            first, last = column * COARSE, min((column + 1) * COARSE, width)
            for i in range(row * COARSE, min((row + 1) * COARSE, height)):
                for j in range(first, last):
                    most = max(most, matte[i, j])
            cells[row, column] = most > 0


@numba.njit(cache=True, nogil=True)
def _alpha_at_chroma(
    matte: Any, left: int, right: int, across: Any, down: Any, plain: Any, alpha: Any
) -> None:
    """Write the alpha that chroma samples of columns left..right-1 were mixed with.

    It is 0 or 255 only if all luma pixels with a weight are.
    """
    half = TILE // 2
    for row in range(plain.shape[0]):
        stop = min((row + 1) * half, alpha.shape[0])
        for column in range(plain.shape[1]):
            first, last = left + column * TILE, min(left + (column + 1) * TILE, right)
            into = alpha[row * half : stop, first // 2 : (last + 1) // 2]
            if plain[row, column] != _NOT_PLAIN:
                into[:] = 255 * plain[row, column]
            else:
                _weigh_tile(matte, left, right, first, last, row * half, across, down, into)


@numba.njit(cache=True, nogil=True)
def _weigh_tile(
    matte: Any, left: int, right: int, first: int, last: int, top: int, across: Any, down: Any,
    into: Any,
) -> None:  # fmt: skip
    """Write one tile of chroma samples; beyond the eye, its outermost pixels are repeated."""
    last_row, columns = matte.shape[0] - 1, last - first
    lines = np.empty(columns + 2, np.int16)
    for i in range(into.shape[0]):
        lines[:] = 0
        for k in range(4):
            if down[k]:
                weight = np.int16(down[k])
                line = matte[min(max(2 * (top + i) + k - 1, 0), last_row)]
                lines[0] += weight * np.int16(line[max(first - 1, left)])
                lines[columns + 1] += weight * np.int16(line[min(last, right - 1)])
                alpha, inner = line[first:last], lines[1 : 1 + columns]
                for j in range(columns):
                    inner[j] += weight * np.int16(alpha[j])
        _weigh(lines, across, into[i])


@numba.njit(cache=True, nogil=True)
def _weigh(lines: Any, across: Any, into: Any) -> None:
    for j in range(into.size):
        last = lines[min(2 * j + 2, lines.size - 1)]
        total = across[0] * lines[2 * j] + across[1] * lines[2 * j + 1] + across[2] * last
        if total == 0 or total == _FULL:
            into[j] = total >> 4
        else:
            into[j] = min(max((total + 8) >> 4, 1), 254)


@numba.njit(cache=True, nogil=True)
def _remove_hue(
    u: Any, v: Any, alpha: Any, hue_u: float, hue_v: float, neutral: int, amount: float
) -> None:
    """Reduce the component of chroma along a hue, fading out towards full alpha."""
    for i in range(alpha.shape[0]):
        for j in range(alpha.shape[1]):
            if alpha[i, j] == 255:
                continue
            along = (u[i, j] - neutral) * hue_u + (v[i, j] - neutral) * hue_v
            if along > 0:
                along *= amount * min(2 * (255 - alpha[i, j]) / 255, 1.0)
                u[i, j] = np.int32(u[i, j] - along * hue_u + 0.5)
                v[i, j] = np.int32(v[i, j] - along * hue_v + 0.5)
