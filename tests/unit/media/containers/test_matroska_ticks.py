from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from support.media.media_fixtures import NTSC, write_clip
from vrmatte.errors import OutputError
from vrmatte.frames import Timeline
from vrmatte.media.containers.matroska_ticks import MatroskaClock, choose_clock, earliest_time
from vrmatte.media.join import JoinRequest, join_chunks
from vrmatte.progress import ignore

VIDEO, AUDIO = Fraction(1, 30000), Fraction(1, 48000)


@pytest.mark.parametrize(
    ("earliest", "time_bases", "ticks_per_second"),
    [
        (0, [VIDEO], 1_000_000),
        (Fraction(-21, 1000), [VIDEO, AUDIO], 1_000_000),
        (Fraction(-46, 1000), [VIDEO, Fraction(1, 44100)], 100_000),
        (Fraction(-3, 10), [Fraction(1, 90000), AUDIO], 100_000),
        (Fraction(-2), [VIDEO, AUDIO], 100_000),
        # Ten microseconds would not tell these times apart: better lose sound nobody hears.
        (Fraction(-46, 1000), [Fraction(1, 120000), AUDIO], 1_000_000),
        (Fraction(-46, 1000), [VIDEO, Fraction(1, 192000)], 1_000_000),
    ],
)
def test_the_finest_clock_that_reaches_back_far_enough(earliest, time_bases, ticks_per_second):
    assert choose_clock(earliest, time_bases) == MatroskaClock(ticks_per_second)


def test_how_far_back():
    assert earliest_time(MatroskaClock(1_000_000).tick) == Fraction(-32, 1000)


def joined(tmp_path, times, time_base, end):
    chunk, target = tmp_path / "chunk.mp4", tmp_path / "joined.mkv"
    write_clip(chunk, frames=len(times))
    line = Timeline(np.array(times), time_base, end)
    join_chunks(JoinRequest([chunk], line, target, "matroska", NTSC, None), ignore)
    return target


@pytest.mark.parametrize("denominator", [600, 30000, 90000, 120000, 240000])
def test_every_time_comes_back(tmp_path, denominator):
    steps = np.random.default_rng(denominator).integers(1, denominator, 40)
    times = np.cumsum(steps).tolist()
    tick = Fraction(1, denominator)
    path = joined(tmp_path, times, tick, times[-1] + 1)
    with av.open(str(path)) as container:
        assert container.streams.video[0].time_base == Fraction(1, 1_000_000)
        shown = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert [round(time / tick) for time in shown] == times


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "00:00:05.0"), (300, "00:05:00.0"), (7200, "02:00:00.0"), (86000, "23:53:20.0")],
)
def test_players_are_told_the_true_duration(tmp_path, seconds, text):
    path = joined(tmp_path, [0, seconds - 1], Fraction(1), seconds)
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(seconds * 1e6, rel=1e-3)
        assert container.streams.video[0].metadata["DURATION"].startswith(text)


def test_seeking_finds_the_frame(tmp_path):
    path = joined(tmp_path, [index * 30000 for index in range(60)], VIDEO, 60 * 30000)
    with av.open(str(path)) as container:
        container.seek(40 * 1_000_000, stream=container.streams.video[0])
        frame = next(container.decode(video=0))
    assert 30 <= frame.time <= 40


def test_what_ffmpeg_did_not_write_is_refused(tmp_path):
    path = tmp_path / "other.mkv"
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(OutputError, match="no time scale"):
        MatroskaClock(1_000_000).set_in(path)
