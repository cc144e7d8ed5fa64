from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrmatte.geometry.angular_box import HEMISPHERE, AngularBox
from vrmatte.geometry.viewport import Viewport
from vrmatte.people.sphere import CutSides, EyeSighting, from_viewport_box, merge_sightings

SIZE = 416


def angles(low, high):
    return st.floats(low, high, allow_nan=False)


@st.composite
def boxes(draw):
    yaw, pitch = draw(angles(-90, 80)), draw(angles(-90, 80))
    wide, tall = draw(angles(0.1, 90 - yaw)), draw(angles(0.1, 90 - pitch))
    return AngularBox(yaw, yaw + wide, pitch, pitch + tall)


def test_area_is_solid_angle():
    # A hemisphere has 2 pi steradians.
    assert HEMISPHERE.area_deg2 == pytest.approx(2 * math.pi * (180 / math.pi) ** 2)
    assert AngularBox(-0.5, 0.5, 59.5, 60.5).area_deg2 == pytest.approx(0.5, rel=1e-3)


@settings(deadline=None)
@given(boxes(), boxes())
def test_overlap(a, b):
    # Sums and differences of a few doubles.
    assert a.iou(a) == pytest.approx(1)
    assert a.iou(b) == pytest.approx(b.iou(a))
    union = a.union(b)
    assert a.share_in(union) == pytest.approx(1)
    assert b.share_in(union) == pytest.approx(1)
    shared = a.intersection(b)
    if shared is None:
        assert (a.iou(b), a.share_in(b)) == (0, 0)
    else:
        assert shared.area_deg2 <= min(a.area_deg2, b.area_deg2) * (1 + 1e-9)
        assert a.share_in(b) == pytest.approx(shared.area_deg2 / a.area_deg2)


def test_holds_its_center_and_not_its_outside():
    box = AngularBox(-10, 30, -40, 0)
    assert box.center == (10, -20)
    assert box.holds(*box.center)
    assert not box.holds(31, -20)
    assert not box.holds(10, 1)
    assert box.shifted(5) == AngularBox(-5, 35, -40, 0)


def test_an_empty_box_overlaps_nothing():
    point = AngularBox(0, 0, 0, 0)
    assert point.iou(point) == 0
    assert point.share_in(HEMISPHERE) == 0


def test_a_box_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="before it begins"):
        AngularBox(1, 0, 0, 1)


def test_clipped_to_the_hemisphere():
    assert AngularBox(60, 110, -95, 5).clipped() == AngularBox(60, 90, -90, 5)
    assert AngularBox(91, 110, 0, 5).clipped() is None


def pixel(picture, yaw_deg, pitch_deg):
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    direction = math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)
    x, y = picture.pixels(*(np.array([part]) for part in direction))
    return float(x[0]), float(y[0])


def test_bounds_straight_ahead():
    picture = Viewport(0, 0, 90, 90).picture(SIZE, SIZE)
    left, top = pixel(picture, -20, 0)[0], pixel(picture, 0, 15)[1]
    box = from_viewport_box(picture, left, top, SIZE - left, SIZE - top)
    assert astuple(box) == pytest.approx((-20, 20, -15, 15), abs=0.01)


@pytest.mark.parametrize("projection", ["perspective", "stereographic"])
@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0, 0), (-50, -15), (60, -40), (10, 30)])
def test_bounds_of_an_upright_oval(projection, yaw_deg, pitch_deg):
    """An oval of known bounds on the sphere is boxed in the picture and found again."""
    picture = Viewport(yaw_deg, pitch_deg, 90, 90, projection).picture(SIZE, SIZE)
    turn = np.linspace(0, 2 * math.pi, 100)
    points = [
        pixel(picture, yaw_deg + 6 * math.cos(t), pitch_deg + 5 + 12 * math.sin(t)) for t in turn
    ]
    x, y = np.array(points).T
    box = from_viewport_box(picture, x.min(), y.min(), x.max(), y.max())
    truth = AngularBox(yaw_deg - 6, yaw_deg + 6, pitch_deg - 7, pitch_deg + 17)
    # Shapes bend a little between the projections.
    assert box.iou(truth) > 0.9


def test_bounds_end_with_the_hemisphere():
    picture = Viewport(60, 0, 90, 90).picture(SIZE, SIZE)
    box = from_viewport_box(picture, pixel(picture, 80, 0)[0], 150, SIZE, 250)
    assert box.yaw_min_deg == pytest.approx(80, abs=0.1)
    assert box.yaw_max_deg == 90
    behind = pixel(picture, 95, 0)[0]
    assert from_viewport_box(picture, behind, 200, SIZE, 216) is None


def test_a_box_across_straight_behind_is_behind():
    picture = Viewport(150, 0, 90, 90).picture(SIZE, SIZE)
    assert from_viewport_box(picture, 100, 100, 400, 300) is None


