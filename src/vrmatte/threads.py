"""Background threads with bounded queues, that produce items in advance or consume them later.

Decoders, networks, kernels and encoders all release Python's global lock, so threads are enough to
keep a machine busy; bounded queues keep memory constant.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1
"""Interval at which a waiting thread checks whether it was cancelled."""


class _EndOfItems:
    """Marker that follows the last item."""


_END = _EndOfItems()


class Prefetcher(Generic[T]):
    """Iterator that fetches up to `depth` items of another iterator in advance, on a thread.

    An exception of that iterator is raised where its next item is requested.
    """

    def __init__(self, items: Iterator[T], depth: int, name: str) -> None:
        self._items = items
        self._queue: queue.Queue[T | _EndOfItems | BaseException] = queue.Queue(depth)
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._fetch, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._cancelled.is_set():
            raise StopIteration
        item = self._queue.get()
        if isinstance(item, _EndOfItems):
            self._cancelled.set()
            raise StopIteration
        if isinstance(item, BaseException):
            self._cancelled.set()
            raise item
        return item

    def close(self) -> None:
        """Stop fetching, and wait until the thread has ended and the iterator is closed."""
        self._cancelled.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch(self) -> None:
        try:
            try:
                for item in self._items:
                    if not self._put(item):
                        return
            finally:
                close = getattr(self._items, "close", None)
                if close is not None:
                    close()
            self._put(_END)
        except BaseException as error:  # noqa: BLE001  raised again in `__next__`
            self._put(error)

    def _put(self, item: T | _EndOfItems | BaseException) -> bool:
        """Add an item to the queue; return False if fetching was cancelled."""
        while not self._cancelled.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


class BackgroundWriter(Generic[T]):
    """Queue of at most `depth` items, each passed to a function on another thread.

    An exception of the function is raised by the next `put` or by `finish`; later items are
    dropped.
    """

    def __init__(self, work: Callable[[T], None], depth: int, name: str) -> None:
        self._work = work
        self._queue: queue.Queue[T | _EndOfItems] = queue.Queue(depth)
        self._failure: BaseException | None = None
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Add an item; wait while the queue is full."""
        self._put(item)

    def finish(self) -> None:
        """Wait until all items are processed."""
        self._put(_END)
        self._thread.join()
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop waiting items, and wait until the function no longer runs."""
        self._cancelled.set()
        self._thread.join()

    def _put(self, item: T | _EndOfItems) -> None:
        while True:
            self._raise_failure()
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while not self._cancelled.is_set():
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, _EndOfItems):
                return
            try:
                self._work(item)
            except BaseException as error:  # noqa: BLE001  raised again in `put` or `finish`
                self._failure = error
                return
