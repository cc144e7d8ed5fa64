from __future__ import annotations

import itertools
import threading
import time

import pytest

from vrmatte.threads import BackgroundWriter, Prefetcher


def until(condition, seconds=5.0):
    """Wait for another thread; a generous limit, reached only when it never comes."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


class Source:
    """Counts what was drawn from it and whether it was closed."""

    def __init__(self, fails_at=None):
        self.drawn = 0
        self.closed = False
        self.threads = set()
        self._fails_at = fails_at

    def __iter__(self):
        return self

    def __next__(self):
        self.threads.add(threading.get_ident())
        if self.drawn == self._fails_at:
            raise ValueError("broken")
        self.drawn += 1
        return self.drawn

    def close(self):
        self.closed = True


def test_items_come_in_order_from_another_thread():
    source = Source()
    with Prefetcher(source, 3, "test") as ahead:
        assert list(itertools.islice(ahead, 100)) == list(range(1, 101))
    assert threading.get_ident() not in source.threads


def test_no_more_than_the_depth_is_drawn_ahead():
    source = Source()
    with Prefetcher(source, 3, "test") as ahead:
        next(ahead)
        # One was asked for, three wait, one more is held by whoever would put it.
        assert until(lambda: source.drawn == 5)
        time.sleep(0.05)
        assert source.drawn == 5


def test_what_the_source_raises_comes_after_its_items():
    with Prefetcher(Source(fails_at=2), 5, "test") as ahead:
        assert next(ahead) == 1
        assert next(ahead) == 2
        with pytest.raises(ValueError, match="broken"):
            next(ahead)
        with pytest.raises(StopIteration):
            next(ahead)


def test_closing_early_ends_the_thread_and_closes_the_source():
    source = Source()
    ahead = Prefetcher(source, 1, "test")
    next(ahead)
    ahead.close()
    assert source.closed
    assert "test" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StopIteration):
        next(ahead)


def test_a_generator_is_closed_on_the_thread_that_ran_it():
    closed_by = []

    def items():
        try:
            yield from itertools.count()
        finally:
            closed_by.append(threading.current_thread().name)

    with Prefetcher(items(), 1, "drawer") as ahead:
        next(ahead)
    assert closed_by == ["drawer"]


def test_work_is_done_in_order_and_finished():
    done = []
    with BackgroundWriter(done.append, 2, "test") as behind:
        for item in range(50):
            behind.put(item)
        behind.finish()
        assert done == list(range(50))


def test_no_more_than_the_depth_waits():
    gate, taken = threading.Event(), []

    def work(item):
        taken.append(item)
        gate.wait()

    put = []

    def fill(behind):
        for item in range(10):
            behind.put(item)
            put.append(item)

    with BackgroundWriter(work, 2, "test") as behind:
        filler = threading.Thread(target=fill, args=(behind,))
        filler.start()
        assert until(lambda: len(put) == 3)
        time.sleep(0.05)
        assert len(put) == 3  # one in work, two wait
        gate.set()
        filler.join()
        behind.finish()
    assert taken == list(range(10))


def test_a_failure_comes_back_at_the_next_put_and_at_finish():
    def work(item):
        raise OSError(28, "full")

    def fill(behind):
        for item in range(100):
            behind.put(item)

    with BackgroundWriter(work, 1, "test") as behind:
        with pytest.raises(OSError, match="full"):
            fill(behind)
        with pytest.raises(OSError, match="full"):
            behind.finish()


def test_leaving_early_waits_for_the_work_at_hand_and_drops_the_rest():
    began, done = threading.Event(), []

    def work(item):
        began.set()
        time.sleep(0.05)
        done.append(item)

    def leave_early():
        with BackgroundWriter(work, 5, "test") as behind:
            for item in range(5):
                behind.put(item)
            began.wait()
            raise KeyError

    with pytest.raises(KeyError):
        leave_early()
    assert 1 <= len(done) < 5