def test_a_box_around_the_pole_holds_all_yaws():
    picture = Viewport(0, -60, 100, 100).picture(SIZE, SIZE)
    x, y = pixel(picture, 0, -90)
    box = from_viewport_box(picture, x - 20, y - 20, x + 20, y + 20)
    assert (box.yaw_min_deg, box.yaw_max_deg, box.pitch_min_deg) == (-90, 90, -90)


WHOLE_PERSON = AngularBox(-10, 14, -40, 6)


def test_sightings_of_one_person_become_one():
    merged = merge_sightings(
        [
            EyeSighting(WHOLE_PERSON, 0.6),
            EyeSighting(WHOLE_PERSON.shifted(2), 0.9),
            EyeSighting(WHOLE_PERSON.shifted(-1), 0.3),
        ]
    )
    assert len(merged) == 1
    assert merged[0].score == 0.9
    # The mean of the shifts, weighted by score.
    assert merged[0].box.center[0] == pytest.approx(2 + (2 * 0.9 - 0.3) / 1.8)


def test_people_side_by_side_stay_apart_best_first():
    other = WHOLE_PERSON.shifted(20)
    merged = merge_sightings([EyeSighting(WHOLE_PERSON, 0.6), EyeSighting(other, 0.9)])
    assert [s.box.center for s in merged] == [
        pytest.approx(b.center) for b in (other, WHOLE_PERSON)
    ]


def test_a_small_person_behind_a_large_one_stays():
    behind = AngularBox(-2, 6, -25, 3)
    merged = merge_sightings([EyeSighting(WHOLE_PERSON, 0.9), EyeSighting(behind, 0.8)])
    assert [s.box.center for s in merged] == [
        pytest.approx(b.center) for b in (WHOLE_PERSON, behind)
    ]


def test_a_fragment_joins_the_whole_and_does_not_shrink_it():
    half = AngularBox(-10, 3, -40, 6)
    for sightings in (
        [EyeSighting(half, 0.95, CutSides(right=True)), EyeSighting(WHOLE_PERSON, 0.7)],
        [EyeSighting(WHOLE_PERSON, 0.7), EyeSighting(half, 0.95, CutSides(right=True))],
    ):
        (merged,) = merge_sightings(sightings)
        assert astuple(merged.box) == pytest.approx(astuple(WHOLE_PERSON))
        assert (merged.score, merged.cut.any) == (0.95, False)


def test_a_fragment_widens_the_whole_where_its_own_side_is_not_cut():
    arm = EyeSighting(AngularBox(-20, 3, -35, 4), 0.5, CutSides(right=True))
    (merged,) = merge_sightings([EyeSighting(WHOLE_PERSON, 0.7), arm])
    assert astuple(merged.box) == pytest.approx((-20, 14, -40, 6))
    arm = EyeSighting(AngularBox(-20, 3, -35, 4), 0.5, CutSides(left=True))
    (merged,) = merge_sightings([EyeSighting(WHOLE_PERSON, 0.7), arm])
    assert astuple(merged.box) == pytest.approx(astuple(WHOLE_PERSON))


def test_an_unlikely_fragment_does_not_widen_the_whole():
    smear = EyeSighting(AngularBox(-60, 3, -35, 4), 0.2, CutSides(right=True))
    part = EyeSighting(AngularBox(-20, 3, -35, 4), 0.2, CutSides(right=True))
    assert len(merge_sightings([EyeSighting(WHOLE_PERSON, 0.8), smear])) == 2
    (merged,) = merge_sightings([EyeSighting(WHOLE_PERSON, 0.8), part])
    assert astuple(merged.box) == pytest.approx(astuple(WHOLE_PERSON))


def test_fragments_make_up_the_whole_where_no_view_has_it():
    upper = EyeSighting(AngularBox(-9, 14, -35, 6), 0.8, CutSides(bottom=True))
    lower = EyeSighting(AngularBox(-10, 13, -70, -5), 0.8, CutSides(top=True))
    (merged,) = merge_sightings([upper, lower])
    assert merged.box == AngularBox(-10, 14, -70, 6)
    assert not merged.cut.any


def test_a_side_that_no_view_sees_whole_stays_cut():
    near = EyeSighting(AngularBox(-10, 14, -60, 6), 0.8, CutSides(bottom=True))
    less = EyeSighting(AngularBox(-10, 14, -50, 6), 0.9, CutSides(bottom=True))
    (merged,) = merge_sightings([near, less])
    assert merged.cut == CutSides(bottom=True)
    assert merged.box.pitch_min_deg == -60


def test_fragments_of_neighbours_do_not_join():
    left = EyeSighting(AngularBox(-20, 0, -35, 6), 0.8, CutSides(bottom=True))
    right = EyeSighting(AngularBox(-2, 18, -70, -5), 0.8, CutSides(top=True))
    assert len(merge_sightings([left, right])) == 2


def test_nobody():
    assert merge_sightings([]) == []
