"""The life of every chunk as lines of JSON, for whoever wants to know what happened when."""

from __future__ import annotations

import json
import time
from pathlib import Path

from vrmatte.errors import output_error

JOURNAL_FILE = "journal.jsonl"


class Journal:
    """Appends events to `journal.jsonl` in a job's folder; switched off, it writes nothing."""

    def __init__(self, folder: Path, *, is_on: bool) -> None:
        """Take the job's folder and `debugging.log_intermediate_workflow`."""
        self._path = folder / JOURNAL_FILE
        self._is_on = is_on

    def note(self, event: str, **facts: object) -> None:
        """Write one line: the time (seconds since 1970), the event, and its facts.

        Raises:
            OutputError, DiskFullError: it can't be written.
        """
        if not self._is_on:
            return
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, default=str)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise output_error(error, self._path) from error
