from __future__ import annotations

import threading
from itertools import count

import pytest

from vrmatte.profiling.stopwatch import Stopwatch


@pytest.fixture
def watch():
    """A stopwatch whose clock is one second later at each reading."""
    clock = count()
    return Stopwatch(lambda: float(next(clock)))


def test_a_stage_inside_another_counts_for_itself_alone(watch):
    with watch.stage("outer"), watch.stage("inner"):
        pass
    assert watch.seconds == {"outer": 2.0, "inner": 1.0}


def test_only_the_time_items_take_to_come_counts(watch):
    for _ in watch.time("items", iter("ab")):
        with watch.stage("work"):
            pass
    assert watch.seconds == {"items": 3.0, "work": 2.0}


def test_a_failing_stage_ends(watch):
    for _ in range(2):
        with pytest.raises(KeyError), watch.stage("broken"):
            raise KeyError
    assert watch.seconds == {"broken": 2.0}


def test_between_the_stages_of_a_queue_s_thread_it_waits(watch):
    def work():
        for _ in range(3):
            with watch.stage("file"):
                pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (watch.seconds, watch.wait_seconds) == ({"file": 3.0}, {"file": 2.0})


def test_between_the_stages_of_the_thread_that_leads_nothing_waits(watch):
    for _ in range(3):
        with watch.stage("matte"):
            pass
    assert (watch.seconds, watch.wait_seconds) == ({"matte": 3.0}, {})


def test_a_stage_inside_another_on_a_queue_s_thread_does_not_wait(watch):
    def work():
        with watch.stage("outer"), watch.stage("inner"):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert watch.wait_seconds == {}


def test_processor_time_is_the_thread_s_own():
    watch = Stopwatch()
    with watch.stage("asleep"):
        burner = threading.Thread(target=lambda: sum(range(3_000_000)))
        burner.start()
        burner.join()
    # Another thread computed all the while; starting and joining it costs well below a tenth.
    assert watch.cpu_seconds["asleep"] < 0.5 * watch.seconds["asleep"]
