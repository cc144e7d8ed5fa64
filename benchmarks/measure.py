"""Measures processes from outside, case after case in turns."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.scope import Scope
from benchmarks.tasks import Answer, Task
from benchmarks.values import Goal, Row, Spread
from vrmatte.errors import VrmatteError
from vrmatte.progress import Advanced, Finished, Observer, Started

T = TypeVar("T")
_SAMPLE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process with all its children took, from start to end."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of the process itself, sampled."""
    others_cores: float
    """Cores that other processes computed with meanwhile, on average."""
    exit_code: int
    """Negative: the signal it was ended by."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished task, as its worker and as the system saw it."""

    answer: Answer
    usage: Usage

    @property
    def wall_seconds(self) -> float:
        """Of the work alone."""
        return self.answer.wall_seconds

    @property
    def cpu_seconds(self) -> float:
        """Of the work alone, all threads."""
        return self.answer.cpu_seconds

    @property
    def start_seconds(self) -> float:
        """Wall time for Python to start, load and end."""
        return self.usage.wall_seconds - self.answer.wall_seconds

    @property
    def peak_bytes(self) -> int:
        """The most memory it held."""
        return max(self.usage.peak_bytes, self.answer.peak_bytes or 0)


class Watched:
    """A process that is watched while it runs."""

    def __init__(self, command: Sequence[str], log: Path, folder: Path | None = None) -> None:
        """Start it; what it prints goes to `log`."""
        self._log = log
        self._busy_before = busy_seconds()
        self._own_before = time.process_time()
        self._began = time.perf_counter()
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder)
        self._peak_bytes = 0
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.perf_counter() - self._began

    @property
    def running(self) -> bool:
        """Whether it has not ended yet; it is not waited for."""
        try:
            return psutil.Process(self._process.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()

    def wait(self) -> Usage:
        """Wait for its end."""
        try:
            _, status, used = os.wait4(self._process.pid, 0)
        except BaseException:
            self._process.kill()  # whoever was stopped leaves nothing running
            raise
        self._process.returncode = os.waitstatus_to_exitcode(status)
        wall = self.seconds
        self._done.set()
        self._sampler.join()
        cpu = used.ru_utime + used.ru_stime
        own = time.process_time() - self._own_before
        others = (busy_seconds() - self._busy_before - cpu - own) / wall
        return Usage(wall, cpu, self._peak_bytes, max(0.0, others), self._process.returncode)

    @property
    def last_words(self) -> str:
        """The last line it printed."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def _sample(self) -> None:
        try:
            process = psutil.Process(self._process.pid)
            while not self._done.wait(_SAMPLE_SECONDS):
                self._peak_bytes = max(self._peak_bytes, process.memory_info().rss)
        except psutil.Error:
            return  # it has ended


class TaskRun:
    """A task under way in a worker."""

    def __init__(self, scope: Scope, task: Task) -> None:
        """Start a worker."""
        stem = f"{task.kind}-{task.out.name}"
        scope.out.mkdir(parents=True, exist_ok=True)
        told, self._answer = (scope.out / f"{stem}.{part}.json" for part in ("task", "answer"))
        self._answer.unlink(missing_ok=True)
        told.write_text(task.as_json(), "utf-8")
        command = (*scope.worker, str(told), str(self._answer))
        self._task = task
        self.watched = Watched(command, scope.out / f"{stem}.log")

    def wait(self) -> Outcome:
        """The task's outcome.

        Raises:
            VrmatteError: the worker failed.
        """
        usage = self.watched.wait()
        if usage.exit_code != 0 or not self._answer.exists():
            raise VrmatteError(
                f"the measured {self._task.kind} of {self._task.video.name} failed with exit code "
                f"{usage.exit_code}: {self.watched.last_words}"
            )
        return Outcome(Answer.of_json(self._answer.read_text("utf-8")), usage)


def run_task(scope: Scope, task: Task, *, fresh: bool = True) -> Outcome:
    """Do one task in a worker; earlier work in its directory is deleted first if `fresh`."""
    if fresh:
        shutil.rmtree(task.out, ignore_errors=True)
    return TaskRun(scope, task).wait()


def in_turns(
    cases: Mapping[str, Callable[[], T]], repeats: int, label: str, observer: Observer
) -> dict[str, list[T]]:
    """Run all cases, again and again in the same order, so that drift meets all alike."""
    results: dict[str, list[T]] = {name: [] for name in cases}
    observer(Started("bench", repeats * len(cases), label))
    done = 0
    for _ in range(repeats):
        for name, case in cases.items():
            results[name].append(case())
            done += 1
            observer(Advanced("bench", done))
    observer(Finished("bench"))
    return results


def row_of(
    bench: str,
    case: str,
    figures: Mapping[str, Sequence[float]],
    seen: Sequence[Usage],
    notes: tuple[str, ...] = (),
) -> Row:
    """A row of figures that were measured while `seen` processes ran."""
    return Row(
        bench,
        case,
        {name: Spread.of(values) for name, values in figures.items()},
        round(max(usage.others_cores for usage in seen), 2),
        round(os.getloadavg()[0], 2),
        notes,
    )


def speed_goal(
    row: Row, wall: str, cpu: str, *, at_most: float | None = None, at_least: float | None = None
) -> Goal:
    """A bound on a figure of wall time; on that of CPU time where others took part of the machine.

    Args:
        row: has both figures.
        wall: name of the one.
        cpu: name of the other, which other processes hardly change.
        at_most: the bound, or
        at_least: the bound.
    """
    figure = wall if row.quiet else cpu
    return Goal(row.bench, row.case, figure, row.figures[figure].median, at_most, at_least)


def busy_seconds() -> float:
    """CPU seconds of the whole machine since it started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
