from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from support.people import person_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Viewport
from vrmatte.matting.prompts.prompts import LINGER_FRAMES, PromptedEngine, Prompter, box_in_picture
from vrmatte.people.sphere import from_viewport_box
from vrmatte.subjects import TimedPoint

PICTURE = Viewport(20, -10, 60, 80).picture(240, 320)
NEAR, FAR = AngularBox(10, 30, -30, 10), AngularBox(12, 28, -20, 5)


class Listener:
    follows_back = None

    def tell(self, view, told):
        pass


def person(number, frames, bounds=NEAR, keep=True, shift=2.0):
    """Seen by the right eye `shift` degrees further left: the nearer, the more."""
    right = bounds.shifted(-shift)
    count = len(frames)
    return person_of(
        number, keep, frames[0], frames[-1] + 1, frames, (bounds,) * count, (right,) * count
    )


def told(people, index, interval=30, picture=PICTURE):
    return Prompter(people, interval).told(index, picture)


def test_boxes_come_back_where_a_view_found_them():
    """There by the oval in the box, back by the oval in the bounds, which isn't quite the same."""
    for box in ((40, 30, 130, 290), (100, 100, 140, 220), (20, 5, 220, 200)):
        bounds = from_viewport_box(PICTURE, *box)
        assert bounds is not None
        found = box_in_picture(bounds, PICTURE)
        assert found == pytest.approx(box, abs=0.06 * max(240, 320))


def test_whole_eyes_have_places_too():
    eye = HalfEquirect(180)
    assert box_in_picture(AngularBox(-10, 10, -20, 20), eye) == pytest.approx((80, 70, 100, 110))


@pytest.mark.parametrize(
    "bounds",
    [AngularBox(-80, -60, -30, 10), AngularBox(50.2, 60, -30, 10), AngularBox(10, 30, 60, 80)],
)
def test_who_is_not_in_the_picture_has_no_box(bounds):
    assert box_in_picture(bounds, PICTURE) is None


def test_who_reaches_over_the_border_is_cut_there():
    left, top, right, bottom = box_in_picture(AngularBox(-30, 10, -80, 10), PICTURE)
    assert (left, bottom) == (0, 320)
    assert 0 < top < bottom
    assert left < right < 240


def test_each_eye_has_its_own_box():
    one, other = told([person(1, (0, 9))], 4).seen
    assert (one.picture, other.picture) == (0, 1)
    assert one.box_px[0] > other.box_px[0] + 2


def test_who_is_due():
    frames = tuple(range(0, 100, 15))
    due = [index for index in range(100) if told([person(1, frames)], index).due]
    assert due == [0, 30, 60, 90]
    assert [i for i in range(100) if told([person(1, frames)], i, interval=0).due] == [0]
    # Boxes between two that were taken are a guess.
    assert not told([person(1, (0, 60))], 30).due


def test_nobody_is_pointed_at_anew_behind_somebody_nearer():
    near, far = person(1, (0, 40), NEAR, shift=3), person(2, (0, 40), FAR, shift=1)
    assert told([near, far], 40).due == {1}
    assert {prompt.person for prompt in told([near, far], 40).seen} == {1, 2}
    aside = person(2, (0, 40), AngularBox(32, 45, -20, 5), shift=1)
    assert told([near, aside], 40).due == {1, 2}


def test_what_was_said_by_hand_counts_at_its_frame():
    points = (
        TimedPoint(7, "left", 20, -10, True),
        TimedPoint(7, "left", 12, 0, False),
        TimedPoint(7, "right", 80, 0, True),
    )
    someone = replace(person(1, (0, 40)), points=points)
    found = told([someone], 7)
    assert found.due == {1}
    left, right = found.seen
    assert [p.is_person for p in left.points] == [True, False]
    assert (left.points[0].x_px, left.points[0].y_px) == pytest.approx((120, 160))
    assert right.points == (), "outside this picture"
    assert told([someone], 8).due == set()
    assert told([someone], 8).seen[0].points == ()


def test_who_is_kept_and_who_is_not():
    people = [person(1, (0, 9)), person(2, (0, 9), FAR, keep=False)]
    found = told(people, 4)
    assert (found.kept, found.excluded) == ({1}, {2})


def test_people_about_to_come_are_looked_for():
    someone = person(1, (20, 30))
    assert told([someone], 20 - LINGER_FRAMES - 1).perhaps == ()
    before = told([someone], 20 - LINGER_FRAMES)
    assert (before.seen, before.kept) == ((), frozenset())
    assert [p.box_px for p in before.perhaps] == [p.box_px for p in told([someone], 20).seen]
    assert told([someone], 30 + LINGER_FRAMES).perhaps
    assert not told([someone], 31 + LINGER_FRAMES).perhaps
    assert not told([person(1, (20, 30), keep=False)], 15).perhaps


def test_excluded_people_are_not_pointed_at_before_they_were_seen():
    widened = person(1, (20, 30), keep=False).widened(7, 0, 100)
    assert told([widened], 15).seen == ()
    assert told([widened], 15).excluded == {1}
    assert told([widened], 20).seen


def test_who_is_followed_back_and_belongs_in_the_matte_is_coming():
    people = [person(1, (20, 30)), person(2, (20, 30), FAR, keep=False), person(3, (21, 30))]
    masks = dict.fromkeys((1, 2), np.zeros((2, 320, 240), np.float32))
    told = Prompter(people).told(15, PICTURE, masks)
    assert told.earlier.keys() == {1, 2}
    assert told.coming == {1}
    assert {prompt.person for prompt in told.perhaps} == {1, 3}


def test_people_are_first_pointed_at_as_they_are_where_they_are_first_seen():
    points = (TimedPoint(20, "left", 20, -10, True),)
    someone = replace(person(1, (20, 30)), points=points)
    prompter = Prompter([someone])
    first = prompter.first_prompts(someone, PICTURE)
    assert first == prompter.told(20, PICTURE).seen
    assert first[0].points


def test_engines_that_take_prompts_are_known_by_it():
    assert isinstance(Listener(), PromptedEngine)
    assert not isinstance(object(), PromptedEngine)
    assert math.isfinite(np.float32(1))
