"""Detection of a run that makes no progress: an encoder that deadlocked, a GPU that is gone.

A thread that hangs in native code can't be interrupted from Python. The command line therefore ends
the whole process; every finished chunk is kept. A library must not end its caller's process: by
default a stall is reported as a notice, and `StalledError` is raised once the run gets to its next
chunk or file. A caller that wants more, such as killing a worker process, passes `on_stall`.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import psutil

from vrmatte.errors import StalledError
from vrmatte.jobs.run_log import RUN_LOG_FILE, RunLog
from vrmatte.jobs.stopping import Stop
from vrmatte.progress import Event, Finished, Notice, Observer, Started, ignore

OnStall = Callable[[StalledError], None]
"""Called once, from a thread other than that of the run."""

_CHECKS = 10
"""Number of checks within the time allowed."""
_LONGEST_INTERVAL_SECONDS = 15.0
_MOVING_BYTES_PER_SECOND = 1 << 20
"""Read or written by the process: large files are verified without any other sign of progress."""
_LOG_SECONDS = 10.0
"""Longest wait for the run log: a disk that hangs must not delay `on_stall`."""


class StallWatch:
    """Watches the events of a run while its `with` block runs, and reports if none arrives.

    While chunks are processed only their frames count as progress; otherwise files that are read or
    written count too.
    """

    def __init__(
        self,
        minutes: float,
        run_log: RunLog,
        on_stall: OnStall | None = None,
        moved_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Prepare to watch a run.

        Args:
            minutes: longest time without progress; 0: unlimited.
            run_log: receives the stack of every thread.
            on_stall: called instead of reporting the stall to the observer and raising it.
            moved_bytes: bytes this process has read and written so far; None: as the system counts.
        """
        self._seconds = minutes * 60
        self._run_log = run_log
        self._moved_bytes = moved_bytes or _moved_bytes
        self._on_stall = on_stall or self._report
        self._observer: Observer = ignore
        self._stalled: StalledError | None = None
        self._events = 0
        self._stage = ""
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def listening(self, observer: Observer) -> Observer:
        """Return an observer that counts events as progress, and passes them on."""
        self._observer = observer

        def listen(event: Event) -> None:
            self._events += 1
            if isinstance(event, Started):
                self._stage = event.stage
            elif isinstance(event, Finished):
                self._stage = ""
            observer(event)

        return listen

    def stopping(self, stop: Stop) -> Stop:
        """Return a `stop` for the run that raises a stall that was reported."""

        def stops() -> bool:
            if self._stalled is not None:
                raise self._stalled
            return stop()

        return stops

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
        seen, moved = self._events, self._moved_bytes()
        # Intervals are counted, not the clock: a process that was suspended has not hung.
        while not self._done.wait(interval):
            before, seen = (seen, moved), self._events
            moved = self._moved_bytes()
            moving = moved - before[1] > _MOVING_BYTES_PER_SECOND * interval
            is_alive = seen != before[0] or (moving and self._stage != "matte")
            idle = 0.0 if is_alive else idle + interval
            if idle >= self._seconds:
                self._stall()
                return

    def _stall(self) -> None:
        error = StalledError(
            f"no progress for {self._seconds / 60:g} minutes. Run the same command again to "
            f"continue; {RUN_LOG_FILE} shows where the run hung, and processing.stall_minutes sets "
            "the time limit"
        )
        log = threading.Thread(target=self._log, args=(error, _stacks()), daemon=True)
        log.start()
        log.join(_LOG_SECONDS)
        self._on_stall(error)

    def _log(self, error: StalledError, stacks: dict[str, str]) -> None:
        with suppress(Exception):
            self._run_log.note(
                "stalled",
                stage=self._stage,
                exit_code=error.exit_code,
                text=str(error),
                threads=stacks,
            )

    def _report(self, error: StalledError) -> None:
        self._stalled = error
        self._observer(Notice(str(error)))


def _moved_bytes() -> int:
    """Return the bytes this process has read and written, cached ones too; 0: not counted here."""
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
    this_thread = threading.get_ident()
    return {
        f"{names.get(ident, 'unknown')} ({ident})": "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()  # pyright: ignore[reportPrivateUsage]
        if ident != this_thread
    }
