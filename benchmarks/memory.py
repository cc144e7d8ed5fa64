"""Memory over the length of a video, which must stay flat, and peak memory by frame size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.clips import ClipMaker
from benchmarks.measure import in_turns, row_of, run_task
from benchmarks.scope import Scope, Size
from benchmarks.tasks import Task
from benchmarks.values import BenchResult, Goal
from vrmatte.progress import Observer

NAME = "memory"
MB_PER_1000_AT_MOST = 2.0
PEAK_MB_AT_MOST = {6144: 3000.0, 8192: 5000.0}
"""By width of the frame."""
_SETTLED = 0.3
"""Share of a run after which all buffers have been filled."""
_SPANS = 20
"""The peak of each of so many spans counts, since memory varies between frames."""


def measure(scope: Scope, observer: Observer) -> BenchResult:
    """Measure the slope over a long small and a shorter large clip, and the peak of each size."""
    long_ones = {
        (scope.small, scope.small_frames): True,
        (scope.overhead_size, scope.large_frames): True,
    }
    results = [_slope(scope, size, frames, observer) for size, frames in long_ones]
    results += [_peak(scope, size, observer) for size in scope.sizes]
    return BenchResult(
        tuple(row for result in results for row in result.rows),
        tuple(goal for result in results for goal in result.goals),
    )


def _slope(scope: Scope, size: Size, frames: int, observer: Observer) -> BenchResult:
    clip = ClipMaker(scope, observer).clip(size, frames)
    settings = scope.settings({"processing.chunk_size": max(2, frames // scope.long_chunks)})
    task = Task("job", clip, scope.out / "runs" / NAME, settings.model_dump(mode="json"))
    case = f"{size[0]}x{size[1]}, {frames} frames"
    # One run is enough: a leak recurs in every run.
    done = in_turns({"job": lambda: run_task(scope, task)}, 1, f"{NAME} {case}", observer)["job"]
    slope = mb_per_1000_frames(done[0].answer.resident)
    figures = {"mb_per_1000_frames": [slope], "peak_rss_mb": [done[0].peak_bytes / 1e6]}
    row = row_of(NAME, case, figures, [done[0].usage])
    return BenchResult(
        (row,), (Goal(NAME, case, "mb_per_1000_frames", slope, at_most=MB_PER_1000_AT_MOST),)
    )


def _peak(scope: Scope, size: Size, observer: Observer) -> BenchResult:
    clip = ClipMaker(scope, observer).clip(size, scope.frames)
    settings = scope.settings({}).model_dump(mode="json")
    task = Task("job", clip, scope.out / "runs" / NAME, settings)
    case = f"{size[0]}x{size[1]}, default settings"
    done = in_turns({"job": lambda: run_task(scope, task)}, 1, f"{NAME} {case}", observer)["job"]
    peak = done[0].peak_bytes / 1e6
    row = row_of(NAME, case, {"peak_rss_mb": [peak]}, [done[0].usage])
    bound = PEAK_MB_AT_MOST.get(size[0])
    if bound is None:
        return BenchResult((row,))
    return BenchResult((row,), (Goal(NAME, case, "peak_rss_mb", peak, at_most=bound),))


def mb_per_1000_frames(resident: Sequence[tuple[int, int]]) -> float:
    """Return the slope of a line through the peaks of a run, after its first third.

    Args:
        resident: numbers of finished frames with the bytes held then, in order.
    """
    last = resident[-1][0]
    peaks: dict[int, tuple[int, int]] = {}
    for done, held in resident:
        span = done * _SPANS // (last + 1)
        peaks[span] = max(peaks.get(span, (0, 0)), (held, done))
    kept = [(done, held) for held, done in peaks.values() if done >= _SETTLED * last]
    slope, _ = np.polyfit([at for at, _ in kept], [held / 1e6 for _, held in kept], 1)
    return float(slope) * 1000
