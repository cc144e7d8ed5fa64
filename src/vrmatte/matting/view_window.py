"""One viewport on an eye, worked out: how its picture is read, and where its matte goes back.

The picture goes one way only, at network size; what comes back are coefficients, laid over the
eye's own pixels, so the eye itself is never resampled (docs/quality.md).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from vrmatte.frames import ColorTags, DoubleArray, FloatArray, Matte, PixelLayout, PlanarFrame
from vrmatte.geometry.edges import endless
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import EyeProjection
from vrmatte.geometry.remap import (
    LUMA_SITES,
    PlaneSites,
    SamplingGrid,
    chroma_sites,
    make_sampling_grid,
    resample,
)
from vrmatte.geometry.viewport import Viewport, ViewportPicture

_OUTLINE_STEP_PX = 8
_PHASES = 256
FEATHER_SHARE = 0.04
"""Part of a viewport's shorter side over which its matte fades in from the border."""


Taps = npt.NDArray[np.uint32]
Phases = npt.NDArray[np.uint8]


class ViewWindow:
    """A viewport of a fixed size in pixels on eyes of a fixed size."""

    def __init__(self, viewport: Viewport, size: tuple[int, int], eye: EyeProjection) -> None:
        """Take the viewport, its picture's width and height, and what the eye shows.

        Raises:
            ValueError: a picture of a single row or column.
        """
        if min(size) < 2:
            raise ValueError(f"a viewport's picture can't be {size[0]} x {size[1]} pixels")
        self.viewport = viewport
        self.picture = ViewportPicture(viewport, *size)
        self.eye = eye
        self.region = _footprint(self.picture, eye)
        self._back, self.border_px = self._way_back()
        self._grids: dict[
            tuple[PixelLayout, ColorTags, int], tuple[SamplingGrid, SamplingGrid]
        ] = {}

    def read(self, eye: PlanarFrame, reduced_by: int) -> PlanarFrame:
        """The viewport's picture of an eye, 4:4:4.

        Args:
            eye: the eye's planes, shrunk by `reduced_by` in both directions.
            reduced_by: how much.
        """
        luma, chroma = self._way_there(eye.layout, eye.color, reduced_by)
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
        """Coefficients (h, w) over the eye's region: shape (2, rows, columns)."""
        size = self.picture.width, self.picture.height
        slopes, offsets = (
            np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.float32)
            for part in (slope, offset)
        )
        laid = np.empty((2, *self.border_px.shape), np.float32)
        _lay(slopes.reshape(-1), offsets.reshape(-1), size[0], *self._back, laid)
        return laid

    def _way_there(
        self, layout: PixelLayout, color: ColorTags, reduced_by: int
    ) -> tuple[SamplingGrid, SamplingGrid]:
        """For each pixel of the picture: which samples of luma and of chroma make it."""
        key = layout, color, reduced_by
        if key not in self._grids:
            eye = self.eye.resized(self.eye.size // reduced_by)
            chroma = _reduced(chroma_sites(layout, color), reduced_by)
            coarse = endless(eye, max(chroma.step_x, chroma.step_y))
            self._grids[key] = (
                make_sampling_grid(self.picture, endless(eye)),
                make_sampling_grid(self.picture, coarse, LUMA_SITES, chroma),
            )
        return self._grids[key]

    def _way_back(self) -> tuple[tuple[Taps, Phases, Phases], FloatArray]:
        """For each pixel of the region: where it lies in the picture, how far from its border.

        What a fisheye has outside its circle lies on the border.
        """
        region = self.region
        x, y = np.meshgrid(
            np.arange(region.left, region.right, dtype=np.float64) + 0.5,
            np.arange(region.top, region.bottom, dtype=np.float64) + 0.5,
            sparse=True,
        )
        width, height = self.picture.width, self.picture.height
        u, v = self.picture.pixels(*self.eye.directions(x, y))
        border = np.minimum(np.minimum(u, width - u), np.minimum(v, height - v))
        border = np.where(self.eye.covers(x, y), border, 0)
        across, phase_x = _split(u, width)
        down, phase_y = _split(v, height)
        first = (down * width + across).astype(np.uint32)
        return (first, phase_x, phase_y), np.maximum(border, 0).astype(np.float32)


def _split(position: DoubleArray, count: int) -> tuple[Taps, Phases]:
    """The first of the two samples a position lies between, and 256ths from there on."""
    # The last sample is one step away from the one before it, not the first of a pair.
    steps = np.rint(np.clip((position - 0.5) * _PHASES, 0, (count - 1) * _PHASES - 1))
    steps = steps.astype(np.uint32)
    return steps // _PHASES, (steps % _PHASES).astype(np.uint8)


@njit(nogil=True, cache=True)
def _lay(
    slopes: FloatArray,
    offsets: FloatArray,
    stride: int,
    first: Taps,
    phase_x: Phases,
    phase_y: Phases,
    laid: FloatArray,
) -> None:
    # OpenCV's remap takes half as long again, and can't write A and b to planes of their own,
    # which is what turns the loop over them into vector instructions.
    step = np.float32(1 / _PHASES)
    right, below = np.uint64(1), np.uint64(stride)
    for i in range(first.shape[0]):
        for j in range(first.shape[1]):
            above = np.uint64(first[i, j])
            under = above + below
            x, y = step * np.float32(phase_x[i, j]), step * np.float32(phase_y[i, j])
            a = slopes[above] + x * (slopes[above + right] - slopes[above])
            b = slopes[under] + x * (slopes[under + right] - slopes[under])
            laid[0, i, j] = a + y * (b - a)
            a = offsets[above] + x * (offsets[above + right] - offsets[above])
            b = offsets[under] + x * (offsets[under + right] - offsets[under])
            laid[1, i, j] = a + y * (b - a)


def _reduced(sites: PlaneSites, factor: int) -> PlaneSites:
    """Where samples lie once `factor` x `factor` of them are averaged, in averaged luma pixels."""
    return PlaneSites(
        sites.step_x,
        sites.step_y,
        (sites.offset_x + sites.step_x * (factor - 1) / 2) / factor,
        (sites.offset_y + sites.step_y * (factor - 1) / 2) / factor,
    )


def _footprint(picture: ViewportPicture, eye: EyeProjection) -> PixelRect:
    """The smallest rectangle of the eye that holds all the viewport sees of it."""
    eye_px = eye.size
    sites = np.append(np.arange(0, eye_px, _OUTLINE_STEP_PX), eye_px).astype(np.float64)
    x, y = np.meshgrid(sites, sites)
    seen = picture.covers(*picture.pixels(*eye.directions(x, y))) & eye.covers(x, y)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if rows.size == 0:
        return PixelRect(0, 0, 0, 0)
    # A corner may reach past the next row or column between two sites.
    step = 2 * _OUTLINE_STEP_PX
    return PixelRect(
        max(0, int(sites[rows[0]]) - step),
        max(0, int(sites[columns[0]]) - step),
        min(eye_px, int(sites[rows[-1]]) + step),
        min(eye_px, int(sites[columns[-1]]) + step),
    )


def blend_weights(windows: list[ViewWindow], eye_px: int) -> list[Matte]:
    """How much each window's matte counts in its region, so that no seam shows.

    Where windows overlap, the one whose middle is nearer counts more, smoothly, and the shares sum
    to all; towards the outer border of all of them the sum falls to 0 over the feather.

    Returns:
        For each window the weights of its region, in 255ths: whole numbers that sum to 255 exactly
        where views are well inside, so that what is opaque to all of them is opaque.
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
    # Each weight is the step between rounded running sums, so rounding errors never add up.
    running, level = np.zeros_like(total), np.zeros(total.shape, np.uint8)
    weights: list[Matte] = []
    for window, share in zip(windows, shares, strict=True):
        here = window.region.slices
        running[here] += share
        part = running[here] / np.maximum(total[here], np.float32(1e-12))
        reached = np.rint(part * inside[here] * 255).astype(np.uint8)
        weights.append(reached - level[here])
        level[here] = reached
    return weights
