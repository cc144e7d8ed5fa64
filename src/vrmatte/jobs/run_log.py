"""What happened to a job and when, as lines of JSON in its folder: always on, bounded, no burden.

A journal that can't be written is told once and never ends a run; only a full disk does, as it does
wherever else a run writes.
"""

from __future__ import annotations

import json
import os
import platform
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import psutil

from vrmatte.errors import DiskFullError, StoppedError, VrmatteError, output_error
from vrmatte.models.devices import cpu_threads
from vrmatte.plan import key_of
from vrmatte.platform_support import replace_file
from vrmatte.progress import Notice, Observer, ignore
from vrmatte.settings.config import Config

JOURNAL_FILE = "journal.jsonl"
OLD_JOURNAL_FILE = "journal.old.jsonl"
"""The lines before those of `JOURNAL_FILE`, once that one has grown too long."""
LONGEST_BYTES = 10_000_000
_LONGEST_LINE_BYTES = 1_000_000
_UNEXPECTED_CODE = 1


class RunLog:
    """Appends events to the journal of a job; only the run that holds the job's lock may."""

    def __init__(
        self, folder: Path, *, is_detailed: bool = False, observer: Observer = ignore
    ) -> None:
        """Take the job's folder and `debugging.log_intermediate_workflow`.

        `observer` is told once if the journal can't be written.
        """
        self._path = folder / JOURNAL_FILE
        self._old = folder / OLD_JOURNAL_FILE
        self._is_detailed = is_detailed
        self._observer = observer
        self._works = True

    def note(
        self, event: str, details: Mapping[str, object] | None = None, **facts: object
    ) -> None:
        """Write one line: the time (seconds since 1970), the event, and its facts.

        `details` are written, with the memory in use, only where details are asked for.

        Raises:
            DiskFullError: no space is left.
        """
        if not self._works:
            return
        told: dict[str, object] = {"time": round(time.time(), 3), "event": event, **facts}
        if self._is_detailed:
            told |= {"rss_bytes": psutil.Process().memory_info().rss, **(details or {})}
        try:
            self._append(_line(told))
        except OSError as error:
            mapped = output_error(error, self._path)
            if isinstance(mapped, DiskFullError):
                raise mapped from error
            self._works = False
            reason = error.strerror or type(error).__name__
            self._observer(Notice(f"{self._path} can't be written ({reason}): no log is kept"))

    def _append(self, line: bytes) -> None:
        with suppress(FileNotFoundError):
            if self._path.stat().st_size + len(line) > LONGEST_BYTES:
                replace_file(self._path, self._old)
        with self._path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                line = b"\n" + line  # a kill in the middle of a line spoils that line alone
            file.write(line)


def _line(told: Mapping[str, object]) -> bytes:
    line = json.dumps(told, default=str).encode() + b"\n"
    if len(line) <= _LONGEST_LINE_BYTES:
        return line
    short = {name: told[name] for name in ("time", "event")} | {"left_out_bytes": len(line)}
    return json.dumps(short).encode() + b"\n"


@contextmanager
def journal_of_run(folder: Path, config: Config, observer: Observer) -> Generator[RunLog]:
    """The journal of a run that begins here; also tells how the run ends, unless all goes well.

    Of errors that nobody expected, the journal keeps the traceback.

    Raises:
        DiskFullError: no space is left.
    """
    detailed = config.debugging.log_intermediate_workflow
    run_log = RunLog(folder, is_detailed=detailed, observer=observer)
    run_log.note(
        "run begun",
        version=version("vrmatte"),
        python=platform.python_version(),
        system=platform.platform(),
        process=os.getpid(),
        cpus=cpu_threads(),
        memory_bytes=psutil.virtual_memory().total,
        settings=key_of(config.model_dump(mode="json")),
    )
    began = time.monotonic()
    try:
        yield run_log
    except BaseException as error:
        with suppress(DiskFullError):  # what ended the run is told, not what this line met
            run_log.note(
                "run stopped" if _is_stop(error) else "run failed",
                None,
                seconds=round(time.monotonic() - began, 3),
                exit_code=getattr(error, "exit_code", _UNEXPECTED_CODE),
                error=type(error).__name__,
                text=str(error),
                **_trace(error),
            )
        raise


def _is_stop(error: BaseException) -> bool:
    return isinstance(error, StoppedError) or not isinstance(error, Exception)


def _trace(error: BaseException) -> dict[str, object]:
    """Where an error comes from that was not raised on purpose, or stands for one that wasn't."""
    if _is_stop(error) or (isinstance(error, VrmatteError) and error.__cause__ is None):
        return {}
    return {"traceback": "".join(traceback.format_exception(error))}
