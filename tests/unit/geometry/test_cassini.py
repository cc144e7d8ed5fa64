from __future__ import annotations

import numpy as np
import pytest

from support.matting.stereo_scenes import band_mad, in_cassini, in_equirect, iou, stereo_truth
from vrmatte.frames import Eye
from vrmatte.geometry.projection import Cassini, Fisheye, HalfEquirect
from vrmatte.geometry.remap import resample, sampling_grid

BASELINE_M = 0.064


def seen_by_both(view, count=20_000):
    """Pixel coordinates in the left and the right eye of points 0.4 to 6 m away."""
    rng = np.random.default_rng(1)
    direction = rng.standard_normal((3, count))
    direction[2] = np.abs(direction[2]) + 0.05
    points = direction / np.linalg.norm(direction, axis=0) * rng.uniform(0.4, 6, count)
    eyes = [(points[0] + side * BASELINE_M / 2, points[1], points[2]) for side in (1, -1)]
    return [view.pixels(*eye) for eye in eyes]


def test_directions_are_unit_vectors_and_come_back():
    view = Cassini(64)
    x, y = np.meshgrid(np.linspace(0.25, 63.75, 40), np.linspace(0.25, 63.75, 40))
    direction = view.directions(x, y)
    assert np.abs(np.linalg.norm(direction, axis=0) - 1).max() < 1e-12
    back = view.pixels(*(3.7 * d for d in direction))
    # Rounding of angles only; near the poles the row is the angle of a short vector.
    assert max(np.abs(back[0] - x).max(), np.abs(back[1] - y).max()) < 1e-9


@pytest.mark.parametrize(
    ("direction", "pixel"),
    [
        ((0, 0, 1), (32, 32)),
        ((1, 0, 1), (48, 32)),
        ((0, 1, 1), (32, 48)),
        ((1, 0, 0), (64, 32)),
        ((0, -1, 0), (32, 0)),
    ],
)
def test_right_is_right_and_down_is_down(direction, pixel):
    x, y = Cassini(64).pixels(*(np.array(float(d)) for d in direction))
    assert (float(x), float(y)) == pytest.approx(pixel)


def test_covers_the_front_only():
    view = Cassini(64)
    ahead = view.pixels(np.array(0.3), np.array(-0.2), np.array(0.1))
    behind = view.pixels(np.array(0.3), np.array(-0.2), np.array(-0.1))
    assert view.covers(*ahead)
    assert not view.covers(*behind)


def test_both_eyes_see_a_point_in_the_same_row():
    """The bar is 0.05 px at 1536; without rounding there is nothing to lose at all."""
    (left_x, left_y), (right_x, right_y) = seen_by_both(Cassini(1536))
    assert np.abs(left_y - right_y).max() < 1e-9
    assert (left_x - right_x).min() > 0, "what is nearer than infinity moves left"
    assert (left_x - right_x).max() < 1536 * 164 / 3072, "0.4 m is about 156 px of 3072"


def test_a_half_equirect_does_not_do_that():
    (_, left_y), (_, right_y) = seen_by_both(HalfEquirect(1536))
    assert np.median(np.abs(left_y - right_y)) > 1


@pytest.mark.parametrize("from_left", [True, False])
def test_disparity_of_a_plane_is_that_of_its_points(from_left):
    view, depth_m = Cassini(512), 1.3
    rng = np.random.default_rng(2)
    x_m, y_m = rng.uniform(-6, 6, (2, 1000))
    z_m = np.full(1000, depth_m)
    left = view.pixels(x_m + BASELINE_M / 2, y_m, z_m)
    right = view.pixels(x_m - BASELINE_M / 2, y_m, z_m)
    seen = left if from_left else right
    told = view.disparity_px(*seen, depth_m, BASELINE_M, from_left=from_left)
    assert np.abs(told - (left[0] - right[0])).max() < 1e-9


@pytest.mark.parametrize("other", [HalfEquirect(192), Fisheye(192, 180), Fisheye(192, 190)])
def test_a_smooth_picture_survives_the_way_there_and_back(other):
    """Cubic sampling of a slow picture: a level for rounding twice, one for the curve."""
    x, y = np.meshgrid(np.arange(192) + 0.5, np.arange(192) + 0.5)
    direction = other.directions(x, y)
    plane = np.rint(128 + 60 * np.sin(3 * direction[0]) + 50 * direction[1]).astype(np.uint8)
    view = Cassini(192)
    there = resample(plane, sampling_grid(view, other))
    back = resample(there, sampling_grid(other, view))
    inner = other.covers(x, y) & (direction[2] > 0.05)
    assert np.abs(back.astype(int) - plane.astype(int))[inner].max() <= 2


@pytest.mark.parametrize(
    ("name", "eye_px"),
    [
        ("crossing", 512),
        *(
            pytest.param(name, 1536, marks=pytest.mark.slow)
            for name in ("one", "several", "near and far")
        ),
    ],
)
def test_a_matte_survives_the_way_there_and_back(name, eye_px):
    matte = stereo_truth(name, eye_px).matte(Eye.LEFT)
    back = in_equirect(in_cassini(matte, eye_px), eye_px)
    mad, overlap = band_mad(back, matte), iou(back, matte)
    print(f"{name} {eye_px}: band MAD {1000 * mad:.1f}e-3, IoU {overlap:.4f}")
    assert mad <= 15e-3
    assert overlap >= 0.997
