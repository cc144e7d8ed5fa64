"""Signals and stalls: the first Ctrl-C finishes the current chunk, any further signal stops now.

Signals reach the main thread only when it leaves native code, and several become one. A separate
thread therefore reads each signal as it arrives, prints what will happen, interrupts the main
thread if it must stop, and ends the process if the main thread doesn't respond.
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

from vrmatte.errors import StalledError, one_line
from vrmatte.platform_support import (
    STOP_SIGNALS,
    handled_stop_signals,
    wake_main_thread,
    without_path_prefix,
)
from vrmatte.progress import Advanced, Event, Finished, Observer, Started

PATIENCE_SECONDS = 8.0
"""Time for a run that must stop now to clean up."""
_AGAIN = "press again to stop now"


class StopNow(BaseException):
    """Ctrl-C or a request to end; not a KeyboardInterrupt, which Typer handles itself."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__("stopped; run the same command again to continue")


def stop_at_once(number: int, _frame: FrameType | None) -> None:
    """Handle a signal outside of runs, where no chunk has to be finished."""
    raise StopNow(number)


class ChunkClock:
    """Observer that knows if a chunk is being processed, and estimates its remaining time."""

    def __init__(self, observer: Observer, chunk_frames: int) -> None:
        """Pass events on to `observer`; `chunk_frames` is the length of chunks, 0 if unknown."""
        self._observer = observer
        self._chunk_frames = chunk_frames
        self.in_chunk = False
        self._total = self._done = self._skipped = self._begun_at = 0
        self._since = 0.0

    def __call__(self, event: Event) -> None:
        """Record an event and pass it on."""
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
        """Record that the previous chunk is finished."""
        self._chunk_frames = max(self._chunk_frames, self._done - self._begun_at)
        self._begun_at = self._done

    def seconds_left(self) -> float | None:
        """Return an upper bound until the current chunk is finished; None: unknown."""
        made = self._done - self._skipped
        if not made or not self._chunk_frames:
            return None
        end = min(self._begun_at + self._chunk_frames, self._total)
        return max(0, end - self._done) * (time.monotonic() - self._since) / made


class Stopping:
    """Handles signals while its `with` block runs; a run calls `wanted` between chunks."""

    def __init__(self, observer: Observer, *, chunk_frames: int, folder: Path | None) -> None:
        """Prepare to stop a run.

        Args:
            observer: receives the events of the run.
            chunk_frames: length of its chunks; 0: unknown.
            folder: of the job, where half-written files are deleted; None: nowhere.
        """
        self.observer = ChunkClock(observer, chunk_frames)
        self._folder = folder
        self._is_asked = False
        self._stop_now: StopNow | None = None
        self._is_raised = False
        self._ends: tuple[socket.socket, socket.socket] = socket.socketpair()
        self._watcher = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._put_back: list[Callable[[], object]] = []

    def wanted(self) -> bool:
        """Return True if the run must stop here; called where a chunk begins."""
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
        """Restore the signal handlers, unless the run is being stopped."""
        if self._stop_now is not None:
            return
        for put_back in reversed(self._put_back):
            put_back()
        self._ends[0].close()  # which ends the watcher

    def _in_main_thread(self, _number: int, _frame: FrameType | None) -> None:
        """Raise `StopNow` in the main thread if the watcher has decided so."""
        if self._stop_now is not None and not self._is_raised:
            self._is_raised = True
            raise self._stop_now

    def _watch(self) -> None:
        end = self._ends[1]
        with selectors.DefaultSelector() as selector:
            selector.register(end, selectors.EVENT_READ)
            while self._stop_now is None:
                selector.select()
                received = end.recv(1)
                if not received:
                    end.close()
                    return
                if received[0] in STOP_SIGNALS:
                    self._decide(received[0])
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
        """Clean up for a main thread that is stuck in native code."""
        with contextlib.suppress(OSError):  # Windows deletes no open file; the next run does
            for draft in self._folder.rglob("*.part") if self._folder else ():
                draft.unlink(missing_ok=True)
        _write_stderr(str(stop))
        os._exit(stop.exit_code)


def _about(seconds: float | None) -> str:
    if seconds is None:
        return ""
    whole = round(seconds)
    return f" (about {whole} s)" if whole < 120 else f" (about {whole // 60} min)"


def end_stalled_process(error: StalledError) -> None:
    """End the process of a run that makes no progress: a thread that hangs can't be stopped."""
    _write_stderr(without_path_prefix(one_line(str(error))))
    os._exit(error.exit_code)


def _write_stderr(text: str) -> None:
    """Write one line to stderr although a stuck thread may hold `sys.stderr`."""
    with contextlib.suppress(OSError):  # the terminal may be closed
        os.write(2, f"vrmatte: {text}\n".encode())


def print_error(text: str) -> None:
    """Write one line to stderr, unless the terminal was closed."""
    with contextlib.suppress(OSError):  # the terminal may be closed
        sys.stderr.write(f"vrmatte: {text}\n")
        sys.stderr.flush()
