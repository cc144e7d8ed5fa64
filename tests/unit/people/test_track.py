from __future__ import annotations

import numpy as np
import pytest

from support.matting.matting_pictures import deeper, from_rgb
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.people.detect import Detection, StereoDetection
from vrmatte.people.track import (
    CONTINUES_FROM,
    Sample,
    Sighting,
    colours_in,
    link,
    real_people,
)

RED, BLUE = (np.eye(64, dtype=np.float32)[i] for i in (3, 40))


def seen(yaw, pitch=-15.0, width=20.0, height=50.0, score=0.9, colours=RED, eyes="LR"):
    def eye(shift):
        box = AngularBox(
            yaw + shift - width / 2, yaw + shift + width / 2, pitch - height / 2, pitch + height / 2
        )
        return Detection(box, score, cut_by_edge=False)

    left = eye(1) if "L" in eyes else None
    right = eye(-1) if "R" in eyes else None
    return Sighting(StereoDetection(left, right), colours)


def samples(*people, every=0.5):
    """Samples of people given as functions of seconds that give a sighting or None."""
    result = []
    for number in range(len(people[0])):
        found = tuple(person[number] for person in people if person[number] is not None)
        result.append(Sample(round(30 * every * number), every * number, found))
    return result


def yaws(track):
    return [round(found.box.center[0]) for found in track.sightings]


def test_one_person_is_one_track():
    (track,) = link(samples([seen(i) for i in range(6)]), 0.7)
    assert track.frames == [0, 15, 30, 45, 60, 75]
    assert [t.sightings for t in real_people([track], 0.7, 3)] == [track.sightings]


def test_the_same_id_in_both_eyes_though_one_misses_the_person():
    (track,) = link(samples([seen(0), seen(0, eyes="L"), seen(0, eyes="R"), seen(0)]), 0.7)
    assert len(track.frames) == 4


