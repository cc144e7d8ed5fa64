from __future__ import annotations

import numpy as np
import pytest

from support.matting.matting_pictures import from_rgb
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.people.detect import Detection, StereoDetection
from vrmatte.people.refine import refine, track_ends
from vrmatte.people.track import Sample, Sighting, Track

PICTURE = from_rgb(np.zeros((2, 4, 3)))
COLOURS = np.eye(64, dtype=np.float32)


def found(yaw, colour=0, height=50):
    eye = Detection(AngularBox(yaw - 10, yaw + 10, -40, height - 40), 0.9, cut_by_edge=False)
    return Sighting(StereoDetection(eye, eye), COLOURS[colour])


def track(*frames, **look):
    result = Track()
    for frame in frames:
        result.add(frame, frame / 30, found(**look))
    return result


class Film:
    """People as (first, last, how they look), and which frames were looked at."""

    def __init__(self, *people):
        self.people, self.looked_at, self.read_frames = people, [], []

    def read(self, frames):
        self.read_frames += frames
        return ((frame, PICTURE) for frame in frames)

    def look(self, frame, _picture):
        self.looked_at.append(frame)
        there = tuple(found(**look) for first, last, look in self.people if first <= frame <= last)
        return Sample(frame, frame / 30, there)


def refined(film, tracks, first=0, last=90, samples=range(0, 90, 15)):
    ends = [b for t in tracks for b in track_ends(t, tracks, list(samples), first, last, 3)]
    refine(ends, film.read, film.look)


@pytest.mark.parametrize("begin", range(16, 31))
@pytest.mark.parametrize("end", [45, 52, 59])
def test_coming_and_going_is_told_within_a_step(begin, end):
    one = track(30, 45, yaw=0)
    film = Film((begin, end, {"yaw": 0}))
    refined(film, [one])
    assert begin <= one.frames[0] <= begin + 2
    assert end - 2 <= one.frames[-1] <= end
    assert one.frames == sorted(set(one.frames))


def test_few_frames_are_looked_at():
    film = Film((0, 200, {"yaw": 0}))
    refined(film, [track(30, 45, yaw=0)])
    # One look at the furthest frame to each side tells that nobody came or went between.
    assert len(film.looked_at) == 2


def test_a_shots_own_ends_are_reached():
    one = track(30, 45, yaw=0)
    refined(Film((0, 200, {"yaw": 0})), [one], first=22, last=58)
    assert (one.frames[0], one.frames[-1]) == (22, 57)


def test_a_track_of_the_whole_shot_needs_no_look():
    one = track(0, 15, 30, yaw=0)
    assert track_ends(one, [one], [0, 15, 30], 0, 31, 3) == []


def test_another_person_does_not_carry_a_track_on():
    hidden, nearer = track(0, 15, yaw=4, colour=0), track(0, 15, 30, 45, yaw=0, colour=0)
    film = Film((0, 17, {"yaw": 4}), (0, 89, {"yaw": 0}))
    refined(film, [hidden, nearer])
    assert hidden.frames[-1] <= 18


def test_frames_are_read_once_and_in_order():
    film = Film((20, 50, {"yaw": 0}), (24, 51, {"yaw": 60}))
    refined(film, [track(30, 45, yaw=0), track(30, 45, yaw=60)])
    assert film.read_frames == sorted(set(film.read_frames))
    assert len(film.looked_at) == len(set(film.looked_at))
