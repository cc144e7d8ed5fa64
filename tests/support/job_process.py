"""Runs the command line in a process of its own, to be killed at will.

The processes are forked from a server that has everything imported and compiled, so one costs only
its work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vrmatte.cli.main import main

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["support.warm_run"])
_TIMEOUT_SECONDS = 120


class JobProcess:
    """One run of `vrmatte ARGUMENTS`; standard output and error go to files."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        prepare: Sequence[Callable[[], object]] = (),
    ) -> None:
        """Start it; what is in `prepare` is called in the process, before the command."""
        self._log = log
        self._process = _SERVER.Process(target=_run, args=(list(arguments), str(log), prepare))
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, if the process still runs."""
        if self.alive:
            os.kill(self.pid, number)

    def wait(self, seconds: float = _TIMEOUT_SECONDS) -> int | None:
        """Exit code once ended, negative for a signal; None when the time is over."""
        self._process.join(seconds)
        return self._process.exitcode

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return Path(f"{self._log}.err").read_text()

    @property
    def output(self) -> str:
        """What it wrote to standard output."""
        return Path(f"{self._log}.out").read_text()


def _run(arguments: list[str], log: str, prepare: Sequence[Callable[[], object]]) -> None:
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(f"{log}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), descriptor)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  the process ends with it
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for step in prepare:
        step()
    sys.argv = ["vrmatte", *arguments]
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
