from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from vrmatte.frames import EYES
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.people.outline import fit, outlines_of
from vrmatte.people.viewports import (
    LINGER_FRAMES,
    MARGIN,
    OPENS_EARLY_FRAMES,
    people_of,
    viewports_for,
)
from vrmatte.subjects import Person, Shot, TimedBox

RATE = Fraction(30)
WHOLE = (Shot(0, 300),)


def box(yaw, pitch=-15.0, width=20.0, height=50.0):
    return AngularBox(
        max(yaw - width / 2, -90),
        min(yaw + width / 2, 90),
        max(pitch - height / 2, -90),
        min(pitch + height / 2, 90),
    )


def person(number, *places, every=15, first=0, shift=1.0, **size):
    """A person whose boxes are at these yaws (or yaw, pitch), one every few frames."""
    boxes = []
    for i, place in enumerate(places):
        yaw, pitch = place if isinstance(place, tuple) else (place, -15.0)
        left, right = box(yaw + shift, pitch, **size), box(yaw - shift, pitch, **size)
        boxes.append(TimedBox(first + every * i, left, right, 0.9))
    return Person(number, "person", True, 0.9, tuple(boxes))


def covers(path, people, margin=1.0):
    """Whether every box, rounded at its corners, lies in the viewport at its time."""
    for one in people:
        for frame in range(one.first, one.last):
            view = path.at(frame)
            for eye in EYES:
                b = one.seen_box_at(frame, eye)
                angles = np.linspace(0, 2 * np.pi, 32)
                yaw = np.radians(b.center[0] + margin * b.width_deg / 2 * np.cos(angles))
                pitch = np.radians(b.center[1] + margin * b.height_deg / 2 * np.sin(angles))
                x, y = view.picture(100, 100).pixels(
                    np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)
                )
                if not view.picture(100, 100).covers(x, y).all():
                    return False
    return True


def test_who_stays_gets_one_still_viewport():
    one = person(1, *[20, 21, 19, 20, 20] * 4)
    (path,) = viewports_for([one], WHOLE, RATE)
    assert (path.name, path.first, path.last) == ("person-1", 0, 286 + LINGER_FRAMES)
    assert len(path.turns) == 1
    view = path.at(0)
    assert (view.yaw_deg, view.projection) == (pytest.approx(20, abs=1), "perspective")
    # Standing people get tall, narrow viewports.
    assert path.hfov_deg < 0.6 * path.vfov_deg
    assert covers(path, [one], margin=1.15)


@pytest.mark.parametrize("at", [(0, -15), (60, 20), (-70, -40), (10, -60)])
def test_the_margin_holds_everywhere(at):
    one = person(1, at, at, at, width=25, height=40)
    (path,) = viewports_for([one], WHOLE, RATE)
    fitted = fit(outlines_of([one], 0, 300, 3).directions)
    half = math.tan(math.radians(path.vfov_deg / 2))
    assert half == pytest.approx(MARGIN * fitted.half_height, rel=1e-3)
    assert covers(path, [one], margin=1.1)


def test_the_middle_of_the_fit_is_the_middle_of_what_is_seen():
    fitted = fit(outlines_of([person(1, (30, -50), width=40, height=40)], 0, 1, 1).directions)
    assert fitted.yaw_deg == pytest.approx(30, abs=0.1)
    # Far below the horizon a box's lower corners are far nearer to each other.
    assert -55 < fitted.pitch_deg < -45


def test_who_walks_far_is_followed():
    walker = person(1, *np.linspace(-60, 60, 20))
    (path,) = viewports_for([walker], WHOLE, RATE)
    assert 3 <= len(path.turns) <= 20
    assert path.hfov_deg < 70
    assert covers(path, [walker], margin=1.05)
    yaws = [turn.yaw_deg for turn in path.turns]
    assert yaws == sorted(yaws)


def test_who_paces_a_little_is_not_followed():
    pacer = person(1, *[0, 3, 5, 3, 0, -3, -5, -3] * 2)
    (path,) = viewports_for([pacer], WHOLE, RATE)
    assert len(path.turns) == 1


def test_who_is_cheaper_to_follow_is_followed():
    walker = person(1, *np.linspace(-25, 25, 10))
    (path,) = viewports_for([walker], WHOLE, RATE)
    assert len(path.turns) > 1
    # A still viewport would be possible, but much larger than the person.
    assert path.hfov_deg < 50


@pytest.mark.parametrize("reach", range(30, 61, 5))
def test_steps_are_even(reach):
    walker = person(1, *np.linspace(-reach, reach, 20))
    (path,) = viewports_for([walker], WHOLE, RATE)
    lasting = np.diff([*(turn.frame for turn in path.turns), walker.last])
    assert lasting.max() < 2 * lasting.min()


