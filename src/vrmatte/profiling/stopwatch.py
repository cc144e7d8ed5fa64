"""Adds up time by stage, for the report; stages may run on threads of their own."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Seconds by stage; a stage inside another, on the same thread, counts for itself alone.

    A thread other than the one that made the watch lives on a queue: what goes by between two of
    its stages is spent waiting, and counts so for the one that follows.
    """

    def __init__(self) -> None:
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
        """Seconds by stage that its own thread computed; codecs' and networks' threads not."""
        with self._lock:
            return dict(self._cpu_seconds)

    @property
    def wait_seconds(self) -> dict[str, float]:
        """Wall seconds that stages on threads of their own waited, from their first item on."""
        with self._lock:
            return dict(self._wait_seconds)

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count the time inside for `name`."""
        running = self._switch(name)
        running.append(name)
        try:
            yield
        finally:
            self._switch().pop()

    def time(self, name: str, items: Iterator[T]) -> Generator[T]:
        """Pass items on; the time each takes to come counts for `name`."""
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
        """Count what went by since the last switch of this thread; returns its running stages."""
        now, cpu_now = time.perf_counter(), time.thread_time()
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
