"""Time by stage, for the report; stages may run on several threads."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Seconds by stage; time in a nested stage on the same thread is not counted for the outer one.

    Threads other than the one that created the stopwatch work on queues: the time between two of
    their stages counts as waiting time of the second.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Take the clock of wall time, in seconds."""
        self._clock = clock
        self._owner = threading.get_ident()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self._wait_seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._thread = threading.local()

    @property
    def seconds(self) -> dict[str, float]:
        """Wall seconds by stage, so far."""
        with self._lock:
            return dict(self._seconds)

    @property
    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds by stage, without the threads of codecs and networks."""
        with self._lock:
            return dict(self._cpu_seconds)

    @property
    def wait_seconds(self) -> dict[str, float]:
        """Wall seconds that stages on other threads have waited, from their first item on."""
        with self._lock:
            return dict(self._wait_seconds)

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count the time inside the block for `name`."""
        running = self._switch(name)
        running.append(name)
        try:
            yield
        finally:
            self._switch().pop()

    def time(self, name: str, items: Iterator[T]) -> Generator[T]:
        """Yield the items, and count the time to produce each for `name`."""
        try:
            while True:
                with self.stage(name):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _switch(self, entered: str | None = None) -> list[str]:
        """Count the time since the last switch of this thread; return its running stages."""
        now, cpu_now = self._clock(), time.thread_time()
        running: list[str] | None = getattr(self._thread, "running", None)
        if running is None:
            running = self._thread.running = []
        elif running:
            with self._lock:
                self._seconds[running[-1]] += now - self._thread.since
                self._cpu_seconds[running[-1]] += cpu_now - self._thread.cpu_since
        elif entered is not None and threading.get_ident() != self._owner:
            with self._lock:
                self._wait_seconds[entered] += now - self._thread.since
        self._thread.since, self._thread.cpu_since = now, cpu_now
        return running
