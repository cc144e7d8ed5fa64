from __future__ import annotations

import numpy as np
import pytest

from support.faults import around
from support.matting.matting_pictures import noise
from support.media.media_fixtures import write_clip
from vrmatte.errors import DamagedInputError
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, Timeline
from vrmatte.media.decode import read_frames
from vrmatte.media.probe import probe
from vrmatte.media.samples import key_frames, read_at, shrunk_frame
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import ignore


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=60, gop=12, options={"sc_threshold": "0"})
    source = probe(path)
    return source, scan_timeline(source, ignore)


def test_key_frames_are_counted_in_the_order_of_showing(clip):
    assert key_frames(*clip) == (0, 12, 24, 36, 48)


def test_frames_are_the_very_ones(clip):
    source, timeline = clip
    every = [np.array(frame.y) for frame in read_frames(source, timeline, 0, 60)]
    wanted = [0, 5, 23, 24, 30, 59]
    found = list(read_at(source, timeline, wanted, key_frames(source, timeline)))
    assert [index for index, _ in found] == wanted
    for index, frame in found:
        assert frame.pts == timeline.pts[index]
        assert np.array_equal(frame.y, every[index])


def test_what_lies_between_is_not_decoded(clip, monkeypatch):
    source, timeline = clip
    asked = []
    around(monkeypatch, "vrmatte.media.samples.read_frames", lambda *of: asked.append(of[2:]))
    list(read_at(source, timeline, [0, 3, 13, 40, 44, 50], key_frames(source, timeline)))
    # From 44 to the key frame 48 it isn't far: decoding on is cheaper than seeking.
    assert asked == [(0, 4), (13, 14), (40, 51)]
    asked.clear()
    list(read_at(source, timeline, [0, 50], ()))
    assert asked == [(0, 51)]


def test_nothing_wanted_reads_nothing(clip):
    assert list(read_at(*clip, [], (0,))) == []


def test_a_frame_that_is_not_there_is_named(clip):
    source, timeline = clip
    late = np.append(timeline.pts, timeline.end_pts + 100)
    wrong = Timeline(late, timeline.time_base, int(late[-1]) + 1)
    with pytest.raises(DamagedInputError, match="frame 60"):
        list(read_at(source, wrong, [60], (0,)))


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
def test_shrunk_frames_keep_their_shape(layout):
    frame = noise(512, 256, layout, ColorTags(matrix=1))
    small = shrunk_frame(frame, 64)
    assert (small.width, small.height, small.layout) == (128, 64, layout)
    # The mean survives averaging up to rounding.
    assert np.mean(small.y) == pytest.approx(np.mean(frame.y), abs=1)
    assert shrunk_frame(frame, 256) is frame
    odd = shrunk_frame(noise(514, 257, layout, ColorTags(matrix=1)), 86)
    assert (odd.width, odd.height) == (171, 85)
