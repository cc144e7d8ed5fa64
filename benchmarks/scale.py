"""Scaling with several processes, and the cost of chunks."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from benchmarks.clips import ClipMaker
from benchmarks.measure import Outcome, TaskRun, in_turns, row_of, run_task, speed_goal
from benchmarks.scope import Scope
from benchmarks.tasks import Task
from benchmarks.values import BenchResult
from vrmatte.progress import Observer

NAME = "scale"
AT_LEAST = 0.90
CHUNKS_AT_MOST = 1.05
_PROCESSES = 2


def measure(scope: Scope, observer: Observer) -> BenchResult:
    """Compare two processes with one, on as many cores each; and many chunks with one."""
    processes, chunks = _processes(scope, observer), _chunks(scope, observer)
    return BenchResult(processes.rows + chunks.rows, processes.goals + chunks.goals)


def _processes(scope: Scope, observer: Observer) -> BenchResult:
    maker = ClipMaker(scope, observer)
    clips = [maker.clip(scope.small, scope.large_frames, variant) for variant in range(_PROCESSES)]
    shares = even_shares(_PROCESSES)
    tasks = [_task(scope, clip, share) for clip, share in zip(clips, shares, strict=True)]

    def together(those: list[Task]) -> list[Outcome]:
        for task in those:
            shutil.rmtree(task.out, ignore_errors=True)
        runs = [TaskRun(scope, task) for task in those]
        return [run.wait() for run in runs]

    cases = {"one": partial(together, tasks[:1]), "two": partial(together, tasks)}
    outcomes = in_turns(cases, scope.repeats, f"{NAME} processes", observer)
    one, two = ([_frames_per_second(many) for many in outcomes[name]] for name in ("one", "two"))
    figures = {
        "scaling": [b / (_PROCESSES * a) for a, b in zip(one, two, strict=True)],
        "one_frames_per_second": one,
        "two_frames_per_second": two,
        "cpu_scaling": [
            _PROCESSES * a[0].cpu_seconds / sum(o.cpu_seconds for o in b)
            for a, b in zip(outcomes["one"], outcomes["two"], strict=True)
        ],
    }
    case = f"{_PROCESSES} processes of {len(shares[0])} cores"
    # Each of two counts as another process to the other, so only the single one's load counts.
    row = row_of(NAME, case, figures, [many[0].usage for many in outcomes["one"]])
    return BenchResult((row,), (speed_goal(row, "scaling", "cpu_scaling", at_least=AT_LEAST),))


def _task(scope: Scope, clip: Path, cores: tuple[int, ...]) -> Task:
    settings = scope.settings({"hardware.threads": len(cores)}).model_dump(mode="json")
    place = scope.out / "runs" / f"{NAME}-{cores[0]}-{clip.stem}"
    return Task("job", clip, place, settings, cores=cores)


def _frames_per_second(outcomes: list[Outcome]) -> float:
    frames = sum(one.answer.frames for one in outcomes)
    return frames / max(one.wall_seconds for one in outcomes)


def even_shares(processes: int) -> list[tuple[int, ...]]:
    """Divide the cores of this process evenly; too few cores are shared by all."""
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    else:
        cores = list(range(os.cpu_count() or 1))
    each = len(cores) // processes
    if each == 0:
        return [tuple(cores)] * processes
    return [tuple(cores[n * each : (n + 1) * each]) for n in range(processes)]


def _chunks(scope: Scope, observer: Observer) -> BenchResult:
    frames = scope.chunks * scope.chunk_frames
    clip = ClipMaker(scope, observer).clip(scope.small, frames)

    def job(length: int) -> Outcome:
        settings = scope.settings({"processing.chunk_size": length}).model_dump(mode="json")
        return run_task(scope, Task("job", clip, scope.out / "runs" / f"{NAME}-{length}", settings))

    cases = {"one": partial(job, frames), "many": partial(job, scope.chunk_frames)}
    outcomes = in_turns(cases, scope.repeats, f"{NAME} chunks", observer)
    rounds = list(zip(outcomes["one"], outcomes["many"], strict=True))
    figures = {
        "wall_ratio": [m.wall_seconds / o.wall_seconds for o, m in rounds],
        "cpu_ratio": [m.cpu_seconds / o.cpu_seconds for o, m in rounds],
        "one_ms_per_frame": [1000 * o.wall_seconds / frames for o, _ in rounds],
    }
    case = f"{scope.chunks} chunks of {scope.chunk_frames} frames"
    row = row_of(NAME, case, figures, [one.usage for pair in rounds for one in pair])
    goal = speed_goal(row, "wall_ratio", "cpu_ratio", at_most=CHUNKS_AT_MOST)
    return BenchResult((row,), (goal,))