@pytest.mark.parametrize("every", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("alike", [False, True])
def test_people_who_cross_keep_their_ids(every, alike):
    count = round(3 / every)
    steps = np.linspace(-30, 30, count)
    tall = [seen(yaw, height=50) for yaw in steps]
    small = [seen(-yaw, height=30, pitch=-17, colours=RED if alike else BLUE) for yaw in steps]
    tracks = link(samples(tall, small, every=every), 0.7)
    assert sorted(yaws(track) for track in tracks) == sorted(
        [[round(f.box.center[0]) for f in person] for person in (tall, small)]
    )


def test_of_twins_who_cross_motion_tells():
    steps = np.linspace(-30, 30, 13)
    tracks = link(samples([seen(y) for y in steps], [seen(-y) for y in steps], every=0.2), 0.7)
    assert sorted((yaws(t)[0], yaws(t)[-1]) for t in tracks) == [(-30, 30), (30, -30)]


def test_who_turns_back_is_told_by_colours():
    there_and_back = [*np.linspace(-30, -6, 5), *np.linspace(-6, -30, 5)]
    red = [seen(yaw) for yaw in there_and_back]
    blue = [seen(-yaw, colours=BLUE) for yaw in there_and_back]
    tracks = link(samples(red, blue, every=0.25), 0.7)
    assert sorted((yaws(t)[0], yaws(t)[-1]) for t in tracks) == [(-30, -30), (30, 30)]


def test_people_in_a_row_keep_their_places():
    # The one behind comes to where the one before was; all together the other way is likelier.
    rear = [seen(yaw, height=30) for yaw in (0, 14, 28)]
    front = [seen(yaw, height=30) for yaw in (20, 34, 48)]
    assert [yaws(t) for t in link(samples(rear, front), 0.7)] == [[0, 14, 28], [20, 34, 48]]
    assert [yaws(t) for t in link(samples(front, rear), 0.7)] == [[0, 14, 28], [20, 34, 48]]


def test_the_nearest_is_not_always_the_right_one():
    left, right = [seen(10), seen(2)], [seen(20), seen(14)]
    assert [yaws(t) for t in link(samples(left, right), 0.7)] == [[10, 2], [20, 14]]


@pytest.mark.parametrize("trait", [{"colours": BLUE}, {"height": 24}])
def test_who_meets_and_turns_back_is_told_by_looks(trait):
    steps = [-14, -11.5, -9, -6.5, -4, None, None, -5, -7.5, -10]
    one = [seen(yaw) if yaw else None for yaw in steps]
    other = [seen(-yaw, **trait) if yaw else None for yaw in steps]
    tracks = link(samples(one, other, every=0.25), 0.7)
    assert [(yaws(t)[0], yaws(t)[-1]) for t in tracks] == [(-14, -10), (14, 10)]


def test_hidden_for_a_second_is_the_same_person():
    hidden = [seen(2 * i) if not 4 < i < 9 else None for i in range(14)]
    (track,) = link(samples(hidden, every=0.25), 0.7)
    assert len(track.frames) == 10


def test_away_for_two_seconds_is_another_track():
    away = [seen(0) if not 4 < i < 13 else None for i in range(18)]
    assert len(link(samples(away, every=0.25), 0.7)) == 2


def test_weak_finds_carry_a_track_on_but_begin_none():
    weak = [seen(0, score=s) for s in (0.9, 0.35, 0.4, 0.9)]
    never = [seen(50, score=0.6) for _ in range(4)]
    (track,) = link(samples(weak, never), 0.7)
    assert len(track.frames) == 4
    assert min(found.detection.score for found in track.sightings) >= CONTINUES_FROM


def test_somebody_elsewhere_is_somebody_else():
    jump = [seen(-40), seen(-40), seen(40), seen(40)]
    assert len(link(samples(jump, every=0.25), 0.7)) == 2


def test_what_is_found_once_was_never_there():
    ghost = [None, seen(60), None, None]
    tracks = link(samples([seen(0)] * 4, ghost), 0.7)
    assert len(tracks) == 2
    assert len(real_people(tracks, 0.7, 2)) == 1
    assert len(real_people(tracks, 0.7, 0.2)) == 2


def test_support_must_last():
    twice = samples([seen(0), seen(0), None, None], every=0.1)
    assert real_people(link(twice, 0.7), 0.7, 2) == []
    once_sure = samples([seen(0), seen(0, score=0.5), seen(0, score=0.5)])
    assert real_people(link(once_sure, 0.7), 0.7, 2) == []


def test_a_part_of_a_person_is_nobody():
    leg = [seen(0, pitch=-30, width=6, height=15, score=0.8)] * 4
    tracks = link(samples([seen(0)] * 4, leg), 0.7)
    assert [round(t.sightings[0].box.height_deg) for t in real_people(tracks, 0.7, 2)] == [50]


def test_tracks_come_in_order_of_appearance():
    late = [None, None, seen(-50), seen(-50)]
    tracks = link(samples(late, [seen(30)] * 4), 0.7)
    assert [yaws(t)[0] for t in tracks] == [30, -50]


def test_before_its_beginning_a_track_is_expected_where_it_began():
    (track,) = link(samples([seen(10), seen(14), seen(18)]), 0.7)
    assert track.expected(-1).center[0] == pytest.approx(10)
    assert track.expected(0.25).center[0] == pytest.approx(12)
    assert track.expected(2).center[0] == pytest.approx(26)


def test_colours_are_those_of_the_middle():
    rgb = np.full((180, 360, 3), 0.5)
    found = seen(-20).detection
    rgb[80:131, 55:85] = (0.9, 0.1, 0.1)
    picture = from_rgb(rgb)
    red = colours_in(picture, found)
    assert red.sum() == pytest.approx(1)
    assert red.max() > 0.9
    grey = colours_in(picture, seen(40).detection)
    # What overlaps of two histograms is their likeness.
    assert np.minimum(red, grey).sum() < 0.1
    assert np.abs(colours_in(deeper(picture), found) - red).sum() < 0.1
