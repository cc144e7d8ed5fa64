from __future__ import annotations

import numpy as np
import pytest

from support.matting.matting_pictures import clip_frames, deeper, from_rgb, soft_rgb
from vrmatte.people.shots import change, find_cuts, may_hold_cut, thumbnail

CLIPS = ("d1_center", "d2_close", "d3_cross", "d4_sides", "d5_enter_leave")


def room(seed):
    return thumbnail(from_rgb(soft_rgb(256, 128, seed)))


def noisy(picture, seed, sd=1.5):
    return picture + np.random.default_rng(seed).normal(0, sd, picture.shape).astype(np.float32)


def test_a_cut_is_found_where_it_is():
    frames = [noisy(room(1), i) for i in range(12)] + [noisy(room(2), i) for i in range(9)]
    assert find_cuts(frames) == [12]
    assert may_hold_cut(frames[0], frames[-1])
    assert not may_hold_cut(frames[0], frames[11])


@pytest.mark.parametrize("at", [1, 19])
def test_cuts_at_the_ends_are_found(at):
    frames = [room(1)] * at + [room(2)] * (20 - at)
    assert find_cuts(frames) == [at]


def test_several_cuts():
    frames = [room(1)] * 9 + [room(2)] * 7 + [room(1)] * 8
    assert find_cuts(frames) == [9, 16]


def test_a_flash_is_no_cut():
    frames = [room(1)] * 20
    frames[10] = frames[10] + 90
    assert find_cuts(frames) == []


def test_a_fade_is_no_cut():
    # Nothing changes at once, so nothing has to start anew.
    shares = np.linspace(0, 1, 40)
    frames = [(1 - share) * room(1) + share * room(2) for share in shares]
    assert find_cuts(frames) == []


def test_a_moving_camera_has_no_cuts():
    wide = soft_rgb(1024, 128, 3)
    frames = [thumbnail(from_rgb(wide[:, 8 * i : 8 * i + 256])) for i in range(40)]
    assert find_cuts(frames) == []


def test_a_person_filling_a_third_of_the_picture_is_no_cut():
    frames = [room(1).copy() for _ in range(20)]
    for i in range(10, 20):
        frames[i][:, 4:14] = room(2)[:, 4:14]
    assert find_cuts(frames) == []


def test_bit_depth_does_not_matter():
    picture = from_rgb(soft_rgb(256, 128, 4))
    # Two more bits don't change a mean by more than the rounding of 8-bit codes.
    assert change(thumbnail(picture), thumbnail(deeper(picture))) <= 1


def test_too_few_frames_hold_no_cut():
    assert find_cuts([]) == []
    assert find_cuts([room(1)]) == []


def test_real_clips(bench_dir):
    clips = [[thumbnail(f) for f in clip_frames(bench_dir, name, 16)] for name in CLIPS]
    for clip in clips:
        assert find_cuts(clip) == []
    everything = [picture for clip in clips for picture in clip]
    assert find_cuts(everything) == [16, 32, 48, 64]