def test_a_viewport_opens_before_and_closes_after_its_person():
    one = person(1, 0, 0, 0, first=100)
    (path,) = viewports_for([one], WHOLE, RATE)
    assert (path.first, path.last) == (100 - OPENS_EARLY_FRAMES, 131 + LINGER_FRAMES)


def test_a_viewport_stays_within_its_shot():
    shots = (Shot(0, 98), Shot(98, 135), Shot(135, 300))
    one = person(1, 0, 0, 0, first=100)
    (path,) = viewports_for([one], shots, RATE)
    assert (path.first, path.last, path.name) == (98, 135, "person-1")


def test_a_person_drawn_across_a_cut_gets_a_viewport_in_each_shot():
    shots = (Shot(0, 100), Shot(100, 300))
    paths = viewports_for([person(1, *[0] * 10)], shots, RATE)
    assert [(p.name, p.first, p.last) for p in paths] == [
        ("person-1@0", 0, 100),
        ("person-1@100", 100, 136 + LINGER_FRAMES),
    ]
    assert [people_of(p) for p in paths] == [{1}, {1}]


def test_people_together_share_a_viewport():
    couple = [person(1, *[0] * 10), person(2, *[12] * 10)]
    (path,) = viewports_for(couple, WHOLE, RATE)
    assert path.name == "people-1-2"
    assert people_of(path) == {1, 2}
    assert covers(path, couple, margin=1.1)


def test_people_apart_do_not():
    apart = [person(1, *[-30] * 10), person(2, *[30] * 10)]
    assert [p.name for p in viewports_for(apart, WHOLE, RATE)] == ["person-1", "person-2"]


def test_neighbours_of_other_shapes_do_not():
    tall = person(1, *[0] * 10, width=14, height=70)
    lying = person(2, *[(40, -45)] * 10, width=60, height=12)
    assert len(viewports_for([tall, lying], WHOLE, RATE)) == 2


def test_who_was_there_long_before_shares_nothing():
    paths = viewports_for([person(1, 0, 0), person(2, 0, 0, first=200)], WHOLE, RATE)
    assert [p.name for p in paths] == ["person-1", "person-2"]


def test_people_who_only_pass_do_not():
    steps = np.linspace(-50, 50, 20)
    paths = viewports_for([person(1, *steps), person(2, *-steps)], WHOLE, RATE)
    assert [p.name for p in paths] == ["person-1", "person-2"]


def test_a_wide_body_gets_a_stereographic_viewport():
    near = person(1, *[(0, -35)] * 5, width=120, height=80)
    (path,) = viewports_for([near], WHOLE, RATE)
    assert path.projection == "stereographic"
    assert len(path.turns) == 1
    assert covers(path, [near], margin=1.1)


def test_small_people_get_no_pinhole():
    (path,) = viewports_for([person(1, 0, 0, 0, width=4, height=10)], WHOLE, RATE)
    assert path.hfov_deg == pytest.approx(25, abs=0.1)


def test_strays_of_one_eye_are_left_out():
    one = person(1, *[0] * 5)
    stray = TimedBox(30, box(30, width=70), one.boxes[2].right, 0.9)
    strayed = Person(1, "person", True, 0.9, (*one.boxes[:2], stray, *one.boxes[3:]))
    assert viewports_for([strayed], WHOLE, RATE) == viewports_for([one], WHOLE, RATE)


def test_what_both_eyes_see_is_no_stray():
    one = person(1, *[0] * 5)
    arm = TimedBox(30, box(10, width=40), box(8, width=40), 0.9)
    raised = Person(1, "person", True, 0.9, (*one.boxes[:2], arm, *one.boxes[3:]))
    (path,) = viewports_for([raised], WHOLE, RATE)
    assert covers(path, [raised])


def test_seen_by_one_eye_only():
    left_only = Person(1, "person", True, 1, (TimedBox(0, box(-80), None, 1),))
    (path,) = viewports_for([left_only], WHOLE, RATE)
    assert path.at(0).yaw_deg == pytest.approx(-80, abs=2)


def test_nobody_needs_no_viewport():
    assert viewports_for([], WHOLE, RATE) == ()


@pytest.mark.parametrize("name", ["drawn by hand", "person-", "person-1x", "zone-1"])
def test_viewports_of_other_names_show_nobody_in_particular(name):
    (path,) = viewports_for([person(1, 0)], WHOLE, RATE)
    renamed = type(path)(name, path.first, path.last, path.hfov_deg, path.vfov_deg, path.turns)
    assert people_of(renamed) == frozenset()
