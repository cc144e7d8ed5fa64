"""What signals do: the first Ctrl-C lets the chunk in work be finished, anything more stops now.

Signals reach the main thread only when it leaves native code, and several become one. So a thread
of its own reads each of them as it comes, says what will happen, interrupts the main thread where
that is wanted, and ends the process where the main thread does not follow.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from vrmatte.platform_support import (
    STOP_SIGNALS,
    handled_stop_signals,
    wake_main_thread,
)
from vrmatte.progress import Advanced, Event, Finished, Observer, Started

PATIENCE_SECONDS = 8.0
"""How long a run that is to stop now may take to put its things away."""
_AGAIN = "press again to stop now"


class StopNow(BaseException):
    """Ctrl-C or a request to end. No KeyboardInterrupt, because Typer answers that one itself."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__("stopped; run the same command again to continue")


def stop_at_once(number: int, _frame: FrameType | None) -> None:
    """Answer a signal where nothing is worth finishing."""
    raise StopNow(number)


class ChunkClock:
    """Hears the events of a run: whether a chunk is being made, and how long it still takes."""

    def __init__(self, observer: Observer, chunk_frames: int) -> None:
        """Take who else listens, and the length of chunks where it is known (0: it isn't)."""
        self._observer = observer
        self._chunk_frames = chunk_frames
        self.in_chunk = False
        self._total = self._done = self._skipped = self._begun_at = 0
        self._since = 0.0

    def __call__(self, event: Event) -> None:
        """Take note of an event and pass it on."""
        if isinstance(event, Started | Finished):
            self.in_chunk = isinstance(event, Started) and event.stage == "matte"
        if isinstance(event, Started) and self.in_chunk:
            self._total, self._since = event.total or 0, time.monotonic()
            self._done = self._skipped = self._begun_at = 0
        elif isinstance(event, Advanced) and self.in_chunk:
            self._begun_at += event.skipped - self._skipped
            self._done, self._skipped = event.done, event.skipped
        self._observer(event)

    def begin_chunk(self) -> None:
        """The chunk before is finished."""
        self._chunk_frames = max(self._chunk_frames, self._done - self._begun_at)
        self._begun_at = self._done

    def seconds_left(self) -> float | None:
        """Until the chunk in work is finished, at most; None: not known."""
        made = self._done - self._skipped
        if not made or not self._chunk_frames:
            return None
        end = min(self._begun_at + self._chunk_frames, self._total)
        return max(0, end - self._done) * (time.monotonic() - self._since) / made


class Stopping:
    """Answers signals while its `with` block runs; `wanted` is what a run asks between chunks."""

    def __init__(self, observer: Observer, *, chunk_frames: int, folder: Path | None) -> None:
        """Take who listens, the length of chunks, and where its half-written files lie."""
        self.observer = ChunkClock(observer, chunk_frames)
        self._folder = folder
        self._is_asked = False
        self._stop_now: StopNow | None = None
        self._is_raised = False
        self._ends: tuple[socket.socket, socket.socket] = socket.socketpair()
        self._watcher = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._put_back: list[Callable[[], object]] = []

    def wanted(self) -> bool:
        """Whether the run is to stop here; called where a chunk begins."""
        self.observer.begin_chunk()
        return self._is_asked

    def __enter__(self) -> Self:
        for end in self._ends:
            end.setblocking(False)
        self._watcher.start()
        before = signal.set_wakeup_fd(self._ends[0].fileno(), warn_on_full_buffer=False)
        self._put_back.append(lambda: signal.set_wakeup_fd(before))
        for number in handled_stop_signals():
            old = signal.signal(number, self._in_main_thread)
            self._put_back.append(lambda number=number, old=old: signal.signal(number, old))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave signals as they were; once a stop is under way it stays so until the end."""
        if self._stop_now is not None:
            return
        for put_back in reversed(self._put_back):
            put_back()
        self._ends[0].close()  # which ends the watcher

    def _in_main_thread(self, _number: int, _frame: FrameType | None) -> None:
        """Python runs this in the main thread; what is to be done the watcher has decided."""
        if self._stop_now is not None and not self._is_raised:
            self._is_raised = True
            raise self._stop_now

    def _watch(self) -> None:
        end = self._ends[1]
        with selectors.DefaultSelector() as selector:
            selector.register(end, selectors.EVENT_READ)
            while self._stop_now is None:
                selector.select()
                told = end.recv(1)
                if not told:
                    end.close()
                    return
                if told[0] in STOP_SIGNALS:
                    self._decide(told[0])
        time.sleep(PATIENCE_SECONDS)
        self._end_process(self._stop_now)

    def _decide(self, number: int) -> None:
        if number == signal.SIGINT and not self._is_asked and self.observer.in_chunk:
            self._is_asked = True
            left = self.observer.seconds_left()
            print_error(f"finishing this chunk{_about(left)}, {_AGAIN}")
            return
        self._stop_now = StopNow(number)
        wake_main_thread(number)

    def _end_process(self, stop: StopNow) -> None:
        """The main thread is stuck in native code: what it would put away is put away here."""
        with contextlib.suppress(OSError):  # Windows deletes no open file; the next run does
            for part in self._folder.rglob("*.part") if self._folder else ():
                part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the terminal may be closed
            os.write(2, f"vrmatte: {stop}\n".encode())  # a stuck thread may hold sys.stderr
        os._exit(stop.exit_code)


def _about(seconds: float | None) -> str:
    if seconds is None:
        return ""
    whole = round(seconds)
    return f" (about {whole} s)" if whole < 120 else f" (about {whole // 60} min)"


def print_error(text: str) -> None:
    """Write one line to stderr, unless the terminal was closed."""
    with contextlib.suppress(OSError):  # the terminal may be closed
        sys.stderr.write(f"vrmatte: {text}\n")
        sys.stderr.flush()
