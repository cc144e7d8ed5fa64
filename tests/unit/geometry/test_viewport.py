from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.matting.matting_pictures import clip_frames
from vrmatte.frames import Eye
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.remap import resample, sampling_grid
from vrmatte.geometry.viewport import Viewport, homography

FULL_DENSITY_K = {"perspective": 1.25, "stereographic": 1.4, "fisheye": 1.4}
"""Viewport pixels per source pixel in the middle; at 1 the way there and back blurs.

A perspective view is denser at its sides, where a stereographic one gains little."""


def angles(low, high):
    return st.floats(low, high, allow_nan=False)


def viewports(projection):
    widest = 130 if projection == "perspective" else 250
    return st.builds(
        Viewport,
        angles(-180, 180),
        angles(-90, 90),
        angles(5, widest),
        angles(5, widest),
        st.just(projection),
        angles(-180, 180),
    )


any_viewport = st.one_of(viewports("perspective"), viewports("stereographic"), viewports("fisheye"))


def direction(lon_deg, lat_deg):
    """The unit vector at a longitude to the right and a latitude upward."""
    lon, lat = math.radians(lon_deg), math.radians(lat_deg)
    vector = math.sin(lon) * math.cos(lat), -math.sin(lat), math.cos(lon) * math.cos(lat)
    return tuple(np.array([part]) for part in vector)


@settings(deadline=None, max_examples=60)
@given(any_viewport, st.integers(2, 300), st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_pixel_to_direction_and_back(viewport, width, height, seed):
    picture = viewport.picture(width, height)
    x, y = np.random.default_rng(seed).uniform(0, 1, (2, 50)) * [[width], [height]]
    dx, dy, dz = picture.directions(x, y)
    assert np.allclose(dx**2 + dy**2 + dz**2, 1, atol=1e-12)
    back_x, back_y = picture.pixels(3 * dx, 3 * dy, 3 * dz)
    assert picture.covers(x, y).all()
    # Double precision, at most a few hundred pixels.
    assert np.allclose(back_x, x, atol=1e-7)
    assert np.allclose(back_y, y, atol=1e-7)


@settings(deadline=None, max_examples=60)
@given(any_viewport, angles(-180, 180), angles(-89, 89))
def test_direction_to_pixel_and_back(viewport, lon_deg, lat_deg):
    wanted = direction(lon_deg, lat_deg)
    picture = viewport.picture(200, 100)
    x, y = picture.pixels(*wanted)
    if picture.covers(x, y)[0]:
        assert np.allclose(picture.directions(x, y), wanted, atol=1e-9)


@pytest.mark.parametrize("projection", ["perspective", "stereographic", "fisheye"])
@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0, 0), (40, 0), (0, 35), (-60, -40), (150, 5)])
def test_the_middle_looks_where_it_says(projection, yaw_deg, pitch_deg):
    picture = Viewport(yaw_deg, pitch_deg, 80, 60, projection).picture(64, 48)
    seen = picture.directions(np.array([32.0]), np.array([24.0]))
    assert np.allclose(seen, direction(yaw_deg, pitch_deg))


def test_right_is_right_and_up_is_up():
    eye = HalfEquirect(180)
    right_x, _ = eye.pixels(*Viewport(30, 0, 60, 60).picture(2, 2).directions(*np.ones((2, 1))))
    _, up_y = eye.pixels(*Viewport(0, 30, 60, 60).picture(2, 2).directions(*np.ones((2, 1))))
    assert right_x[0] == pytest.approx(120)
    assert up_y[0] == pytest.approx(60)


def test_a_camera_rolled_clockwise_sees_the_world_turned_anticlockwise():
    picture = Viewport(0, 0, 90, 90, roll_deg=90).picture(100, 100)
    x, y = picture.pixels(*direction(0, 20))
    assert x[0] < 40
    assert y[0] == pytest.approx(50)


