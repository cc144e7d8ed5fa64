"""Reprojection of frames and mattes to another projection of the same eye, at the same size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vrmatte.colorimetry import rgb_to_yuv
from vrmatte.frames import EYES, ColorTags, Matte, PixelLayout, PlanarFrame, Plane, half_of
from vrmatte.geometry.edges import held_to_edge
from vrmatte.geometry.projection import EyeProjection
from vrmatte.geometry.remap import (
    LUMA_SITES,
    PlaneSites,
    SamplingGrid,
    chroma_sites,
    resample,
    sampling_grid,
)


class Reprojector:
    """Resamples side-by-side frames and mattes of one source in another projection.

    If both projections are equal, frames and mattes are returned as they are, without a copy.
    """

    def __init__(
        self, source: EyeProjection, target: EyeProjection, layout: PixelLayout, color: ColorTags
    ) -> None:
        """Compute all sampling positions; they take about 10 bytes per pixel of an eye.

        Args:
            source: projection of the eyes of all frames.
            target: projection of the result, at the same size.
            layout: layout of all frames.
            color: tags of all frames.

        Raises:
            ValueError: the projections have different sizes.
        """
        if source.size != target.size:
            raise ValueError(
                f"source and target eyes differ in size: {source.size} and {target.size}"
            )
        self.is_needed = source != target
        self._size_px, self._layout = source.size, layout
        self._black = rgb_to_yuv((0, 0, 0), color.matrix, layout.bit_depth, color.full_range)
        if self.is_needed:
            self._luma_grid = _grid(source, target, LUMA_SITES)
            self._chroma_grid = _grid(source, target, chroma_sites(layout, color))

    def frame(self, frame: PlanarFrame) -> PlanarFrame:
        """Return the frame, black where the source shows nothing.

        Raises:
            ValueError: the size or layout of the frame is wrong.
        """
        self._check(frame.y)
        if frame.layout != self._layout:
            raise ValueError(f"expected {self._layout.name}; got {frame.layout.name}")
        if not self.is_needed:
            return frame
        grids = self._luma_grid, self._chroma_grid, self._chroma_grid
        y, u, v = (
            self._plane(plane, grid, black)
            for plane, grid, black in zip(
                (frame.y, frame.u, frame.v), grids, self._black, strict=True
            )
        )
        return replace(frame, y=y, u=u, v=v)

    def matte(self, matte: Matte) -> Matte:
        """Return the matte, transparent where the source shows nothing.

        Raises:
            ValueError: the size of the matte is wrong.
        """
        self._check(matte)
        if not self.is_needed:
            return matte
        out = np.empty_like(matte)
        for eye in EYES:
            resample(half_of(matte, eye), self._luma_grid, out=half_of(out, eye))
        return out

    def _plane(self, plane: Plane, grid: SamplingGrid, black: int) -> Plane:
        out = np.empty_like(plane)
        for eye in EYES:
            resample(
                half_of(plane, eye),
                grid,
                peak=self._layout.peak,
                border=black,
                out=half_of(out, eye),
            )
        return out

    def _check(self, plane: Plane) -> None:
        expected = self._size_px, 2 * self._size_px
        if plane.shape != expected:
            raise ValueError(f"expected a frame and a matte of {expected}; got {plane.shape}")


def _grid(source: EyeProjection, target: EyeProjection, sites: PlaneSites) -> SamplingGrid:
    held = held_to_edge(source, max(sites.step_x, sites.step_y))
    return sampling_grid(target, held, sites, sites)
