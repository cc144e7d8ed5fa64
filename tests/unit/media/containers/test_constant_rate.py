from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vrmatte.frames import Timeline
from vrmatte.media.containers.constant_rate import at_exact_rate

MILLISECOND = Fraction(1, 1000)
NTSC_60 = Fraction(60000, 1001)


def rounded(rate: Fraction, frames: int, start: Fraction = Fraction(0)) -> Timeline:
    """Times of a constant rate in whole milliseconds."""
    pts = [round((start + index / rate) / MILLISECOND) for index in range(frames + 1)]
    return Timeline(np.array(pts[:-1], np.int64), MILLISECOND, pts[-1])


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), NTSC_60, Fraction(120)])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(21, 1000), Fraction(1, 7)])
def test_the_rate_that_was_rounded_is_recovered(rate, start):
    line = at_exact_rate(rounded(rate, 500, start), rate)
    steps = np.diff([*line.pts.tolist(), line.end_pts]) * line.time_base
    assert set(steps.tolist()) == {1 / rate}
    original = rounded(rate, 500, start)
    back = [round(int(tick) * line.time_base / MILLISECOND) for tick in line.pts]
    assert np.abs(np.array(back) - original.pts).max() <= 1
    # At exactly half a millisecond both neighbours are right.
    exact = [int(tick) * line.time_base for tick in line.pts]
    stored = [int(tick) * MILLISECOND for tick in original.pts]
    assert max(abs(a - b) for a, b in zip(exact, stored, strict=True)) <= MILLISECOND / 2


def test_a_start_at_zero_stays_there():
    assert at_exact_rate(rounded(NTSC_60, 100), NTSC_60).pts[0] == 0


@pytest.mark.parametrize("frames_before", range(1, 8))
def test_a_part_stays_at_zero_and_within_a_tick(frames_before):
    whole = rounded(NTSC_60, 100)
    begin = int(whole.pts[frames_before])
    part = Timeline(whole.pts[frames_before:] - begin, MILLISECOND, whole.end_pts - begin)
    line = at_exact_rate(part, NTSC_60)
    assert line.pts[0] == 0
    off = np.abs(line.pts * line.time_base - part.pts * MILLISECOND)
    assert off.max() < MILLISECOND


def test_the_header_decides_between_rates_that_both_fit():
    line = rounded(Fraction(60), 5)
    assert at_exact_rate(line, Fraction(60)).time_base == Fraction(1, 60)
    assert at_exact_rate(line, NTSC_60).time_base == Fraction(1, 60000)


@pytest.mark.parametrize("frame", [0, 7, 99])
def test_variable_rates_are_left_alone(frame):
    line = rounded(NTSC_60, 100)
    line.pts[frame:] += 5
    if frame:
        assert at_exact_rate(line, NTSC_60) is line


def test_equal_steps_are_left_alone():
    line = rounded(Fraction(50), 100)
    assert at_exact_rate(line, NTSC_60) is line


def test_finer_clocks_are_left_alone():
    line = Timeline(np.arange(10, dtype=np.int64) * 1500, Fraction(1, 90000), 15000)
    assert at_exact_rate(line, Fraction(60)) is line
