"""Work on threads of its own, a bounded few items ahead of or behind whoever asked for it.

Decoders, networks, kernels and encoders all let go of Python's lock, so threads are enough to keep
a machine busy; bounds keep memory flat.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.1
"""How often a thread that waits looks whether it is still wanted."""


class _End:
    """What comes after the last item."""


_END = _End()


class Prefetcher(Generic[T]):
    """Draws from an iterator on another thread, at most `depth` items before they are asked for.

    What the iterator raises is raised where its next item is asked for.
    """

    def __init__(self, items: Iterator[T], depth: int, name: str) -> None:
        self._items = items
        self._queue: queue.Queue[T | _End | BaseException] = queue.Queue(depth)
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._draw, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._unwanted.is_set():
            raise StopIteration
        item = self._queue.get()
        if isinstance(item, _End):
            self._unwanted.set()
            raise StopIteration
        if isinstance(item, BaseException):
            self._unwanted.set()
            raise item
        return item

    def close(self) -> None:
        """Stop drawing; returns once the thread is done and the iterator is closed."""
        self._unwanted.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self) -> None:
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
        except BaseException as error:  # noqa: BLE001  it is raised again where items are drawn
            self._put(error)

    def _put(self, item: T | _End | BaseException) -> bool:
        """False: nobody wants it any more."""
        while not self._unwanted.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False


class BackgroundWriter(Generic[T]):
    """Hands items to a function on another thread; at most `depth` of them wait.

    What the function raises is raised at the next `put`, or at `finish`; items after it are
    dropped.
    """

    def __init__(self, work: Callable[[T], None], depth: int, name: str) -> None:
        self._work = work
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._failure: BaseException | None = None
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over one item; waits while there are too many."""
        self._put(item)

    def finish(self) -> None:
        """Wait until all items are done."""
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
        """Drop what still waits; returns once the function is not running any more."""
        self._unwanted.set()
        self._thread.join()

    def _put(self, item: T | _End) -> None:
        while True:
            self._raise_failure()
            try:
                self._queue.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while not self._unwanted.is_set():
            try:
                item = self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            try:
                self._work(item)
            except BaseException as error:  # noqa: BLE001  it is raised again where items come from
                self._failure = error
                return
