"""What a job costs beyond what no program could leave out: decoding, networks, encoding."""

from __future__ import annotations

from functools import partial

from benchmarks.clips import ClipMaker
from benchmarks.measure import Outcome, in_turns, row_of, run_task, speed_goal
from benchmarks.scope import Scope
from benchmarks.tasks import Task, TaskKind
from benchmarks.values import Findings
from vrmatte.progress import Observer

NAME = "overhead"
AT_MOST = 1.25


def measure(scope: Scope, observer: Observer) -> Findings:
    """A green-screen job against a transcode with its encoder plus its networks alone."""
    size = scope.overhead_size
    clip = ClipMaker(scope, observer).clip(size, scope.frames)
    settings = scope.settings({"output.deliver": ["greenscreen"]}).model_dump(mode="json")
    place = scope.out / "runs" / NAME

    def task(kind: TaskKind, *, fresh: bool) -> Outcome:
        return run_task(scope, Task(kind, clip, place, settings), fresh=fresh)

    cases = {
        "job": partial(task, "job", fresh=True),
        "transcode": partial(task, "transcode", fresh=False),
        "network": partial(task, "network", fresh=False),
    }
    found = in_turns(cases, scope.repeats, NAME, observer)
    rounds = list(zip(found["job"], found["transcode"], found["network"], strict=True))
    figures = {
        "wall_ratio": [j.wall_seconds / (t.wall_seconds + n.wall_seconds) for j, t, n in rounds],
        "cpu_ratio": [j.cpu_seconds / (t.cpu_seconds + n.cpu_seconds) for j, t, n in rounds],
        "making_ratio": [
            j.answer.step_seconds["matte"] / (t.wall_seconds + n.wall_seconds) for j, t, n in rounds
        ],
    }
    for name, outcomes in found.items():
        figures[f"{name}_ms_per_frame"] = [
            1000 * o.wall_seconds / o.answer.frames for o in outcomes
        ]
        figures[f"{name}_cpu_ms_per_frame"] = [
            1000 * o.cpu_seconds / o.answer.frames for o in outcomes
        ]
    case = f"{size[0]}x{size[1]}"
    row = row_of(NAME, case, figures, [o.usage for many in found.values() for o in many])
    return Findings((row,), (speed_goal(row, "wall_ratio", "cpu_ratio", at_most=AT_MOST),))