@pytest.mark.parametrize("projection", ["perspective", "stereographic", "fisheye"])
def test_the_edges_lie_at_half_the_field_of_view(projection):
    picture = Viewport(0, 0, 100, 70, projection).picture(100, 70)
    x, _ = picture.pixels(*direction(50, 0))
    _, y = picture.pixels(*direction(0, 35))
    assert (x[0], y[0]) == pytest.approx((100, 0))


def test_stereographic_keeps_small_shapes():
    picture = Viewport(10, -20, 160, 160, "stereographic").picture(400, 400)
    for x, y in [(200, 200), (30, 60), (390, 350), (200, 5)]:
        step = 1e-4
        here, across, down = (
            np.array(picture.directions(np.array([x + a]), np.array([y + b])))[:, 0]
            for a, b in ((0, 0), (step, 0), (0, step))
        )
        along_x, along_y = across - here, down - here
        # Equal lengths at a right angle; what is left is the finite step.
        assert np.linalg.norm(along_x) == pytest.approx(np.linalg.norm(along_y), rel=1e-4)
        assert abs(along_x @ along_y) < 1e-4 * (along_x @ along_x)


def test_what_lies_behind_is_not_covered():
    picture = Viewport(0, 0, 90, 90).picture(64, 64)
    for lon_deg, lat_deg in [(180, 0), (91, 0), (170, 10), (-135, -45)]:
        x, y = picture.pixels(*direction(lon_deg, lat_deg))
        assert not picture.covers(x, y)[0]
    behind = np.zeros(1), np.zeros(1), -np.ones(1)
    wide = Viewport(0, 0, 300, 300, "stereographic").picture(64, 64)
    assert not wide.covers(*wide.pixels(*behind))[0]


def test_nothing_outside_the_rectangle_is_covered():
    picture = Viewport(0, 0, 90, 45).picture(100, 50)
    x = np.array([-0.1, 100.1, 50, 50, 0, 100])
    y = np.array([25, 25, -0.1, 50.1, 0, 50])
    assert picture.covers(x, y).tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("projection", "fov_deg"),
    [("perspective", 180), ("stereographic", 360), ("fisheye", 360), ("perspective", 0)],
)
def test_impossible_fields_of_view_are_refused(projection, fov_deg):
    with pytest.raises(ValueError, match="degrees"):
        Viewport(0, 0, fov_deg, 60, projection)
    with pytest.raises(ValueError, match="degrees"):
        Viewport(0, 0, 60, fov_deg, projection)


@pytest.mark.parametrize("projection", ["perspective", "stereographic", "fisheye"])
@pytest.mark.parametrize(("hfov_deg", "vfov_deg"), [(90, 90), (60, 100), (110, 40)])
def test_size_gives_the_middle_the_density_asked_for(projection, hfov_deg, vfov_deg):
    density_px_per_deg = 3072 / 180
    viewport = Viewport(20, -30, hfov_deg, vfov_deg, projection)
    width, height = viewport.size_for(density_px_per_deg)
    assert (width % 2, height % 2) == (0, 0)
    scales = np.array(viewport.scales(width, height)) * math.pi / 180
    # Sizes are whole even numbers: one pixel in about 700 at least.
    assert scales == pytest.approx([density_px_per_deg] * 2, rel=2e-3)
    if projection == "perspective" and hfov_deg == 90:
        assert width == 1956


@settings(deadline=None, max_examples=60)
@given(viewports("perspective"), angles(-60, 60), angles(-60, 60), angles(-60, 60), angles(20, 120))
def test_homography_agrees_with_the_directions(old, yaw_deg, pitch_deg, roll_deg, fov_deg):
    new = Viewport(
        old.yaw_deg + yaw_deg,
        max(-90, min(90, old.pitch_deg + pitch_deg)),
        fov_deg,
        old.vfov_deg,
        roll_deg=old.roll_deg + roll_deg,
    )
    size = (160, 120)
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(0, 160, 9), np.linspace(0, 120, 7)))
    by_x, by_y = new.picture(*size).pixels(*old.picture(*size).directions(x, y))
    u, v, w = homography(old, new, size) @ np.stack([x, y, np.ones_like(x)])
    before = np.isfinite(by_x)
    # Near the plane through the eye both run off to infinity; far outside is far enough.
    near = before & (np.abs(by_x) < 1e5) & (np.abs(by_y) < 1e5)
    assert ((w > 0) == before)[near | ~before].all()
    assert np.allclose((u / w)[near], by_x[near], rtol=1e-6, atol=1e-6)
    assert np.allclose((v / w)[near], by_y[near], rtol=1e-6, atol=1e-6)


