"""Alpha-packed passthrough: fisheye images with their mattes in discs around them.

A disc contains the matte of an eye in the fisheye projection of its image, at 0.4 of the size. The
disc of the left eye is centred on the middle of the frame's upper edge, that of the right eye on
the corner, and both wrap around all edges. So they fall into the areas outside the inscribed
circles, 0.0071 of an eye's size away from them. Everything is sampled per pixel: copying whole
blocks would shift mattes wherever 0.4 of the eye isn't a whole number of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np

from vrmatte.colorimetry import rgb_to_yuv, yuv_to_rgb
from vrmatte.compose.reproject import Reprojector
from vrmatte.frames import (
    EYES,
    ColorTags,
    DoubleArray,
    Eye,
    FloatArray,
    Mask,
    Matte,
    PixelLayout,
    PlanarFrame,
    Plane,
    half_of,
)
from vrmatte.geometry.edges import held_to_edge
from vrmatte.geometry.projection import EyeProjection, Fisheye, HalfEquirect
from vrmatte.geometry.remap import (
    LUMA_SITES,
    Interpolation,
    PlaneSites,
    chroma_sites,
    resample,
    sampling_grid,
)

AlphaChannel = Literal["grey", "red"]

DISC_SCALE = 0.4
"""Size of a matte disc relative to its image."""

_LEAST_ALPHA = 8
"""Alpha below 3 % is dropped: compression would spread it around the discs."""
_BLUR_SIGMA_PX = 0.9
"""Blur before shrinking the matte, in pixels of the eye; it minimises the round-trip error."""


@dataclass(frozen=True, slots=True)
class MatteDisc:
    """Projection of a square tile with one matte disc at its centre."""

    eye_px: int
    """Height and width of an eye, in pixels."""
    fov_deg: float
    """Field of view of the image, and of the disc."""

    @property
    def size(self) -> int:
        """Side of the tile in luma pixels: the disc with a margin, and halves of even length."""
        return 4 * (math.ceil(DISC_SCALE * self.eye_px / 4) + 1)

    @property
    def width(self) -> int:
        """Width of the tile in luma pixels."""
        return self.size

    @property
    def height(self) -> int:
        """Height of the tile in luma pixels."""
        return self.size

    def directions(
        self, x: DoubleArray, y: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return the unit directions at pixel coordinates of the tile."""
        middle, centre = self.size / 2, self.eye_px / 2
        u, v = centre + (x - middle) / DISC_SCALE, centre + (y - middle) / DISC_SCALE
        return Fisheye(self.eye_px, self.fov_deg).directions(u, v)

    def pixels(
        self, dx: DoubleArray, dy: DoubleArray, dz: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return the pixel coordinates of directions in the tile."""
        middle, centre = self.size / 2, self.eye_px / 2
        u, v = Fisheye(self.eye_px, self.fov_deg).pixels(dx, dy, dz)
        return middle + DISC_SCALE * (u - centre), middle + DISC_SCALE * (v - centre)

    def covers(self, x: DoubleArray, y: DoubleArray) -> Mask:
        """Return True at pixel coordinates inside the disc."""
        middle = self.size / 2
        return np.hypot(x - middle, y - middle) <= DISC_SCALE / 2 * self.eye_px


class AlphaPacker:
    """Packs side-by-side frames of one source.

    Fisheye frames with the same field of view as the packed ones are not resampled.
    """

    def __init__(
        self,
        source: EyeProjection,
        fov_deg: float,
        channel: AlphaChannel,
        layout: PixelLayout,
        color: ColorTags,
    ) -> None:
        """Compute all sampling positions; they take about 10 bytes per pixel of an eye.

        Args:
            source: projection of an eye; packed eyes have the same size.
            fov_deg: field of view of the packed fisheye circle.
            channel: grey, or red, which the first tools for the format wrote. Players read the red
                of both; grey keeps edges better, because luma has full resolution.
            layout: layout of all frames.
            color: tags of all frames.

        Raises:
            ValueError: the width of an eye isn't a whole number of chroma samples.
        """
        eye_px = source.size
        _check_eye(eye_px, layout)
        self.eye_px, self.layout = eye_px, layout
        picture, disc = Fisheye(eye_px, fov_deg), MatteDisc(eye_px, fov_deg)
        sites = chroma_sites(layout, color)
        self._reprojector = Reprojector(source, picture, layout, color)
        self._luma_circle = _inside(picture, LUMA_SITES)
        self._chroma_circle = _inside(picture, sites)
        self._alpha_grid = sampling_grid(disc, held_to_edge(source))
        black = rgb_to_yuv((0, 0, 0), color.matrix, layout.bit_depth, color.full_range)
        opaque_rgb = (255, 255, 255) if channel == "grey" else (255, 0, 0)
        opaque = rgb_to_yuv(opaque_rgb, color.matrix, layout.bit_depth, color.full_range)
        self._black = black
        self._codes = [_codes(low, high, layout) for low, high in zip(black, opaque, strict=True)]
        self._has_color = channel == "red"
        self._luma_disc = _inside(disc, LUMA_SITES)
        self._chroma_disc = _inside(disc, sites)
        self._chroma_sites = sites

    def pack(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """Return one packed frame.

        Args:
            frame: side by side, in the projection of the source, shape (eye_px, 2 * eye_px).
            matte: likewise.

        Raises:
            ValueError: the shape or layout is wrong.
        """
        shape = (self.eye_px, 2 * self.eye_px)
        if frame.y.shape != shape or matte.shape != shape or frame.layout != self.layout:
            raise ValueError(
                f"expected {self.layout.name} and a matte of {shape}; "
                f"got {frame.layout.name} of {frame.y.shape} and {matte.shape}"
            )
        y, u, v = self._fisheye_planes(frame)
        for eye in EYES:
            alpha = self._disc_alpha(half_of(matte, eye))
            _write_disc(y, eye, alpha, self._codes[0], self._luma_disc)
            if self._has_color:
                coarse = _at_sites(alpha, self._chroma_sites)
                _write_disc(u, eye, coarse, self._codes[1], self._chroma_disc)
                _write_disc(v, eye, coarse, self._codes[2], self._chroma_disc)
        return PlanarFrame(y, u, v, frame.layout, frame.color, frame.pts)

    def _fisheye_planes(self, frame: PlanarFrame) -> tuple[Plane, Plane, Plane]:
        """Return new planes with both eyes as fisheye images on black."""
        reprojected = self._reprojector.frame(frame)
        if reprojected is not frame:
            return reprojected.y, reprojected.u, reprojected.v
        circles = self._luma_circle, self._chroma_circle, self._chroma_circle
        y, u, v = (
            _on_black(plane, circle, black)
            for plane, circle, black in zip(
                (frame.y, frame.u, frame.v), circles, self._black, strict=True
            )
        )
        return y, u, v

    def _disc_alpha(self, matte: Matte) -> Matte:
        """Return the tile with the disc of one eye, alpha 0..255."""
        size = 2 * math.ceil(2 * _BLUR_SIGMA_PX) + 1
        soft = cv2.GaussianBlur(
            matte, (size, size), _BLUR_SIGMA_PX, borderType=cv2.BORDER_REPLICATE
        )
        alpha = resample(cast(Matte, soft), self._alpha_grid)
        alpha[alpha < _LEAST_ALPHA] = 0
        return alpha


def unpack_alpha(
    frame: PlanarFrame,
    fov_deg: float,
    view: EyeProjection | None = None,
) -> Matte:
    """Return the matte as players see it: the red of the discs, with linear interpolation.

    Args:
        frame: a packed frame, shape (E, 2 E).
        fov_deg: field of view of the fisheye circle, as in the file name.
        view: projection of each eye of the matte, at the same size; None: half-equirectangular.

    Returns:
        A side-by-side matte in the shape of the frame's luma; 0 outside the packed view.

    Raises:
        ValueError: the frame isn't twice as wide as high.
    """
    eye_px, layout, color = frame.height, frame.layout, frame.color
    if frame.width != 2 * eye_px:
        raise ValueError(f"packed frames must be twice as wide as high; got {frame.width}x{eye_px}")
    _check_eye(eye_px, layout)
    view, disc = view or HalfEquirect(eye_px), MatteDisc(eye_px, fov_deg)
    sites = chroma_sites(layout, color)
    luma_grid = sampling_grid(view, disc)
    chroma_grid = sampling_grid(view, disc, LUMA_SITES, sites)
    of_y, of_u, of_v, offset = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)[0]
    matte = np.zeros((eye_px, 2 * eye_px), np.uint8)
    for eye in EYES:
        red = np.full((eye_px, eye_px), offset, np.float32)
        for plane, grid, share in (
            (frame.y, luma_grid, of_y),
            (frame.u, chroma_grid, of_u),
            (frame.v, chroma_grid, of_v),
        ):
            if share:
                tile = _read_tile(plane, eye, grid.source_shape)
                red += np.float32(share) * resample(
                    tile, grid, Interpolation.LINEAR, peak=layout.peak
                )
        # Outside the view all planes are 0, which has no more red than black.
        half_of(matte, eye)[...] = np.clip(255 * red + 0.5, 0, 255)
    return matte


def _check_eye(eye_px: int, layout: PixelLayout) -> None:
    if eye_px % (1 << max(layout.chroma_shift_x, layout.chroma_shift_y)):
        raise ValueError(
            f"the width of an eye, {eye_px} pixels, isn't a whole number of chroma samples"
        )


def _codes(low: int, high: int, layout: PixelLayout) -> Plane:
    """Return the code of each alpha 0..255, between two codes."""
    codes = np.rint(low + (high - low) * np.arange(256) / 255)
    return cast(Plane, codes.astype(layout.dtype))


def _on_black(plane: Plane, circle: Mask, black: int) -> Plane:
    """Return a copy of a plane, black outside the circle of each eye."""
    return np.where(np.tile(circle, 2), plane, plane.dtype.type(black))


def _inside(disc: MatteDisc | Fisheye, sites: PlaneSites) -> Mask:
    """Return True for samples inside the disc or circle of a square plane."""
    columns = sites.columns(0, disc.size // sites.step_x)
    return disc.covers(*np.meshgrid(columns, sites.rows(0, disc.size // sites.step_y)))


def _at_sites(alpha: Matte, sites: PlaneSites) -> Matte:
    """Return alpha averaged around each chroma sample."""

    def taps(step: int, offset: float) -> FloatArray:
        if step == 1:
            return np.ones(1, np.float32)
        between_samples = offset == step / 2
        return np.array([0.5, 0.5] if between_samples else [0.25, 0.5, 0.25], np.float32)

    along_x, along_y = taps(sites.step_x, sites.offset_x), taps(sites.step_y, sites.offset_y)
    mean = cv2.sepFilter2D(alpha, cv2.CV_8U, along_x, along_y)
    first_row, first_column = int(sites.offset_y), int(sites.offset_x)
    return cast(Matte, mean[first_row :: sites.step_y, first_column :: sites.step_x])


def _write_disc(plane: Plane, eye: Eye, alpha: Matte, codes: Plane, inside: Mask) -> None:
    """Write the codes of an eye's tile inside its disc, and nowhere else."""
    tile = cast(Plane, cv2.LUT(alpha, codes))
    for in_frame, in_tile in _blocks(plane.shape, alpha.shape, eye):
        np.copyto(plane[in_frame], tile[in_tile], where=inside[in_tile])


def _read_tile(plane: Plane, eye: Eye, shape: tuple[int, int]) -> Plane:
    tile = np.empty_like(plane, shape=shape)
    for in_frame, in_tile in _blocks(plane.shape, shape, eye):
        tile[in_tile] = plane[in_frame]
    return tile


_Block = tuple[slice, slice]


def _blocks(
    frame: tuple[int, ...], tile: tuple[int, ...], eye: Eye
) -> Iterator[tuple[_Block, _Block]]:
    """Yield rows and columns of each block of an eye's tile: in the plane, and in the tile."""
    (height, width), (half_rows, half_columns) = frame, (tile[0] // 2, tile[1] // 2)
    around_corner = (
        (slice(width - half_columns, width), slice(0, half_columns)),
        (slice(0, half_columns), slice(half_columns, 2 * half_columns)),
    )
    middle = width // 2
    around_middle = (
        (slice(middle - half_columns, middle + half_columns), slice(0, 2 * half_columns)),
    )
    for rows, tile_rows in (
        (slice(height - half_rows, height), slice(0, half_rows)),
        (slice(0, half_rows), slice(half_rows, 2 * half_rows)),
    ):
        for columns, tile_columns in around_middle if eye is Eye.LEFT else around_corner:
            yield (rows, columns), (tile_rows, tile_columns)
