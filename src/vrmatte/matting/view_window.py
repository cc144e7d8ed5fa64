"""One viewport on an eye, worked out: how its picture is read, and where its matte goes back.

The picture goes one way only, at network size; what comes back are coefficients, laid over the
eye's own pixels, so the eye itself is never resampled (docs/quality.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import ColorTags, PixelLayout, PlanarFrame
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.remap import (
    LUMA_SITES,
    SamplingGrid,
    chroma_sites,
    make_sampling_grid,
    resample,
)
from vrmatte.geometry.viewport import Viewport, ViewportPicture
from vrmatte.matting.base import FloatArray

_OUTLINE_STEP_PX = 8
FEATHER_SHARE = 0.04
"""Part of a viewport's shorter side over which its matte fades in from the border."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an eye, in pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class WholeSphere(HalfEquirect):
    """A half-equirectangular eye whose edge pixels go on forever: nothing is ever uncovered."""

    def covers(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Everywhere."""
        return np.isfinite(x) & np.isfinite(y)


class ViewWindow:
    """A viewport of a fixed size in pixels on eyes of a fixed size."""

    def __init__(self, viewport: Viewport, size: tuple[int, int], eye_px: int) -> None:
        """Take the viewport, its picture's width and height, and the eye's size."""
        self.viewport = viewport
        self.picture = ViewportPicture(viewport, *size)
        self.eye_px = eye_px
        self.region = _footprint(self.picture, eye_px)
        self._back_x, self._back_y, self.border_px = self._way_back()

    def read(self, eye: PlanarFrame, reduced_by: int) -> PlanarFrame:
        """The viewport's picture of an eye, 4:4:4.

        Args:
            eye: the eye's planes, shrunk by `reduced_by` in both directions.
            reduced_by: how much.
        """
        luma, chroma = self._grids(eye.layout, eye.color, self.eye_px // reduced_by)
        peak = eye.layout.peak
        return PlanarFrame(
            resample(eye.y, luma, peak=peak),
            resample(eye.u, chroma, peak=peak),
            resample(eye.v, chroma, peak=peak),
            PixelLayout(f"444 of {eye.layout.name}", eye.layout.bit_depth, 0, 0),
            eye.color,
            eye.pts,
        )

    def lay_back(self, slope: FloatArray, offset: FloatArray) -> FloatArray:
        """Coefficients (h, w) over the eye's region: shape (rows, columns, 2)."""
        both = np.dstack([slope, offset])
        height, width = self.picture.height, self.picture.width
        if both.shape[:2] != (height, width):
            both = cv2.resize(both, (width, height), interpolation=cv2.INTER_LINEAR)
        laid = cv2.remap(
            both,
            self._back_x,
            self._back_y,
            interpolation=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(laid, np.float32)

    def _grids(
        self, layout: PixelLayout, color: ColorTags, eye_px: int
    ) -> tuple[SamplingGrid, SamplingGrid]:
        return _grids(self.picture, layout, color, eye_px)

    def _way_back(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """For each pixel of the region: where it lies in the picture, how far from its border."""
        region = self.region
        x, y = np.meshgrid(
            np.arange(region.left, region.right, dtype=np.float64) + 0.5,
            np.arange(region.top, region.bottom, dtype=np.float64) + 0.5,
        )
        u, v = self.picture.pixels(*HalfEquirect(self.eye_px).directions(x, y))
        border = np.minimum(
            np.minimum(u, self.picture.width - u), np.minimum(v, self.picture.height - v)
        )
        outside = ~np.isfinite(border)
        u[outside] = v[outside] = border[outside] = -1
        # OpenCV counts from the centre of the first pixel.
        return (
            (u - 0.5).astype(np.float32),
            (v - 0.5).astype(np.float32),
            np.maximum(border, 0).astype(np.float32),
        )


@lru_cache(maxsize=8)
def _grids(
    picture: ViewportPicture, layout: PixelLayout, color: ColorTags, eye_px: int
) -> tuple[SamplingGrid, SamplingGrid]:
    source = WholeSphere(eye_px)
    return (
        make_sampling_grid(picture, source),
        make_sampling_grid(picture, source, LUMA_SITES, chroma_sites(layout, color)),
    )


def _footprint(picture: ViewportPicture, eye_px: int) -> Region:
    """The smallest rectangle of the eye that holds all the viewport sees of it."""
    sites = np.append(np.arange(0, eye_px, _OUTLINE_STEP_PX), eye_px).astype(np.float64)
    x, y = np.meshgrid(sites, sites)
    eye = HalfEquirect(eye_px)
    seen = picture.covers(*picture.pixels(*eye.directions(x, y)))
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if rows.size == 0:
        return Region(0, 0, 0, 0)
    step = _OUTLINE_STEP_PX
    return Region(
        max(0, int(sites[rows[0]]) - step),
        max(0, int(sites[columns[0]]) - step),
        min(eye_px, int(sites[rows[-1]]) + step),
        min(eye_px, int(sites[columns[-1]]) + step),
    )


def blend_weights(windows: list[ViewWindow], eye_px: int) -> list[FloatArray]:
    """How much each window's matte counts in its region, so that no seam shows.

    Where windows overlap, the one whose middle is nearer counts more, smoothly, and the shares sum
    to 1; towards the outer border of all of them the sum falls to 0 over the feather.
    """
    total = np.zeros((eye_px, eye_px), np.float32)
    inside = np.zeros((eye_px, eye_px), np.float32)
    shares: list[FloatArray] = []
    for window in windows:
        short_px = min(window.picture.width, window.picture.height)
        share = np.square(window.border_px / np.float32(short_px))
        fade = np.minimum(window.border_px / np.float32(FEATHER_SHARE * short_px), 1)
        total[window.region.slices] += share
        np.maximum(inside[window.region.slices], fade, out=inside[window.region.slices])
        shares.append(share)
    return [
        np.asarray(
            share * inside[window.region.slices] / np.maximum(total[window.region.slices], 1e-12),
            np.float32,
        )
        for window, share in zip(windows, shares, strict=True)
    ]
