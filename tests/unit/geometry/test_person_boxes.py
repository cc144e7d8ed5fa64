import pytest

from vrmatte.frames import Eye
from vrmatte.geometry.person_boxes import Bounds, ExcludedRegion, PersonBoxes

NEAR, FAR = Bounds(0, 10, -20, 0), Bounds(10, 30, -30, 10)


def person(frames, left, right=None, first=0, last=100, keep=True):
    return PersonBoxes(1, keep, first, last, frames, left, left if right is None else right)


def test_boxes_move_evenly_between_frames_and_stand_still_beyond_them():
    somebody = person((10, 20), (NEAR, FAR), first=5, last=30)
    assert somebody.at(15, Eye.LEFT) == (5, 20, -25, 5)
    assert somebody.at(12, Eye.RIGHT) == pytest.approx((2, 14, -22, 2))
    assert somebody.at(10, Eye.LEFT) == somebody.at(5, Eye.LEFT) == NEAR
    assert somebody.at(20, Eye.LEFT) == somebody.at(29, Eye.LEFT) == FAR


def test_nobody_is_there_before_the_first_and_after_the_last_frame():
    somebody = person((10, 20), (NEAR, FAR), first=5, last=30)
    assert somebody.at(4, Eye.LEFT) is None
    assert somebody.at(30, Eye.LEFT) is None
    assert not somebody.is_there(30)


def test_unknown_boxes_are_bridged_in_their_eye_alone():
    somebody = person((0, 10, 20), (NEAR, None, FAR), (None, NEAR, None))
    assert somebody.at(10, Eye.LEFT) == (5, 20, -25, 5)
    assert somebody.at(0, Eye.RIGHT) == somebody.at(20, Eye.RIGHT) == NEAR
    assert person((0,), (NEAR,), (None,)).at(0, Eye.RIGHT) is None


def test_widened_within_the_shot():
    somebody = person((10, 20), (NEAR, FAR), first=10, last=21).widened(6, 7, 90)
    assert (somebody.first, somebody.last) == (7, 27)
    assert somebody.at(7, Eye.LEFT) == NEAR
    assert somebody.at(26, Eye.LEFT) == FAR


def test_disparity_is_a_mean_of_the_boxes_nearest_in_time():
    left = tuple(Bounds(at, at + 10, 0, 1) for at in (1, 2, 3, 4, 5, 60))
    right = (None, *[Bounds(0, 10, 0, 1)] * 5)
    somebody = person((0, 1, 2, 3, 4, 50), left, right)
    # Frame 0 is seen by one eye only; the five others are all there are.
    assert somebody.disparity_deg(0) == pytest.approx((2 + 3 + 4 + 5 + 60) / 5)
    assert person((0,), (NEAR,), (None,)).disparity_deg(0) is None


@pytest.mark.parametrize(
    ("frames", "left", "right"),
    [
        ((0, 1), (NEAR,), (NEAR, NEAR)),
        ((0,), (NEAR,), (NEAR, NEAR)),
        ((1, 0), (NEAR, NEAR), (NEAR, NEAR)),
        ((1, 1), (NEAR, NEAR), (NEAR, NEAR)),
    ],
)
def test_what_makes_no_sense_is_refused(frames, left, right):
    with pytest.raises(ValueError, match="person 1"):
        person(frames, left, right)


def test_a_region_counts_in_its_eyes_and_its_time():
    both, left = (ExcludedRegion(NEAR, eye, 5, 7) for eye in ("both", "left"))
    assert [both.at(frame, Eye.RIGHT) for frame in (4, 5, 6, 7)] == [None, NEAR, NEAR, None]
    assert left.at(5, Eye.LEFT) == NEAR
    assert left.at(5, Eye.RIGHT) is None
