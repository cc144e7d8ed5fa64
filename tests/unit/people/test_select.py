from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.people.select import chosen, kept_people, kind_of
from vrmatte.subjects import People, Person, Shot, SourceIdentity, TimedBox

LEGS = AngularBox(-35, 45, -90, -40)


def boxes(box, shift=5.0, count=4, drift=0.0):
    right = box.shifted(-shift)
    return tuple(
        TimedBox(15 * i, box.shifted(drift * i), right.shifted(drift * i), 0.8)
        for i in range(count)
    )


def test_the_viewers_own_body_is_below_near_and_headless():
    assert kind_of(boxes(LEGS)) == "viewer_body"


@pytest.mark.parametrize(
    ("what", "shift"),
    [
        (AngularBox(-35, 45, -90, -10), 5),  # reaches up: there may be a head
        (AngularBox(-10, 10, -75, -40), 5),  # narrow: a child or a cat, further away
        (AngularBox(-25, 25, -70, -30), 0.5),  # far away, by the eyes
        (AngularBox(-20, 30, -60, 10), 5),  # somebody near
    ],
)
def test_others_are_others(what, shift):
    assert kind_of(boxes(what, shift)) == "person"


def test_who_moves_about_is_somebody_else():
    rising = tuple(
        replace(b, left=AngularBox(-35, 45, -90 + 12 * i, -50 + 5 * i), right=None)
        for i, b in enumerate(boxes(LEGS))
    )
    assert kind_of(rising) == "person"


def everybody():
    one = Person(1, "person", True, 0.9, boxes(AngularBox(-50, -30, -40, 10), 1))
    two = Person(2, "person", False, 0.9, boxes(AngularBox(30, 50, -40, 10), 1))
    own = Person(3, "viewer_body", True, 0.9, boxes(LEGS))
    views = tuple(
        ViewportPath(name, 0, 60, 60, 60, (Turn(0, 0, 0),))
        for name in ("person-1", "person-2", "people-2-3", "drawn")
    )
    identity = SourceIdentity("x", 60, 2048, 1024, Fraction(30))
    return People(identity, (Shot(0, 60),), (one, two, own), views)


def test_who_is_kept():
    assert [p.id for p in kept_people(everybody(), "keep")] == [1, 3]
    assert [p.id for p in kept_people(everybody(), "exclude")] == [1]


def test_viewports_of_people_who_are_all_out_are_not_opened():
    names = {
        body: [v.name for v in chosen(everybody(), body, derive_viewports=False).viewports]
        for body in ("keep", "exclude")
    }
    assert names == {"keep": ["person-1", "people-2-3", "drawn"], "exclude": ["person-1", "drawn"]}


def test_who_is_out_is_marked():
    used = chosen(everybody(), "exclude", derive_viewports=True)
    assert [p.keep for p in used.people] == [True, False, False]
    assert [v.name for v in used.viewports] == ["person-1"]
