"""Runs the command line with the stand-in engine in a process of its own, to be killed at will.

The processes are forked from a server that has everything imported, so one costs only its work.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import stand_in_engine

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["support.job_process", "vrmatte.commands.run", "vrmatte.cli.run"])
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Death:
    """Where a process kills itself."""

    function: str
    """Dotted name of what is called, e.g. "vrmatte.jobs.manifest.Manifest.commit_chunk"."""
    call: int
    """Which of its calls, from 1."""
    after: bool
    """When the call has returned, instead of before it begins."""


class JobProcess:
    """One run of `vrmatte ARGUMENTS`; standard output and error go to files."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        death: Death | None = None,
        prepare: Callable[[], None] | None = None,
        main: Callable[[], None] = stand_in_engine.main,
    ) -> None:
        self._log = log
        self._process = _SERVER.Process(
            target=_run, args=(list(arguments), str(log), death, prepare, main)
        )
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


def _run(
    arguments: list[str],
    log: str,
    death: Death | None,
    prepare: Callable[[], None] | None,
    main: Callable[[], None],
) -> None:
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(f"{log}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), descriptor)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  the process ends with it
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if prepare is not None:
        prepare()
    if death is not None:
        _arm(death)
    sys.argv = ["vrmatte", *arguments]
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _arm(death: Death) -> None:
    owner: Any = None
    *path, name = death.function.split(".")
    for length in range(len(path), 0, -1):
        try:
            owner = importlib.import_module(".".join(path[:length]))
        except ImportError:
            continue
        for part in path[length:]:
            owner = getattr(owner, part)
        break
    real = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == death.call and not death.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if calls == death.call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    pytest.MonkeyPatch().setattr(owner, name, deadly)
