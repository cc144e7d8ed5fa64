from __future__ import annotations

import cv2
import numpy as np
import pytest

from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PixelLayout
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.geometry.remap import (
    Interpolation,
    PlaneSites,
    chroma_sites,
    resample,
    sampling_grid,
)


def positions(projection, sites):
    count = -(-projection.size // sites.step_x)
    return np.meshgrid(sites.columns(0, count), sites.rows(0, count))


def covered(grid):
    """Where the target shows the source."""
    return resample(np.ones(grid.source_shape, np.uint8), grid) == 1


def brightness(dx, dy, dz):
    """A smooth picture of directions, 200..800, different everywhere."""
    return 500 + 150 * np.sin(2 * dx + 1) + 100 * np.sin(3 * dy) + 50 * dz


@pytest.mark.parametrize(
    ("location", "x", "y"),
    [
        (0, 0.5, 1.0),
        (1, 0.5, 1.0),
        (2, 1.0, 1.0),
        (3, 0.5, 0.5),
        (4, 1.0, 0.5),
        (5, 0.5, 1.5),
        (6, 1.0, 1.5),
    ],
)
def test_chroma_sites_of_420(location, x, y):
    sites = chroma_sites(YUV420P, ColorTags(chroma_location=location))
    assert sites == PlaneSites(2, 2, x, y)


def test_chroma_sites_without_subsampling_are_those_of_luma():
    assert chroma_sites(PixelLayout("yuv444p", 8, 0, 0), ColorTags()) == PlaneSites()


@pytest.mark.parametrize("location", [1, 2, 3])
@pytest.mark.parametrize("fov_deg", [180, 190])
def test_chroma_shows_what_luma_shows_at_its_sites(location, fov_deg):
    view, source = Fisheye(128, fov_deg), HalfEquirect(128)
    sites = chroma_sites(YUV420P10, ColorTags(chroma_location=location))
    x, y = positions(source, sites)
    plane = np.rint(brightness(*source.directions(x, y))).astype(np.uint16)
    grid = sampling_grid(view, source, sites, sites)
    made = resample(plane, grid, peak=1023)
    truth = brightness(*view.directions(*positions(view, sites)))
    # Rounded twice to whole codes: below 1, but for the few samples beside the seam, whose
    # neighbours are repeated edge samples. With any other siting this percentile is above 1.6.
    error = np.abs(made - truth)[covered(grid)]
    assert np.percentile(error, 95) < 1


def test_sites_of_source_and_target_may_differ():
    left = chroma_sites(YUV420P10, ColorTags(chroma_location=1))
    centre = chroma_sites(YUV420P10, ColorTags(chroma_location=2))
    plane = np.tile(np.arange(32, dtype=np.uint16) * 16, (32, 1))
    made = resample(
        plane, sampling_grid(HalfEquirect(64), HalfEquirect(64), centre, left), peak=1023
    )
    # Half a luma pixel further right is a quarter chroma sample: 4 of 16. Edges are repeated.
    assert np.array_equal(made[:, 2:-2], plane[:, 2:-2] + 4)


@pytest.mark.parametrize("interpolation", list(Interpolation))
def test_same_projection_changes_nothing(interpolation):
    plane = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    grid = sampling_grid(HalfEquirect(64), HalfEquirect(64))
    assert np.array_equal(resample(plane, grid, interpolation), plane)


def test_linear_agrees_with_opencv():
    source, view = HalfEquirect(200), Fisheye(200, 180)
    plane = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    plane = cv2.GaussianBlur(plane, (0, 0), 2)
    x, y = source.pixels(*view.directions(*positions(view, PlaneSites())))
    maps = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
    theirs = cv2.remap(plane, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grid = sampling_grid(view, source)
    ours = resample(plane, grid, Interpolation.LINEAR)
    # OpenCV rounds positions to 1/32 of a sample.
    assert np.abs(ours.astype(int) - theirs)[covered(grid)].max() <= 2


def test_cubic_is_nearer_to_the_truth_than_linear():
    source, view = HalfEquirect(96), Fisheye(96, 180)
    x, y = positions(source, PlaneSites())

    def stripes(dx, dy, dz):
        return 500 + 300 * np.sin(20 * dx) * np.cos(15 * dy)

    plane = np.rint(stripes(*source.directions(x, y))).astype(np.uint16)
    truth = stripes(*view.directions(*positions(view, PlaneSites())))
    inner = Fisheye(96, 180).covers(*(48 + 1.2 * (p - 48) for p in (x, y)))
    grid = sampling_grid(view, source)
    error = {
        kind: np.abs(resample(plane, grid, kind, peak=1023) - truth)[inner].mean()
        for kind in Interpolation
    }
    assert error[Interpolation.CUBIC] < 0.35 * error[Interpolation.LINEAR]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("fov_deg", [180, 190, 200])
def test_seam_has_neither_fringe_nor_bleeding(dtype, fov_deg):
    peak = 255 if dtype is np.uint8 else 1023
    size = 256
    grid = sampling_grid(Fisheye(size, fov_deg), HalfEquirect(size))
    made = resample(np.full((size, size), peak, dtype), grid, peak=peak, border=16)
    x, y = positions(Fisheye(size, fov_deg), PlaneSites())
    radius = np.hypot(x - size / 2, y - size / 2) / (size / 2) * fov_deg / 2
    assert (made[radius < 90 - 1e-6] == peak).all()
    assert (made[radius > 90 + 1e-6] == 16).all()


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 1023)])
def test_overshoot_is_cut_at_the_peak_and_at_zero(dtype, peak):
    plane = np.zeros((64, 64), dtype)
    plane[:, 30:34] = peak
    made = resample(plane, sampling_grid(Fisheye(64, 180), HalfEquirect(64)), peak=peak)
    assert made.max() == peak
    # Wrapped around, an undershoot would be a large code beside the bar.
    far_from_bar = made[28:36, :24]
    assert far_from_bar.max() == 0
    assert made[32, 26] < peak // 2


