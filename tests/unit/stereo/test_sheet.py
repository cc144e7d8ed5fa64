from __future__ import annotations

import numpy as np
import pytest

from support.matting.stereo_scenes import band_mad, in_cassini, in_equirect, iou, stereo_truth
from vrmatte.frames import EYES, Eye
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import Cassini
from vrmatte.stereo.sheet import carried_outwards, forward_warp, sheet_of, upright

SHAPE = (6, 120)
EVERYWHERE = np.ones(SHAPE, np.bool_)


def stripe(start, stop):
    matte = np.zeros(SHAPE, np.float32)
    matte[:, start:stop] = 1
    return matte


def flat(disparity):
    return np.full(SHAPE, disparity, np.float32)


def stretch(row):
    """First and last true place."""
    there = np.flatnonzero(row)
    return int(there[0]), int(there[-1])


def other_of(eye):
    return Eye.RIGHT if eye is Eye.LEFT else Eye.LEFT


# --- laying ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "to"), [(Eye.LEFT, 33), (Eye.RIGHT, 47)])
def test_a_person_moves_by_their_disparity(source, to):
    alpha, near, reached = forward_warp(stripe(40, 60), flat(7), EVERYWHERE, source)
    assert stretch(alpha[3] == 1) == (to, to + 19)
    assert alpha.sum() == 6 * 20
    assert np.all(near[:, to : to + 20] == 7)
    assert reached[:, to : to + 20].all()


def test_fractions_of_a_pixel_count():
    """A slow wave carried by 3.37 px is the wave 3.37 px on, but for the cubic's thousandth."""
    x = np.arange(120)
    matte = np.tile((0.5 + 0.4 * np.sin(x / 6)).astype(np.float32), (6, 1))
    alpha, _, _ = forward_warp(matte, flat(3.37), EVERYWHERE, Eye.LEFT)
    expected = 0.5 + 0.4 * np.sin((x + 3.37) / 6)
    # Catmull-Rom on a wave of 38 px: fourth order of 1/6. A straight line is off by 1.4e-3.
    assert np.abs(alpha[2] - expected)[3:110].max() < 5e-4


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("slope", [-0.6, 0.45])
def test_a_slanted_sheet_has_neither_cracks_nor_seams(slope, eye):
    disparity = np.tile(30 + slope * (np.arange(120, dtype=np.float32) - 60), (6, 1))
    row = forward_warp(stripe(50, 80), disparity, EVERYWHERE, eye)[0][0]
    first, last = stretch(row > 0.98)
    assert (row[first : last + 1] > 0.98).all()
    sign = -1 if eye is Eye.LEFT else 1
    assert last - first == pytest.approx(29 * (1 + sign * slope), abs=2)


def test_a_torn_sheet_leaves_a_gap():
    """Arm before trunk, both of one person; the right eye looks between them."""
    disparity = flat(4)
    disparity[:, :60] = 12
    alpha, _, reached = forward_warp(stripe(40, 90), disparity, EVERYWHERE, Eye.LEFT)
    assert stretch(~reached[0, 10:100]) == (38, 45), "48 to 55 in the picture"
    assert stretch(alpha[0] > 0.98) == (28, 85)
    assert not alpha[0, 48:56].any(), "what nobody saw is not guessed"


@pytest.mark.parametrize("disparities", [(12, 4), (4, 12)])
def test_the_nearest_wins_whatever_comes_first(disparities):
    """Two sheets that slide over each other; of the near one's 60 columns all are there."""
    disparity = flat(disparities[0])
    disparity[:, 60:] = disparities[1]
    matte = np.where(disparity == 12, np.float32(1), np.float32(0.25))
    alpha, near, _ = forward_warp(matte, disparity, EVERYWHERE, Eye.RIGHT)
    swapped = forward_warp(matte, disparity, EVERYWHERE, Eye.LEFT)
    for laid_alpha, laid_near in ((alpha, near), swapped[:2]):
        both = np.isfinite(laid_near[0])
        assert np.array_equal(laid_alpha[0][both] > 0.9, laid_near[0][both] == 12)
    covered = near if disparities[0] == 12 else swapped[1]
    assert (covered[0] == 12).sum() == 60


def test_what_is_hidden_behind_somebody_is_not_copied_twice():
    """Reading backwards would show the near one's stripe a second time beside it."""
    disparity = flat(4)
    disparity[:, 38:62] = 20
    alpha, near, _ = forward_warp(stripe(40, 60), disparity, EVERYWHERE, Eye.LEFT)
    assert stretch(alpha[0] == 1) == (20, 39)
    assert alpha[0].sum() == 20
    assert (near[0, 18:42] == 20).all()


def test_only_what_is_believed_is_laid():
    believed = EVERYWHERE.copy()
    believed[:, 50:] = False
    alpha, near, reached = forward_warp(stripe(40, 60), flat(7), believed, Eye.LEFT)
    assert stretch(alpha[0] == 1) == (33, 42)
    assert not reached[:, 43:].any()
    assert np.isneginf(near[:, 43:]).all()


def test_outside_the_other_eyes_view_nothing_is_laid():
    _, _, reached = forward_warp(stripe(100, 120), flat(7), EVERYWHERE, Eye.LEFT)
    assert not reached[:, 113:].any()
    assert reached[:, :112].all()


