"""Whole jobs with default settings: speed, cost, and overhead over the unavoidable work."""

from __future__ import annotations

from functools import partial

from benchmarks.clips import ClipMaker
from benchmarks.measure import Outcome, in_turns, row_of, run_task, speed_goal
from benchmarks.scope import Scope, Size
from benchmarks.tasks import Task, TaskKind
from benchmarks.values import BenchResult, Row
from vrmatte.progress import Observer

END_TO_END = "end-to-end"
OVERHEAD = "overhead"
AT_MOST = 1.25


def measure_end_to_end(scope: Scope, observer: Observer) -> BenchResult:
    """Measure a job of each size."""
    return BenchResult(tuple(_row(scope, size, observer) for size in scope.sizes))


def _row(scope: Scope, size: Size, observer: Observer) -> Row:
    clip = ClipMaker(scope, observer).clip(size, scope.frames)

    def job(overlap: bool) -> Outcome:
        settings = scope.settings({"performance.overlap": overlap}).model_dump(mode="json")
        place = scope.out / "runs" / f"{END_TO_END}-{overlap}"
        return run_task(scope, Task("job", clip, place, settings))

    case = f"{size[0]}x{size[1]}"
    cases = {"overlapped": partial(job, True), "serial": partial(job, False)}
    outcomes = in_turns(cases, scope.repeats, f"{END_TO_END} {case}", observer)
    whole, serial = outcomes["overlapped"], outcomes["serial"]
    figures = {
        "frames_per_second": [r.answer.frames / r.wall_seconds for r in whole],
        "cpu_ms_per_frame": [1000 * r.cpu_seconds / r.answer.frames for r in whole],
        "peak_rss_mb": [r.peak_bytes / 1e6 for r in whole],
        "start_seconds": [r.start_seconds for r in whole],
        "serial_over_overlapped": [
            s.wall_seconds / w.wall_seconds for s, w in zip(serial, whole, strict=True)
        ],
    }
    for step in whole[0].answer.step_seconds:
        figures[f"{step}_step_ms_per_frame"] = [
            1000 * r.answer.step_seconds[step] / r.answer.frames for r in whole
        ]
    for stage in serial[0].answer.stage_seconds:
        figures[f"{stage.removeprefix('file:')} stage_ms_per_frame".replace(" ", "_")] = [
            1000 * r.answer.stage_seconds[stage] / r.answer.frames for r in serial
        ]
    return row_of(END_TO_END, case, figures, [r.usage for r in (*whole, *serial)])


def measure_overhead(scope: Scope, observer: Observer) -> BenchResult:
    """Compare a green-screen job with a transcode by its encoder plus its networks alone."""
    size = scope.overhead_size
    clip = ClipMaker(scope, observer).clip(size, scope.frames)
    settings = scope.settings({"output.deliver": ["greenscreen"]}).model_dump(mode="json")
    place = scope.out / "runs" / OVERHEAD

    def task(kind: TaskKind, *, fresh: bool) -> Outcome:
        return run_task(scope, Task(kind, clip, place, settings), fresh=fresh)

    cases = {
        "job": partial(task, "job", fresh=True),
        "transcode": partial(task, "transcode", fresh=False),
        "network": partial(task, "network", fresh=False),
    }
    outcomes = in_turns(cases, scope.repeats, OVERHEAD, observer)
    rounds = list(zip(outcomes["job"], outcomes["transcode"], outcomes["network"], strict=True))
    figures = {
        "wall_ratio": [j.wall_seconds / (t.wall_seconds + n.wall_seconds) for j, t, n in rounds],
        "cpu_ratio": [j.cpu_seconds / (t.cpu_seconds + n.cpu_seconds) for j, t, n in rounds],
        "making_ratio": [
            j.answer.step_seconds["matte"] / (t.wall_seconds + n.wall_seconds) for j, t, n in rounds
        ],
    }
    for name, repeats in outcomes.items():
        figures[f"{name}_ms_per_frame"] = [1000 * o.wall_seconds / o.answer.frames for o in repeats]
        figures[f"{name}_cpu_ms_per_frame"] = [
            1000 * o.cpu_seconds / o.answer.frames for o in repeats
        ]
    case = f"{size[0]}x{size[1]}"
    row = row_of(OVERHEAD, case, figures, [o.usage for many in outcomes.values() for o in many])
    return BenchResult((row,), (speed_goal(row, "wall_ratio", "cpu_ratio", at_most=AT_MOST),))