def test_turning_and_turning_back_is_nothing():
    old, new = Viewport(10, -5, 80, 80), Viewport(25, 12, 80, 80)
    both = homography(new, old, (64, 64)) @ homography(old, new, (64, 64))
    assert np.allclose(both / both[2, 2], np.eye(3), atol=1e-12)


def test_only_perspective_views_have_a_homography():
    with pytest.raises(ValueError, match="perspective"):
        homography(Viewport(0, 0, 80, 80), Viewport(0, 0, 80, 80, "stereographic"), (64, 64))


def there_and_back(matte, viewport):
    """The matte through a viewport, and where the viewport shows it."""
    eye = HalfEquirect(matte.shape[0])
    view = viewport.picture(
        *viewport.size_for(FULL_DENSITY_K[viewport.projection] * eye.size / 180)
    )
    seen = resample(matte, sampling_grid(view, eye))
    grid = sampling_grid(eye, view)
    shown = resample(np.ones(grid.source_shape, np.uint8), grid) == 1
    return resample(seen, grid), shown


def assert_kept(matte, viewport):
    back, shown = there_and_back(matte, viewport)
    truth, made = matte / 255, back / 255
    soft = ((truth > 0.02) & (truth < 0.98)).astype(np.uint8)
    band = (cv2.dilate(soft, np.ones((9, 9), np.uint8)) == 1) & shown
    assert band.sum() > 1000
    # The figures that a viewport must keep so that its matte's edge is the network's, not ours.
    assert np.abs(truth - made)[band].mean() <= 5e-3
    solid, made_solid = truth[shown] > 0.5, made[shown] > 0.5
    assert (solid & made_solid).sum() >= 0.998 * (solid | made_solid).sum()


@pytest.mark.parametrize(
    "viewport", [Viewport(0, 0, 90, 90), Viewport(0, -20, 110, 110, "stereographic")]
)
@pytest.mark.parametrize("clip", ["d1_center", "d2_close"])
def test_a_true_matte_survives_the_way_there_and_back(bench_dir, clip, viewport):
    matte = clip_frames(bench_dir, clip, 1, "alpha.mkv")[0].eye(Eye.LEFT).y
    assert_kept(np.ascontiguousarray(matte), viewport)


def test_a_drawn_matte_survives_the_way_there_and_back():
    large = np.zeros((4096, 4096), np.uint8)
    cv2.ellipse(large, (2048, 2200), (500, 900), 10, 0, 360, 255, -1)
    for turn in range(0, 360, 5):
        tip = 2048 + 900 * math.cos(math.radians(turn)), 1700 + 900 * math.sin(math.radians(turn))
        cv2.line(large, (2048, 1700), (round(tip[0]), round(tip[1])), 255, 7)
    # Drawn at four times the size: the lens of a camera softens edges over about a pixel.
    matte = cv2.resize(cv2.GaussianBlur(large, (0, 0), 3), (1024, 1024), None, 0, 0, cv2.INTER_AREA)
    assert_kept(matte, Viewport(0, 0, 90, 90))


def test_fisheye_distance_from_the_middle_is_the_angle():
    picture = Viewport(0, 0, 180, 180, "fisheye").picture(180, 180)
    for degrees in (1, 30, 60, 89):
        angle = np.radians(degrees)
        x, y = picture.pixels(np.array(np.sin(angle)), np.array(0.0), np.array(np.cos(angle)))
        assert float(x) == pytest.approx(90 + degrees)
        assert float(y) == pytest.approx(90)
