"""The log of a job's runs, as lines of JSON in its folder: always on, of bounded size.

A log that can't be written is reported once and never ends a run; only a full disk does, as
everywhere else.
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

RUN_LOG_FILE = "journal.jsonl"
OLD_RUN_LOG_FILE = "journal.old.jsonl"
"""The earlier lines, once `RUN_LOG_FILE` has grown too long."""
LONGEST_BYTES = 10_000_000
_LONGEST_LINE_BYTES = 1_000_000
_UNEXPECTED_CODE = 1


class RunLog:
    """Appends events to the log of a job; only for the run that holds the job's lock."""

    def __init__(
        self,
        folder: Path,
        *,
        is_detailed: bool = False,
        observer: Observer = ignore,
        longest_bytes: int = LONGEST_BYTES,
    ) -> None:
        """Take the job's folder and `debugging.log_intermediate_workflow`.

        `observer` receives one notice if the log can't be written. A log of `longest_bytes` is
        renamed, and a new one begins.
        """
        self._longest_bytes = longest_bytes
        self._path = folder / RUN_LOG_FILE
        self._old = folder / OLD_RUN_LOG_FILE
        self._is_detailed = is_detailed
        self._observer = observer
        self._works = True

    def note(
        self, event: str, details: Mapping[str, object] | None = None, **facts: object
    ) -> None:
        """Write one line: the time (seconds since 1970), the event, and its facts.

        `details`, and the memory in use, are written only with
        `debugging.log_intermediate_workflow`.

        Raises:
            DiskFullError: no space is left.
        """
        if not self._works:
            return
        entry: dict[str, object] = {"time": round(time.time(), 3), "event": event, **facts}
        if self._is_detailed:
            entry |= {"rss_bytes": psutil.Process().memory_info().rss, **(details or {})}
        try:
            self._append(_line(entry))
        except OSError as error:
            mapped = output_error(error, self._path)
            if isinstance(mapped, DiskFullError):
                raise mapped from error
            self._works = False
            reason = error.strerror or type(error).__name__
            self._observer(Notice(f"{self._path} can't be written ({reason}): no log is kept"))

    def _append(self, line: bytes) -> None:
        with suppress(FileNotFoundError):
            if self._path.stat().st_size + len(line) > self._longest_bytes:
                replace_file(self._path, self._old)
        with self._path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                line = b"\n" + line  # a kill in the middle of a line breaks only that line
            file.write(line)


def _line(entry: Mapping[str, object]) -> bytes:
    line = json.dumps(entry, default=str).encode() + b"\n"
    if len(line) <= _LONGEST_LINE_BYTES:
        return line
    short = {name: entry[name] for name in ("time", "event")} | {"left_out_bytes": len(line)}
    return json.dumps(short).encode() + b"\n"


@contextmanager
def open_run_log(folder: Path, config: Config, observer: Observer) -> Generator[RunLog]:
    """Open the log for a run that starts now; if the run fails or stops, log that at the end.

    The log keeps the traceback of unexpected errors.

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
        with suppress(DiskFullError):  # the error that ended the run matters more
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
    """Return the traceback of an unexpected error, or of one raised from it."""
    if _is_stop(error) or (isinstance(error, VrmatteError) and error.__cause__ is None):
        return {}
    return {"traceback": "".join(traceback.format_exception(error))}
