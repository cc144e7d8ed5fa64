"""How fast a whole job is with default settings, what it costs, and where the time goes."""

from __future__ import annotations

from functools import partial

from benchmarks.clips import ClipMaker
from benchmarks.measure import Outcome, in_turns, row_of, run_task
from benchmarks.scope import Scope, Size
from benchmarks.tasks import Task
from benchmarks.values import Findings, Row
from vrmatte.progress import Observer

NAME = "end-to-end"


def measure(scope: Scope, observer: Observer) -> Findings:
    """One row per size."""
    return Findings(tuple(_row(scope, size, observer) for size in scope.sizes))


def _row(scope: Scope, size: Size, observer: Observer) -> Row:
    clip = ClipMaker(scope, observer).clip(size, scope.frames)

    def job(overlap: bool) -> Outcome:
        settings = scope.settings({"performance.overlap": overlap}).model_dump(mode="json")
        return run_task(
            scope, Task("job", clip, scope.out / "runs" / f"{NAME}-{overlap}", settings)
        )

    case = f"{size[0]}x{size[1]}"
    cases = {"overlapped": partial(job, True), "serial": partial(job, False)}
    found = in_turns(cases, scope.repeats, f"{NAME} {case}", observer)
    whole, serial = found["overlapped"], found["serial"]
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
    return row_of(NAME, case, figures, [r.usage for r in (*whole, *serial)])