def test_writes_into_views_and_reads_from_them():
    size = 64
    wide = np.random.default_rng(3).integers(0, 256, (size, 2 * size), dtype=np.uint8)
    grid = sampling_grid(Fisheye(size, 190), HalfEquirect(size))
    out = np.full((size, 2 * size), 77, np.uint8)
    right = resample(wide[:, size:], grid, out=out[:, size:])
    assert np.shares_memory(right, out)
    assert (out[:, :size] == 77).all()
    assert np.array_equal(out[:, size:], resample(wide[:, size:].copy(), grid))


def test_grids_are_kept():
    grid = sampling_grid(Fisheye(32, 190), HalfEquirect(32))
    assert sampling_grid(Fisheye(32, 190), HalfEquirect(32)) is grid
    assert sampling_grid(Fisheye(32, 180), HalfEquirect(32)) is not grid


def test_planes_that_do_not_fit_are_refused():
    grid = sampling_grid(Fisheye(32, 190), HalfEquirect(48))
    with pytest.raises(ValueError, match="grid reads"):
        resample(np.zeros((32, 32), np.uint8), grid)
    with pytest.raises(ValueError, match="out must be"):
        resample(np.zeros((48, 48), np.uint8), grid, out=np.zeros((48, 48), np.uint8))
    with pytest.raises(ValueError, match="out must be"):
        resample(np.zeros((48, 48), np.uint8), grid, out=np.zeros((32, 32), np.uint16))


class Overclaiming:
    """A source that says it covers all, and places everything far outside."""

    width = height = 16

    def directions(self, x, y):
        raise NotImplementedError

    def pixels(self, dx, dy, dz):
        return dx * 1e6, dy * 1e6

    def covers(self, x, y):
        return np.ones(x.shape, bool)


def test_positions_outside_the_source_read_its_edge():
    plane = np.full((16, 16), 200, np.uint8)
    made = resample(plane, sampling_grid(HalfEquirect(16), Overclaiming()))
    assert (made == 200).all()
