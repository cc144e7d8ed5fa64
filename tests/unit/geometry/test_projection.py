from __future__ import annotations

import math

import numpy as np
import pytest

from vrmatte.geometry.projection import Fisheye, HalfEquirect, shown_pixels


def centres(size):
    return np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)


@pytest.mark.parametrize(
    "projection",
    [HalfEquirect(101), Fisheye(100, 180), Fisheye(101, 190), Fisheye(64, 200), Fisheye(64, 100)],
)
def test_pixel_to_direction_and_back(projection):
    x, y = centres(projection.size)
    shown = projection.covers(x, y)
    dx, dy, dz = projection.directions(x[shown], y[shown])
    assert np.allclose(np.sqrt(dx**2 + dy**2 + dz**2), 1, atol=1e-12)
    back_x, back_y = projection.pixels(3 * dx, 3 * dy, 3 * dz)
    # Double precision; the angle is worst conditioned at the rim of the square.
    assert np.allclose(back_x, x[shown], atol=1e-6)
    assert np.allclose(back_y, y[shown], atol=1e-6)


def test_straight_ahead_is_the_middle():
    for projection in (HalfEquirect(64), Fisheye(64, 190)):
        dx, dy, dz = projection.directions(np.array([32.0]), np.array([32.0]))
        assert np.allclose([dx[0], dy[0], dz[0]], [0, 0, 1])
        x, y = projection.pixels(np.zeros(1), np.zeros(1), np.ones(1))
        assert (x[0], y[0]) == (32, 32)


def test_half_equirect_is_linear_in_longitude_and_latitude():
    lon, lat = math.radians(30), math.radians(-45)
    direction = math.sin(lon) * math.cos(lat), math.sin(lat), math.cos(lon) * math.cos(lat)
    x, y = HalfEquirect(180).pixels(*(np.array([d]) for d in direction))
    assert np.allclose([x[0], y[0]], [120, 45])


@pytest.mark.parametrize("fov_deg", [180, 190, 200])
@pytest.mark.parametrize(("lon_deg", "lat_deg"), [(40, 0), (0, -70), (-25, 60), (80, 10)])
def test_fisheye_radius_grows_with_the_angle(fov_deg, lon_deg, lat_deg):
    lon, lat = math.radians(lon_deg), math.radians(lat_deg)
    dx, dy, dz = math.sin(lon) * math.cos(lat), math.sin(lat), math.cos(lon) * math.cos(lat)
    x, y = Fisheye(1000, fov_deg).pixels(np.array([dx]), np.array([dy]), np.array([dz]))
    radius = 500 * math.degrees(math.acos(dz)) / (fov_deg / 2)
    assert math.isclose(math.hypot(x[0] - 500, y[0] - 500), radius, rel_tol=1e-9)
    assert math.isclose(math.atan2(y[0] - 500, x[0] - 500), math.atan2(dy, dx), rel_tol=1e-9)


def test_a_fisheye_beyond_180_degrees_looks_behind():
    x, y = np.array([99.9]), np.array([50.0])
    assert Fisheye(100, 190).directions(x, y)[2][0] < 0
    behind_x, _ = HalfEquirect(100).pixels(*Fisheye(100, 190).directions(x, y))
    assert behind_x[0] > 100
    assert not HalfEquirect(100).covers(behind_x, y)[0]


def test_what_pictures_cover():
    x, y = centres(200)
    circle = Fisheye(200, 190).covers(x, y)
    # The circle's area, to within the pixels its rim crosses.
    assert abs(circle.sum() - math.pi * 100**2) < 200
    assert not circle[0, 0]
    assert HalfEquirect(200).covers(x, y).all()


def test_the_same_view_at_another_size():
    assert HalfEquirect(64).resized(32) == HalfEquirect(32)
    assert Fisheye(64, 190).resized(32) == Fisheye(32, 190)
    assert HalfEquirect(360).px_per_deg == 2
    assert Fisheye(380, 190).px_per_deg == 2
    assert (HalfEquirect(64).span_deg, Fisheye(64, 190).span_deg) == (180, 190)


def test_pixels_are_shown_by_their_centres():
    assert shown_pixels(HalfEquirect(5)).all()
    circle = shown_pixels(Fisheye(4, 190))
    assert np.array_equal(circle[0], [False, True, True, False])
    assert circle[1:3].all()
