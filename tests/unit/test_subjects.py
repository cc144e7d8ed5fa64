from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from support.people import person_of
from vrmatte.frames import Eye
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.subjects import (
    LINGER_SECONDS,
    ExcludedRegion,
    People,
    Person,
    Shot,
    SourceIdentity,
    Subjects,
    TimedBox,
    TimedPoint,
)

NEAR, FAR = AngularBox(0, 10, -20, 0), AngularBox(10, 30, -30, 10)
MIDDLE = AngularBox(5, 20, -25, 5)


def person(frames, left, right=None, first=0, last=100):
    return person_of(1, True, first, last, frames, left, left if right is None else right)


def test_boxes_move_evenly_between_frames_and_stand_still_beyond_them():
    somebody = person((10, 20), (NEAR, FAR), first=5, last=30)
    assert somebody.box_at(15, Eye.LEFT) == MIDDLE
    assert somebody.box_at(12, Eye.RIGHT).pitch_min_deg == pytest.approx(-22)
    assert somebody.box_at(10, Eye.LEFT) == somebody.box_at(5, Eye.LEFT) == NEAR
    assert somebody.box_at(20, Eye.LEFT) == somebody.box_at(29, Eye.LEFT) == FAR


def test_nobody_is_there_before_the_first_and_after_the_last_frame():
    somebody = person((10, 20), (NEAR, FAR), first=5, last=30)
    assert somebody.box_at(4, Eye.LEFT) is None
    assert somebody.box_at(30, Eye.LEFT) is None
    assert [somebody.is_there(frame) for frame in (4, 5, 29, 30)] == [False, True, True, False]


def test_unknown_boxes_are_bridged_in_their_eye_alone():
    somebody = person((0, 10, 20), (NEAR, None, FAR), (None, NEAR, None))
    assert somebody.box_at(10, Eye.LEFT) == MIDDLE
    assert somebody.box_at(0, Eye.RIGHT) == somebody.box_at(20, Eye.RIGHT) == NEAR
    assert person((0,), (NEAR,), (None,)).box_at(0, Eye.RIGHT) is None


def test_seen_boxes_end_with_the_boxes_of_their_eye():
    somebody = person((0, 10, 20), (NEAR, None, FAR), (None, NEAR, None))
    assert somebody.seen_box_at(10, Eye.LEFT) == MIDDLE
    assert somebody.seen_box_at(20, Eye.LEFT) == FAR
    assert somebody.seen_box_at(21, Eye.LEFT) is None
    seen = [somebody.seen_box_at(frame, Eye.RIGHT) for frame in (9, 10, 11)]
    assert seen == [None, NEAR, None]


def test_widened_within_the_shot():
    somebody = person((10, 20), (NEAR, FAR), first=10, last=21).widened(6, 7, 90)
    assert (somebody.first, somebody.last) == (7, 27)
    assert somebody.box_at(7, Eye.LEFT) == NEAR
    assert somebody.box_at(26, Eye.LEFT) == FAR


def test_disparity_is_a_mean_of_the_boxes_nearest_in_time():
    left = tuple(AngularBox(at, at + 10, 0, 1) for at in (1, 2, 3, 4, 5, 60))
    right = (None, *[AngularBox(0, 10, 0, 1)] * 5)
    somebody = person((0, 1, 2, 3, 4, 50), left, right)
    # Frame 0 is seen by one eye only; the five others are all there are.
    assert somebody.disparity_deg(0) == pytest.approx((2 + 3 + 4 + 5 + 60) / 5)
    assert person((0,), (NEAR,), (None,)).disparity_deg(0) is None


def test_scores_run_evenly_between_boxes_and_stand_still_beyond():
    boxes = tuple(TimedBox(frame, NEAR, NEAR, score) for frame, score in ((10, 0.6), (20, 0.8)))
    somebody = Person(1, "person", True, 0.7, boxes)
    scores = [somebody.score_at(frame) for frame in (0, 10, 15, 20, 90)]
    assert scores == pytest.approx([0.6, 0.6, 0.7, 0.8, 0.8])


@pytest.mark.parametrize("frames", [(), (1, 0), (1, 1)])
def test_boxes_must_exist_and_their_frames_must_rise(frames):
    with pytest.raises(ValueError, match="person 3"):
        Person(3, "person", True, 0.9, tuple(TimedBox(f, NEAR, NEAR, 0.9) for f in frames))


def test_a_region_applies_in_its_time():
    region = ExcludedRegion(5, 7, NEAR)
    assert [region.box_at(frame) for frame in (4, 5, 6, 7)] == [None, NEAR, NEAR, None]


def test_boxes_drawn_by_hand_and_points_are_known_by_their_frames():
    somebody = person((20, 30, 39), (NEAR,) * 3, first=20, last=40)
    assert somebody.frames_by_hand == ()
    drawn = replace(somebody.boxes[1], score=1.0)
    points = (TimedPoint(39, "left", 1, 2, True), TimedPoint(25, "right", 3, 4, False))
    somebody = replace(somebody, boxes=(somebody.boxes[0], drawn, somebody.boxes[2]), points=points)
    assert somebody.frames_by_hand == (25, 30, 39)


def document(*people: Person) -> People:
    source = SourceIdentity("f" * 64, 100, 2048, 1024, Fraction(30))
    return People(source, (Shot(0, 50), Shot(50, 100)), people, ())


def test_excluded_people_linger_within_their_shot_and_kept_ones_do_not():
    frames = round(LINGER_SECONDS * 30)
    kept = person((20, 39), (NEAR, FAR), first=20, last=40)
    out = replace(kept, id=2, keep=False)
    late = replace(person((52, 95), (NEAR, FAR), first=52, last=96), id=3, keep=False)
    subjects = Subjects.of(document(kept, out, late))
    assert [(p.first, p.last) for p in subjects.people] == [
        (20, 40),
        (20 - frames, 40 + frames),
        (50, 100),
    ]
    assert subjects.anything_leaves
    assert not Subjects.of(document(kept)).anything_leaves


def test_excluded_people_whose_boxes_cross_a_cut_stay_excluded_after_it():
    across = replace(person((20, 70), (NEAR, FAR), first=20, last=71), keep=False)
    (somebody,) = Subjects.of(document(across)).people
    assert somebody.box_at(70, Eye.LEFT) == FAR
