from __future__ import annotations

import numpy as np
import pytest

from vrmatte.compose.edge_controls import EdgeControls
from vrmatte.frames import Eye, half_of

SIZE = 256


def disc(radius=80.0, width=3.0, size=SIZE):
    """Both eyes with a disc whose edge rises over `width` pixels."""
    y, x = np.mgrid[0:size, 0:size]
    inside = radius - np.hypot(x - size // 2, y - size // 2)
    eye = np.rint(np.clip(inside / width + 0.5, 0, 1) * 255).astype(np.uint8)
    return np.hstack((eye, eye))


def along(matte, slanting):
    """Alpha from the middle of the left eye outward, and pixels per step."""
    middle = SIZE // 2
    steps = np.arange(middle - 1)
    rows = middle + steps if slanting else np.full_like(steps, middle)
    return matte[rows, middle + steps].astype(float), np.sqrt(2) if slanting else 1.0


def contour(matte, slanting=False):
    """Where alpha falls through one half, in pixels from the middle."""
    profile, step = along(matte, slanting)
    k = int(np.argmax(profile < 127.5))
    return (k - 1 + (profile[k - 1] - 127.5) / (profile[k - 1] - profile[k])) * step


def edge_width(matte):
    return 255 / np.abs(np.diff(along(matte, False)[0])).max()


def test_nothing_asked_is_the_very_same_array():
    matte = disc()
    assert EdgeControls()(matte) is matte
    assert EdgeControls(0.0, 0.0)(matte) is matte


@pytest.mark.parametrize("slanting", [False, True])
@pytest.mark.parametrize("choke_px", [0.5, 1, 1.5, 2.25, 5, 12.75, -0.5, -1, -3.4, -20])
def test_the_contour_moves_as_far_as_asked(choke_px, slanting):
    before = disc()
    made = EdgeControls(choke_px)(before)
    moved = contour(before, slanting) - contour(made, slanting)
    # Discs of pixels are polygons: a quarter of a pixel at worst.
    assert moved == pytest.approx(choke_px, abs=0.25)
    assert edge_width(made) == pytest.approx(edge_width(before), rel=0.1), "the ramp is kept"


@pytest.mark.parametrize("width", [1.0, 8.0])
def test_ramps_travel_whole(width):
    made = EdgeControls(2.5)(disc(width=width))
    assert edge_width(made) == pytest.approx(edge_width(disc(width=width)), rel=0.1)


@pytest.mark.parametrize("feather_px", [2.0, 4.0, 16.0])
def test_a_hard_edge_becomes_as_wide_as_asked(feather_px):
    hard = disc(width=0.01)
    made = EdgeControls(feather_px=feather_px)(hard)
    # The pixel grid itself widens narrow ramps by up to one pixel.
    assert edge_width(made) == pytest.approx(feather_px, rel=0.05, abs=0.8)
    assert contour(made) == pytest.approx(contour(hard), abs=0.6)


def test_choke_comes_before_feather():
    made = EdgeControls(4, 6)(disc())
    assert contour(made) == pytest.approx(76, abs=0.4)
    assert edge_width(made) > 6


@pytest.mark.parametrize("controls", [EdgeControls(-6), EdgeControls(0, 12), EdgeControls(3)])
def test_eyes_do_not_touch(controls):
    matte = np.zeros((64, 256), np.uint8)
    matte[6:58, 90:128] = 255
    made = controls(matte)
    assert not half_of(made, Eye.RIGHT).any()
    alone = controls(np.hstack((half_of(matte, Eye.LEFT), half_of(matte, Eye.LEFT))))
    assert np.array_equal(half_of(made, Eye.LEFT), half_of(alone, Eye.LEFT))
    # At the picture's own border a body goes on; it isn't an edge.
    assert made[32, 127] == 255


def test_islands_stay_and_the_source_is_not_written():
    matte = disc()
    matte[5:15, 5:15] = 255
    before = matte.copy()
    made = EdgeControls(1)(matte)
    assert made[10, 10] == 255
    assert np.array_equal(matte, before)
    assert not EdgeControls(3, 5)(np.zeros((32, 64), np.uint8)).any()


def test_working_in_the_box_of_people_loses_nothing():
    """Spread and feather reach as far as they would on the whole picture."""
    matte = np.zeros((256, 512), np.uint8)
    matte[120:136, 120:136] = 255
    framed = matte.copy()
    framed[0, 0] = framed[255, 255] = framed[0, 256] = framed[255, 511] = 255
    for controls in (EdgeControls(-9.5), EdgeControls(0, 20), EdgeControls(-4, 10)):
        near = (slice(60, 196), slice(60, 196))
        assert np.array_equal(controls(matte)[near], controls(framed)[near])
