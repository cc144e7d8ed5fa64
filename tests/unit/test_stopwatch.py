from __future__ import annotations

from itertools import count

import pytest

from vrmatte.quality import stopwatch
from vrmatte.quality.stopwatch import Stopwatch


@pytest.fixture
def ticking(monkeypatch):
    """Every look at the clock is one second later."""
    clock = count()
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: float(next(clock)))


def test_a_stage_inside_another_counts_for_itself_alone(ticking):
    watch = Stopwatch()
    with watch.stage("outer"), watch.stage("inner"):
        pass
    assert watch.seconds == {"outer": 2.0, "inner": 1.0}


def test_only_the_time_items_take_to_come_counts(ticking):
    watch = Stopwatch()
    for _ in watch.time("items", iter("ab")):
        with watch.stage("work"):
            pass
    assert watch.seconds == {"items": 3.0, "work": 2.0}


def test_a_failing_stage_ends(ticking):
    watch = Stopwatch()
    for _ in range(2):
        with pytest.raises(KeyError), watch.stage("broken"):
            raise KeyError
    assert watch.seconds == {"broken": 2.0}
