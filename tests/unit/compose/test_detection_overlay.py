from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from support.media.composed_edges import BT709, to_frame, to_rgb
from support.people import person_of
from vrmatte.compose.detection_overlay import DetectionOverlay, overlay_size, person_colour
from vrmatte.frames import YUV420P, Eye, Timeline, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.outlines import box_outline
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.subjects import WHOLE_EYES, Subjects

EYE = 180
TITLE = 32
BOX = AngularBox(-30, 10, -50, -10)
PERSON = person_of(1, True, 0, 10, (0,), (BOX,), (None,), 0.83)
SHOWN = Subjects(None, (PERSON,))
PATH = ViewportPath("a", 5, 8, 80, 80, (Turn(5, 30, 0),))
LINE = Timeline(np.arange(10, dtype=np.int64), Fraction(1, 30), 10)
EMPTY = np.zeros((EYE, 2 * EYE), np.uint8)


def drawn(subjects=WHOLE_EYES, matte=EMPTY, number=0, eye=HalfEquirect(EYE), timeline=None):
    """What differs from the bare frame: title, left eye, right eye; and the colours, 0..255."""
    frame = to_frame(np.full((EYE, 2 * EYE, 3), 0.4), YUV420P)
    made = DetectionOverlay(eye, YUV420P, BT709, subjects, timeline)(number, frame, matte)
    assert (made.width, made.height) == overlay_size(2 * EYE, EYE) == (2 * EYE, EYE + TITLE)
    rgb = to_rgb(made) * 255
    eyes = rgb[TITLE:]
    changed = np.abs(eyes - 102).max(axis=2) > 25
    return rgb[:TITLE], half_of(changed, Eye.LEFT), half_of(changed, Eye.RIGHT), eyes


def test_the_size_is_even_and_at_most_1920_wide():
    assert overlay_size(6144, 3072) == (1920, 992)
    assert overlay_size(2 * 323, 323) == (644, 354)


def test_a_box_is_drawn_in_its_persons_colour_in_the_eye_that_sees_them():
    _, left, right, rgb = drawn(SHOWN)
    rows, columns = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
    # Lines are two pixels wide, their chroma four; the label stands above.
    assert abs(int(rows[-1]) - 140) <= 2
    assert abs(int(columns[0]) - 60) <= 3
    assert not right.any()
    side = rgb[110:130, 60]
    assert np.abs(side - person_colour(1)).max() < 60, "chroma is halved"
    _, left, _, _ = drawn(SHOWN, number=10)
    assert not left.any(), "the person is gone"


def test_keep_or_exclude_and_the_score_are_told():
    def label(person):
        *_, rgb = drawn(Subjects(None, (person,)))
        return rgb[80:99, 58:180]

    kept = label(PERSON)
    unsure = person_of(1, True, 0, 10, (0,), (BOX,), (None,), 0.41)
    assert np.abs(label(replace(PERSON, keep=False)) - kept).max() > 60
    assert np.abs(label(unsure) - kept).max() > 60
    assert np.abs(label(replace(PERSON, id=2)) - kept).max() > 60
    grey = drawn(Subjects(None, (replace(PERSON, keep=False),)))[3][110:130, 60]
    assert np.ptp(grey, axis=1).max() < 10


def test_viewports_are_drawn_while_they_are_open_in_both_eyes():
    for number, is_open in ((4, False), (5, True), (8, False)):
        _, left, right, _ = drawn(Subjects((PATH,)), number=number)
        assert left.any() == right.any() == is_open
        assert np.array_equal(left, right)


@pytest.mark.parametrize("eye", list(Eye))
def test_the_matte_is_tinted_and_outlined(eye):
    matte = EMPTY.copy()
    half_of(matte, eye)[60:120, 60:120] = 255
    _, left, right, rgb = drawn(matte=matte)
    here, other = (left, right) if eye is Eye.LEFT else (right, left)
    assert not other.any()
    start = 0 if eye is Eye.LEFT else EYE
    inner = rgb[70:110, start + 70 : start + 110]
    assert (inner[..., 1] - inner[..., 0]).min() > 20, "greener"
    assert here[60:120, 60:62].all()


def test_number_and_time_stand_above():
    plain, *_ = drawn(number=3)
    timed, *_ = drawn(number=3, timeline=LINE)
    other, *_ = drawn(number=4)
    assert plain.max() > 150
    assert np.abs(timed - plain)[:, 44:].max() > 100
    assert np.abs(other - plain).max() > 60
    assert np.abs(timed - plain)[:, :44].max() < 2


def test_boxes_on_fisheye_eyes_lie_where_the_eye_shows_them():
    eye = Fisheye(EYE, 190)
    _, left, _, _ = drawn(SHOWN, eye=eye)
    rows = np.flatnonzero(left.any(axis=1))
    assert abs(rows[-1] - box_outline(eye, BOX)[:, 1].max()) <= 3
    assert not np.array_equal(left, drawn(SHOWN)[1])
