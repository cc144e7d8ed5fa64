from __future__ import annotations

import numpy as np
import pytest

from vrmatte.geometry.edges import endless, held_to_edge
from vrmatte.geometry.projection import Fisheye, HalfEquirect, shown_pixels
from vrmatte.geometry.remap import PlaneSites, resample, sampling_grid

CHROMA = PlaneSites(2, 2, 1.0, 1.0)
FOVS = [180, 190, 200, 220]


@pytest.mark.parametrize("fov_deg", FOVS)
def test_black_around_a_fisheye_bleeds_nowhere(fov_deg):
    eye = Fisheye(128, fov_deg)
    white = np.where(shown_pixels(eye), np.uint8(200), np.uint8(0))
    made = resample(white, sampling_grid(HalfEquirect(128), held_to_edge(eye)))
    assert (made == 200).all()
    # Without it the last columns darken, so this test would notice.
    assert resample(white, sampling_grid(HalfEquirect(128), Fisheye(128, 180))).min() < 150


@pytest.mark.parametrize("fov_deg", FOVS)
def test_coarser_planes_keep_further_from_the_rim(fov_deg):
    eye = Fisheye(128, fov_deg)
    at = CHROMA.columns(0, 64)
    tinted = np.where(eye.covers(*np.meshgrid(at, at)), np.uint8(60), np.uint8(128))
    made = resample(tinted, sampling_grid(HalfEquirect(128), held_to_edge(eye, 2), CHROMA, CHROMA))
    assert (made == 60).all()


def test_inside_nothing_is_moved():
    eye = Fisheye(200, 190)
    x, y = np.meshgrid(*2 * [np.arange(45, 156) + 0.5])
    for view in (held_to_edge(eye), endless(eye)):
        u, v = view.pixels(*eye.directions(x, y))
        # Coordinates of some hundred pixels in double precision.
        assert np.abs(u - x).max() < 1e-9
        assert np.abs(v - y).max() < 1e-9


def test_a_fisheye_covers_its_circle_or_everything():
    eye = Fisheye(64, 190)
    x, y = np.meshgrid(*2 * [np.arange(64) + 0.5])
    directions = eye.directions(x, y)
    held, forever = held_to_edge(eye), endless(eye)
    assert np.array_equal(held.covers(*held.pixels(*directions)), eye.covers(x, y))
    assert forever.covers(*forever.pixels(*directions)).all()
    # What lies beyond the rim is read where the rim is next.
    u, v = forever.pixels(*(np.array([d]) for d in (-1.0, 0.0, -0.5)))
    assert u[0] == pytest.approx(2)
    assert v[0] == pytest.approx(32)


def test_a_square_needs_no_care_but_may_go_on_forever():
    eye = HalfEquirect(64)
    assert held_to_edge(eye, 2) is eye
    behind = (np.array([d]) for d in (0.1, 0.0, -1.0))
    x, y = eye.pixels(*behind)
    assert not eye.covers(x, y)[0]
    assert endless(eye).covers(x, y)[0]
