from __future__ import annotations

import numpy as np
import pytest

from vrmatte.geometry.projection import Cassini, Fisheye, HalfEquirect
from vrmatte.geometry.remap import make_sampling_grid, resample
from vrmatte.geometry.viewport import Turned, rotation_of

EYES = [HalfEquirect(512), Fisheye(512, 190), Cassini(512)]
TURNS = [(0, 0, 0), (0.7, 0, 0), (0, -0.4, 0), (0, 0, 1.3), (-2, 1, 3), (40, -25, 100)]


@pytest.mark.parametrize("eye", EYES, ids=lambda eye: type(eye).__name__)
@pytest.mark.parametrize("turn", TURNS)
def test_there_and_back(eye, turn):
    turned = Turned(eye, rotation_of(*turn))
    rng = np.random.default_rng(1)
    x, y = rng.uniform(60, 452, (2, 1000))
    directions = turned.directions(x, y)
    assert np.allclose(np.linalg.norm(directions, axis=0), 1, atol=1e-12)
    back = turned.pixels(*directions)
    # Exact but for the rounding of doubles, which the projections' own arcs magnify.
    assert np.allclose(back, (x, y), atol=1e-8)


@pytest.mark.parametrize(
    ("turn", "sees"),
    [
        ((10, 0, 0), (np.sin(np.radians(10)), 0, np.cos(np.radians(10)))),
        ((0, 10, 0), (0, -np.sin(np.radians(10)), np.cos(np.radians(10)))),
        ((0, 0, 10), (0, 0, 1)),
    ],
)
def test_which_way_an_eye_turns(turn, sees):
    turned = Turned(HalfEquirect(200), rotation_of(*turn))
    middle = turned.directions(np.array(100.0), np.array(100.0))
    assert np.allclose(middle, sees, atol=1e-12)


def test_rolled_clockwise_its_right_lies_lower():
    _, down, _ = Turned(HalfEquirect(200), rotation_of(roll_deg=10)).directions(
        np.array(200.0), np.array(100.0)
    )
    assert down == pytest.approx(np.sin(np.radians(10)))


def test_size_and_cover_are_the_eyes_own():
    eye = Fisheye(64, 190)
    turned = Turned(eye, rotation_of(5, 5, 5))
    x, y = np.meshgrid(np.arange(-4, 70.0), np.arange(-4, 70.0))
    assert (turned.width, turned.height) == (64, 64)
    assert np.array_equal(turned.covers(x, y), eye.covers(x, y))


@pytest.mark.parametrize("angles", [(0, 0, 0), (1, -2, 3)])
def test_a_picture_turned_back_is_as_it_was(angles):
    eye = HalfEquirect(256)
    at = np.arange(256) / 9
    picture = np.rint(120 + 60 * np.sin(at)[None] * np.cos(at)[:, None]).astype(np.uint8)
    turned = Turned(eye, rotation_of(*angles))
    seen = resample(picture, make_sampling_grid(turned, eye))
    back = resample(seen, make_sampling_grid(eye, turned))
    middle = np.s_[64:192, 64:192]
    # Two roundings to 8 bits and two to 1/256 of a sample.
    assert np.abs(back[middle].astype(int) - picture[middle]).max() <= 2


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3) * 1.001,
        np.diag([1.0, 1.0, -1.0]),
        np.ones((3, 3)),
        np.full((3, 3), np.nan),
    ],
)
def test_what_is_no_rotation_is_refused(matrix):
    with pytest.raises(ValueError, match="no rotation"):
        Turned(HalfEquirect(64), tuple(matrix.ravel().tolist()))
