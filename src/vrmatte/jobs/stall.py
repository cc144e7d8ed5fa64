"""Ends a process in which nothing moves any more: an encoder that waits for itself, a lost GPU.

A thread that hangs in native code can't be stopped or told anything. So the whole process ends,
with an exit code that says that running again is worth it; every finished chunk is kept.
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
from vrmatte.jobs.run_log import JOURNAL_FILE, RunLog
from vrmatte.progress import Event, Finished, Observer, Started

_LOOKS = 10
"""How often is looked within the time allowed."""
_LONGEST_BETWEEN_LOOKS_SECONDS = 15.0
_MOVING_BYTES_PER_SECOND = 1 << 20
"""Read or written by the process: large files are checked without any other sign of life."""
_LAST_WORDS_SECONDS = 10.0
"""A disk that hangs must not keep the process."""


class StallWatch:
    """Watches events while its `with` block runs; without any for long, it ends the process.

    While chunks are made only their frames count; else files that are read or written do too.
    """

    def __init__(self, minutes: float, run_log: RunLog) -> None:
        """Allow so many minutes without progress; 0: all the time there is."""
        self._seconds = minutes * 60
        self._run_log = run_log
        self._events = 0
        self._stage = ""
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def listening(self, observer: Observer) -> Observer:
        """The same observer; what it is told counts as progress."""

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
        look_seconds = min(self._seconds / _LOOKS, _LONGEST_BETWEEN_LOOKS_SECONDS)
        idle = 0.0
        seen, moved = self._events, _moved_bytes()
        # Looks are counted, not the clock: a process that was suspended has not hung.
        while not self._done.wait(look_seconds):
            before, seen = (seen, moved), self._events
            moved = _moved_bytes()
            moving = moved - before[1] > _MOVING_BYTES_PER_SECOND * look_seconds
            is_alive = seen != before[0] or (moving and self._stage != "matte")
            idle = 0.0 if is_alive else idle + look_seconds
            if idle >= self._seconds:
                self._end()

    def _end(self) -> None:
        last_words = threading.Thread(target=self._speak, args=(_stacks(),), daemon=True)
        last_words.start()
        last_words.join(_LAST_WORDS_SECONDS)
        os._exit(StalledError.exit_code)

    def _speak(self, stacks: dict[str, str]) -> None:
        told = StalledError(
            f"nothing moved for {self._seconds / 60:g} minutes, so the run ended itself. Run the "
            f"same command again to continue; where it hung stands in {JOURNAL_FILE}, and "
            "processing.stall_minutes sets the time"
        )
        with suppress(Exception):
            self._run_log.note(
                "stalled",
                stage=self._stage,
                exit_code=told.exit_code,
                text=str(told),
                threads=stacks,
            )
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # The one place where the library writes to a terminal: nobody is left who could.
        os.write(2, f"vrmatte: {one_line(str(told))}\n".encode())


def _moved_bytes() -> int:
    """Read and written by this process so far, from the system's cache too; 0: not counted here."""
    try:
        counted = psutil.Process().io_counters()
    except (AttributeError, psutil.Error, OSError):
        return 0
    return getattr(counted, "read_chars", counted.read_bytes) + getattr(
        counted, "write_chars", counted.write_bytes
    )


def _stacks() -> dict[str, str]:
    """Where every other thread stands, by its name."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    return {
        f"{names.get(ident, 'unknown')} ({ident})": "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()  # pyright: ignore[reportPrivateUsage]
        if ident != own
    }
