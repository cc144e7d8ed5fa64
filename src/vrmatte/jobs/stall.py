"""Exit a process that makes no progress any more: a deadlocked encoder, a lost GPU.

A thread that hangs in native code can't be stopped. So the whole process exits, with a code that
means that running again is worth it; every finished chunk is kept.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import Self

import psutil

from vrmatte.errors import StalledError, one_line
from vrmatte.jobs.run_log import RUN_LOG_FILE, RunLog
from vrmatte.progress import Event, Finished, Observer, Started

_CHECKS = 10
"""Checks within the time allowed."""
_LONGEST_INTERVAL_SECONDS = 15.0
_MOVING_BYTES_PER_SECOND = 1 << 20
"""Read or written by the process: verifying a large file shows no other progress."""
_REPORT_SECONDS = 10.0
"""A disk that hangs must not keep the process alive."""


class StallWatch:
    """Exits the process after too long without progress, while its `with` block runs.

    While chunks are processed only frames count as progress; otherwise reading and writing do too.
    """

    def __init__(self, minutes: float, run_log: RunLog) -> None:
        """Allow so many minutes without progress; 0: any time."""
        self._seconds = minutes * 60
        self._run_log = run_log
        self._events = 0
        self._stage = ""
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def listening(self, observer: Observer) -> Observer:
        """Wrap an observer: every event it receives counts as progress."""

        def listen(event: Event) -> None:
            self._events += 1
            if isinstance(event, Started):
                self._stage = event.stage
            elif isinstance(event, Finished):
                self._stage = ""
            observer(event)

        return listen

    def __enter__(self) -> Self:
        if self._seconds > 0:
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        interval = min(self._seconds / _CHECKS, _LONGEST_INTERVAL_SECONDS)
        idle = 0.0
        seen, moved = self._events, _moved_bytes()
        # Intervals are counted, not the clock: a process that was suspended has not hung.
        while not self._done.wait(interval):
            before, seen = (seen, moved), self._events
            moved = _moved_bytes()
            moving = moved - before[1] > _MOVING_BYTES_PER_SECOND * interval
            is_alive = seen != before[0] or (moving and self._stage != "matte")
            idle = 0.0 if is_alive else idle + interval
            if idle >= self._seconds:
                self._end()

    def _end(self) -> None:
        report = threading.Thread(target=self._report, args=(_stacks(),), daemon=True)
        report.start()
        report.join(_REPORT_SECONDS)
        os._exit(StalledError.exit_code)

    def _report(self, stacks: dict[str, str]) -> None:
        error = StalledError(
            f"no progress for {self._seconds / 60:g} minutes, so the run exited. Run the same "
            f"command again to continue; {RUN_LOG_FILE} shows where it hung, and "
            "processing.stall_minutes sets the time"
        )
        with suppress(Exception):
            self._run_log.note(
                "stalled",
                stage=self._stage,
                exit_code=error.exit_code,
                text=str(error),
                threads=stacks,
            )
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # The only place where the library writes to a terminal: no caller can any more.
        os.write(2, f"vrmatte: {one_line(str(error))}\n".encode())


def _moved_bytes() -> int:
    """Return the bytes read and written by this process, also in caches; 0: not counted here."""
    try:
        counted = psutil.Process().io_counters()
    except (AttributeError, psutil.Error, OSError):
        return 0
    return getattr(counted, "read_chars", counted.read_bytes) + getattr(
        counted, "write_chars", counted.write_bytes
    )


def _stacks() -> dict[str, str]:
    """Return the stack of every other thread, by its name."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    this = threading.get_ident()
    return {
        f"{names.get(ident, 'unknown')} ({ident})": "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()  # pyright: ignore[reportPrivateUsage]
        if ident != this
    }
