"""Measure processes from outside, with cases taking turns."""

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
class ProcessUsage:
    """Resources of a process with all its children, from start to end."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of the process alone, sampled."""
    others_cores: float
    """Mean number of cores used by other processes meanwhile."""
    exit_code: int
    """Negative: the number of the signal that ended it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished task, as measured by its worker and by the system."""

    answer: Answer
    usage: ProcessUsage

    @property
    def wall_seconds(self) -> float:
        """Wall time of the work alone."""
        return self.answer.wall_seconds

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the work alone, all threads."""
        return self.answer.cpu_seconds

    @property
    def start_seconds(self) -> float:
        """Wall time in which Python starts, imports and exits."""
        return self.usage.wall_seconds - self.answer.wall_seconds

    @property
    def peak_bytes(self) -> int:
        """Peak memory."""
        return max(self.usage.peak_bytes, self.answer.peak_bytes or 0)


class WatchedProcess:
    """A running process whose resources are sampled."""

    def __init__(self, command: Sequence[str], log: Path, folder: Path | None = None) -> None:
        """Start it; its output goes to `log`."""
        self._log = log
        self._busy_before = busy_seconds()
        self._cpu_before = time.process_time()
        self._began = time.perf_counter()
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder)
        self._peak_bytes = 0
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    @property
    def seconds(self) -> float:
        """Time since its start."""
        return time.perf_counter() - self._began

    @property
    def running(self) -> bool:
        """True until it has ended."""
        try:
            return psutil.Process(self._process.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()

    def wait(self) -> ProcessUsage:
        """Wait for its end and return its resources."""
        try:
            _, status, used = os.wait4(self._process.pid, 0)
        except BaseException:
            self._process.kill()  # an interrupted benchmark leaves nothing running
            raise
        self._process.returncode = os.waitstatus_to_exitcode(status)
        wall = self.seconds
        self._done.set()
        self._sampler.join()
        cpu = used.ru_utime + used.ru_stime
        ours = time.process_time() - self._cpu_before
        others = (busy_seconds() - self._busy_before - cpu - ours) / wall
        return ProcessUsage(wall, cpu, self._peak_bytes, max(0.0, others), self._process.returncode)

    @property
    def last_output(self) -> str:
        """The last line of its output."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed no output"

    def _sample(self) -> None:
        try:
            process = psutil.Process(self._process.pid)
            while not self._done.wait(_SAMPLE_SECONDS):
                self._peak_bytes = max(self._peak_bytes, process.memory_info().rss)
        except psutil.Error:
            return  # it has ended


class TaskRun:
    """A task that runs in a worker."""

    def __init__(self, scope: Scope, task: Task) -> None:
        """Start a worker."""
        stem = f"{task.kind}-{task.out.name}"
        scope.out.mkdir(parents=True, exist_ok=True)
        asked, self._answer = (scope.out / f"{stem}.{part}.json" for part in ("task", "answer"))
        self._answer.unlink(missing_ok=True)
        asked.write_text(task.as_json(), "utf-8")
        command = (*scope.worker, str(asked), str(self._answer))
        self._task = task
        self.watched = WatchedProcess(command, scope.out / f"{stem}.log")

    def wait(self) -> Outcome:
        """Wait for the task and return its outcome.

        Raises:
            VrmatteError: the worker failed.
        """
        usage = self.watched.wait()
        if usage.exit_code != 0 or not self._answer.exists():
            raise VrmatteError(
                f"the measured {self._task.kind} of {self._task.video.name} failed with exit code "
                f"{usage.exit_code}: {self.watched.last_output}"
            )
        return Outcome(Answer.of_json(self._answer.read_text("utf-8")), usage)


def run_task(scope: Scope, task: Task, *, fresh: bool = True) -> Outcome:
    """Run one task in a worker; `fresh` first deletes earlier work in its directory."""
    if fresh:
        shutil.rmtree(task.out, ignore_errors=True)
    return TaskRun(scope, task).wait()


def in_turns(
    cases: Mapping[str, Callable[[], T]], repeats: int, label: str, observer: Observer
) -> dict[str, list[T]]:
    """Run all cases repeatedly in the same order, so that drift affects all alike."""
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
    seen: Sequence[ProcessUsage],
    notes: tuple[str, ...] = (),
) -> Row:
    """Return a row of figures that were measured while the processes `seen` ran."""
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
    """Bound a wall-time figure; on a busy machine, bound the CPU-time figure instead.

    Args:
        row: the row of both figures.
        wall: name of the wall-time figure.
        cpu: name of the CPU-time figure, which other processes hardly change.
        at_most: the bound, or
        at_least: the bound.
    """
    figure = wall if row.quiet else cpu
    return Goal(row.bench, row.case, figure, row.figures[figure].median, at_most, at_least)


def busy_seconds() -> float:
    """Return the CPU seconds of the whole machine since its start."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
