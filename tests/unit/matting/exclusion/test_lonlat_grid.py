from __future__ import annotations

import numpy as np
import pytest

from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.matting.exclusion.lonlat_grid import LonLatGrid
from vrmatte.matting.exclusion.person_in_eye import GridBox

EYES = [HalfEquirect(200), Fisheye(200, 180), Fisheye(200, 190), Fisheye(600, 220)]


def whole(chart):
    return PixelRect(0, 0, chart.size_px, chart.size_px)


def angles(eye, factor, chart):
    at = (np.arange(chart.size_px) + 0.5) * factor
    dx, dy, dz = eye.directions(*np.meshgrid(at, at))
    return np.degrees(np.arctan2(dx, dz)), -np.degrees(np.arctan2(dy, np.hypot(dx, dz))), dz


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("factor", [1, 2])
def test_places_are_longitudes_and_latitudes(eye, factor):
    chart = LonLatGrid(eye, factor)
    across, down = np.broadcast_arrays(*chart.places(whole(chart)))
    yaw, pitch, ahead = angles(eye, factor, chart)
    seen = ahead > 0.02
    # Single precision of some hundred pixels.
    assert np.abs(across / chart.px_per_deg - 90 - yaw)[seen].max() < 1e-3
    assert np.abs(90 - down / chart.px_per_deg - pitch)[seen].max() < 1e-3
    part = PixelRect(10, 40, 60, 80)
    for all_of_it, cut in zip((across, down), chart.places(part), strict=True):
        assert np.array_equal(all_of_it[part.slices], np.broadcast_to(cut, (50, 40)))


def test_a_half_equirectangular_chart_is_its_pixels():
    chart = LonLatGrid(HalfEquirect(640), 2)
    box = chart.box(AngularBox(-45, 0, -90, 45))
    assert box == GridBox(80, 160, 80, 320)
    assert chart.rectangle(box) is box
    assert chart.window(box) == PixelRect(80, 80, 320, 160)
    across, down = chart.places(PixelRect(0, 10, 2, 12))
    assert np.array_equal(across, [[10.5, 11.5]])
    assert np.array_equal(down, [[0.5], [1.5]])


@pytest.mark.parametrize("eye", EYES[1:])
@pytest.mark.parametrize(
    "bounds",
    [
        AngularBox(-20, 30, -40, 10),
        AngularBox(50, 80, -70, -20),
        AngularBox(-90, 90, -90, -50),
        AngularBox(70, 90, -30, 30),
        AngularBox(-10, 10, -80, 80),
    ],
)
def test_rectangles_hold_all_pixels_of_a_box_and_little_more(eye, bounds):
    chart = LonLatGrid(eye)
    box = chart.box(bounds)
    across, down = chart.places(whole(chart))
    inside = box.outside(across, down) == 0
    at = np.arange(chart.size_px) + 0.5
    inside &= eye.covers(*np.meshgrid(at, at))
    held = chart.rectangle(box)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert held.left <= columns[0] + 0.5
    assert held.right >= columns[-1] + 0.5
    assert held.top <= rows[0] + 0.5
    assert held.bottom >= rows[-1] + 0.5
    # Slack of a pixel, half a pixel to the centres, and near the poles narrow corners.
    spare = 0.02 * eye.size + 2
    assert columns[0] - held.left < spare
    assert held.right - columns[-1] < spare
    assert rows[0] - held.top < spare
    assert held.bottom - rows[-1] < spare


def test_what_lies_behind_belongs_to_the_end_of_the_hemisphere():
    eye = Fisheye(220, 220)
    chart = LonLatGrid(eye)
    floor = chart.box(AngularBox(-90, 90, -90, -80))
    across, down = chart.places(whole(chart))
    # Straight below, 90 to 110 degrees from ahead, columns lie 1 degree apart.
    assert (floor.outside(across, down)[200:220, 110] == 0).all()
    held = chart.window(floor)
    assert held is not None
    assert held.bottom == 220


def test_a_box_that_the_eye_does_not_show_has_no_window():
    assert LonLatGrid(HalfEquirect(200)).window(GridBox(10, 20, 250, 260)) is None
    assert LonLatGrid(Fisheye(200, 180)).window(GridBox(30, 30, 100, 100)) is not None