def test_the_right_eye_mirrors_the_left():
    disparity = flat(5)
    disparity[:, 40:60] = 14.25
    disparity[:, 60:] += np.linspace(0, 6, 60, dtype=np.float32)
    matte = stripe(40, 90)
    matte[:, 60] = 0.4
    believed = EVERYWHERE.copy()
    believed[:, 100:110] = False
    there = forward_warp(matte, disparity, believed, Eye.LEFT)
    flipped = (np.ascontiguousarray(part[:, ::-1]) for part in (matte, disparity, believed))
    back = forward_warp(*flipped, Eye.RIGHT)
    # Positions within a span are rounded from the other end.
    assert np.array_equal(there[2], back[2][:, ::-1])
    assert np.abs(there[0] - back[0][:, ::-1]).max() < 1e-4


# --- the sheet ------------------------------------------------------------------------------------


def test_the_nearest_known_value_counts():
    values, known = np.zeros((9, 9), np.float32), np.zeros((9, 9), np.bool_)
    values[2, 2], values[6, 7], values[4, 4] = 3, 8, 99
    known[2, 2] = known[6, 7] = True
    filled, distance = carried_outwards(values, known)
    assert filled[0, 0] == filled[2, 2] == 3
    assert filled[8, 8] == filled[6, 6] == 8
    assert not (filled == 99).any()
    assert distance[2, 2] == 0
    assert distance[2, 4] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("axis_m", [0.4, 1.0, 3.0])
def test_somebody_upright_is_as_near_everywhere(axis_m):
    """Points on a cylinder about the camera's vertical axis: disparity over `upright` is flat."""
    where = PixelRect(120, 60, 390, 460)
    yaw, height_m = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-0.5, 0.5, 40))
    x, y, z = axis_m * np.sin(yaw), axis_m * height_m, axis_m * np.cos(yaw)
    left, right = (Cassini(512).pixels(x + side * 0.032, y, z) for side in (1, -1))
    disparity, column, row = left[0] - right[0], (left[0] + right[0]) / 2, left[1]
    at = (row - 0.5).astype(int) - where.top, (column - 0.5).astype(int) - where.left
    nearness = disparity / upright(where, 512)[at]
    assert np.ptp(disparity) / disparity.mean() > 0.4
    # The half pixel that indexing rounds off, and at 0.4 m the chord's second order.
    assert np.ptp(nearness) / nearness.mean() < 0.06


def test_a_soft_edge_carries_the_persons_disparity():
    """Whatever a matcher says near the outline, and a wild value inside."""
    where = PixelRect(0, 0, 256, 256)
    exact = 20 * upright(where, 256)
    matte = np.zeros((256, 256), np.float32)
    matte[60:200, 90:170] = 1
    inside = np.zeros_like(matte, np.bool_)
    inside[63:197, 93:167] = True
    dense = np.where(inside, exact, np.float32(1))
    dense[120, 130] = 300
    found, distance = sheet_of(dense, matte, where, 256)
    around = np.s_[50:210, 80:180]
    # At the outline itself the first pixels inside already speak of what lies behind, weakly.
    assert np.abs(found - exact)[around].mean() < 0.35
    assert np.abs(found - exact)[70:190, 100:160].max() < 0.2
    assert distance[130, 130] == 0
    assert distance[130, 80] == pytest.approx(11.5, abs=1)


def test_nobody_has_no_sheet():
    where = PixelRect(0, 0, 64, 64)
    faint = np.full((64, 64), 0.5, np.float32)
    found, distance = sheet_of(np.ones_like(faint), faint, where, 64)
    assert not found.any()
    assert np.isinf(distance).all()


# --- people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "eye_px", "share", "least"),
    [
        # The smallest person is 25 px wide here; at a third of the size outlines weigh thrice.
        ("several", 512, 1.25, 0.98),
        pytest.param("one", 1536, 1.0, 0.99, marks=pytest.mark.slow),
        pytest.param("crossing", 1536, 1.0, 0.99, marks=pytest.mark.slow),
        pytest.param("several", 1536, 1.0, 0.99, marks=pytest.mark.slow),
        # Hair half a metre away is one pixel wide: the way there and back needs more samples.
        pytest.param("near and far", 1536, 1.25, 0.99, marks=pytest.mark.slow),
    ],
)
def test_people_arrive_by_exact_disparity(name, eye_px, share, least):
    truth, size = stereo_truth(name, eye_px), round(eye_px * share)
    everywhere = np.ones((size, size), np.bool_)
    for source in EYES:
        for person in truth.people:
            matte = in_cassini(truth.matte(source, person), size) / np.float32(255)
            laid, _, _ = forward_warp(
                matte, truth.disparity(source, person, size), everywhere, source
            )
            found = in_equirect(np.rint(laid * 255).astype(np.uint8), eye_px)
            expected = truth.matte(other_of(source), person)
            mad, overlap = band_mad(found, expected), iou(found, expected)
            print(f"{name} {eye_px} person {person}: {1000 * mad:.1f}e-3, IoU {overlap:.4f}")
            assert mad <= 20e-3
            assert overlap >= least
