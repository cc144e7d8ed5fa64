"""Cost of a killed and resumed job: repeated work, and nothing else."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.clips import ClipMaker
from benchmarks.measure import (
    Outcome,
    ProcessUsage,
    TaskRun,
    in_turns,
    row_of,
    run_task,
    speed_goal,
)
from benchmarks.scope import Scope
from benchmarks.tasks import Task
from benchmarks.values import BenchResult, Goal
from vrmatte.errors import VrmatteError
from vrmatte.media.decode import read_frames, read_grey
from vrmatte.media.probe import probe
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import Observer, ignore

NAME = "resume"
_MARGIN = 0.05
_LOOK_SECONDS = 0.005
_STATE = "*/state.npz"
"""Exists once a chunk is finished."""


@dataclass(frozen=True, slots=True)
class _Killed:
    """A job killed half-way, and the job that resumed it."""

    until_kill_seconds: float
    chunks_at_kill: int
    usage: ProcessUsage
    """Of the killed job."""
    rest: Outcome


def measure(scope: Scope, observer: Observer) -> BenchResult:
    """Measure the extra time of a job killed half-way, as a share of an undisturbed one."""
    clip = ClipMaker(scope, observer).clip(scope.small, scope.small_frames)
    length = max(1, scope.small_frames // scope.long_chunks)
    wanted = {"output.deliver": ["greenscreen", "matte-lossless"]}
    config = scope.settings({"processing.chunk_size": length, **wanted})
    settings = config.model_dump(mode="json")
    whole = Task("job", clip, scope.out / "runs" / f"{NAME}-whole", settings)
    broken = Task("job", clip, scope.out / "runs" / f"{NAME}-broken", settings)
    chunks = -(-scope.small_frames // length)

    def undisturbed() -> Outcome | _Killed:
        return run_task(scope, whole)

    cases = {"whole": undisturbed, "broken": partial(_kill_at_half, scope, broken, chunks)}
    outcomes = in_turns(cases, scope.repeats, NAME, observer)
    rounds = [
        (w, b)
        for w, b in zip(outcomes["whole"], outcomes["broken"], strict=True)
        if isinstance(w, Outcome) and isinstance(b, _Killed)
    ]
    equal = _digests(rounds[-1][0]) == _digests(rounds[-1][1].rest)
    figures = {
        # The second start of Python isn't counted; it is a figure of its own.
        "extra_share": [(_extra(w, b) - b.rest.start_seconds) / w.wall_seconds for w, b in rounds],
        "extra_cpu_share": [_extra_cpu(w, b) / w.cpu_seconds for w, b in rounds],
        "start_seconds": [b.rest.start_seconds for _, b in rounds],
        "whole_seconds": [w.wall_seconds for w, _ in rounds],
        "chunks_at_kill": [float(b.chunks_at_kill) for _, b in rounds],
        "decoded_frames_equal": [float(equal)],
    }
    case = f"{scope.small[0]}x{scope.small[1]}, {scope.small_frames} frames in {chunks} chunks"
    seen: list[ProcessUsage] = [o.usage for w, b in rounds for o in (w, b.rest)]
    row = row_of(NAME, case, figures, seen)
    bound = 1 / chunks + _MARGIN
    goals = (
        speed_goal(row, "extra_share", "extra_cpu_share", at_most=bound),
        Goal(NAME, case, "decoded_frames_equal", float(equal), at_least=1),
    )
    return BenchResult((row,), goals)


def _extra(whole: Outcome, killed: _Killed) -> float:
    return killed.until_kill_seconds + killed.rest.usage.wall_seconds - whole.usage.wall_seconds


def _extra_cpu(whole: Outcome, killed: _Killed) -> float:
    rest = killed.rest
    starting = rest.usage.cpu_seconds - rest.cpu_seconds
    together = killed.usage.cpu_seconds + rest.usage.cpu_seconds
    return together - whole.usage.cpu_seconds - starting


def _kill_at_half(scope: Scope, task: Task, chunks: int) -> Outcome | _Killed:
    shutil.rmtree(task.out, ignore_errors=True)
    folder = task.out / ".vrmatte" / task.video.stem / "chunks"
    run = TaskRun(scope, task)
    made = 0
    while run.watched.running and made < chunks / 2:
        time.sleep(_LOOK_SECONDS)
        made = sum(1 for _ in folder.glob(_STATE))
    seconds = run.watched.seconds
    run.watched.kill()
    usage = run.watched.wait()
    if usage.exit_code >= 0:
        raise VrmatteError(
            f"{NAME}: the job ended before it could be killed ({run.watched.last_output}); "
            "measure more frames"
        )
    return _Killed(seconds, made, usage, run_task(scope, task, fresh=False))


def _digests(outcome: Outcome) -> dict[str, str]:
    """Return digests of the decoded frames and their times, by file name."""
    return {Path(name).name: _digest(Path(name)) for name in outcome.answer.files}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    if path.suffix == ".mkv":
        for pts, matte in read_grey(path):
            digest.update(f"{pts}".encode() + matte.tobytes())
        return digest.hexdigest()
    source = probe(path)
    line = scan_timeline(source, ignore)
    for frame in read_frames(source, line, 0, len(line)):
        digest.update(f"{frame.pts}".encode())
        for plane in (frame.y, frame.u, frame.v):
            digest.update(plane.tobytes())
    return digest.hexdigest()
