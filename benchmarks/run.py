"""Run benchmarks one after the other and write their report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from benchmarks import memory, model, peer, resume, scale, whole_jobs
from benchmarks.clips import ClipMaker
from benchmarks.measure import run_task
from benchmarks.scope import Scope
from benchmarks.tasks import Task
from benchmarks.values import BenchReport, BenchResult, Machine, write_bench_report
from vrmatte.errors import ConfigError, output_error
from vrmatte.progress import Observer, ignore

BENCHES: Mapping[str, Callable[[Scope, Observer], BenchResult]] = {
    whole_jobs.END_TO_END: whole_jobs.measure_end_to_end,
    whole_jobs.OVERHEAD: whole_jobs.measure_overhead,
    model.NAME: model.measure,
    memory.NAME: memory.measure,
    resume.NAME: resume.measure,
    scale.NAME: scale.measure,
    peer.NAME: peer.measure,
}
REPORT_FILE = "bench.json"
_WARM_UP_FRAMES = 4


def run_benches(names: Sequence[str], scope: Scope, observer: Observer = ignore) -> BenchReport:
    """Run benchmarks and write `bench.json` in `scope.out` after each.

    Args:
        names: keys of `BENCHES`; empty: all.
        scope: sizes, lengths and repeats.
        observer: receives progress.

    Raises:
        ConfigError: a name is unknown.
        VrmatteError: a measured process failed.
    """
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise ConfigError(f"benchmark {unknown[0]!r} is unknown; accepted are {', '.join(BENCHES)}")
    try:
        scope.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, scope.out) from error
    asked = {name: str(value) for name, value in asdict(scope).items()}
    report = BenchReport(Machine(), asked, ())
    _warm_up(scope, observer)
    for name in names or BENCHES:
        result = BENCHES[name](scope, observer)
        report = BenchReport(report.machine, asked, (*report.results, result))
        write_bench_report(report, scope.out / REPORT_FILE)
    return report


def _warm_up(scope: Scope, observer: Observer) -> None:
    """Run a job that isn't measured, so that weights are fetched and kernels compiled."""
    clip = ClipMaker(scope, observer).clip(scope.small, _WARM_UP_FRAMES)
    wanted = {"output.deliver": ["greenscreen", "alpha-packed", "matte"]}
    settings = scope.settings(wanted).model_dump(mode="json")
    run_task(scope, Task("job", clip, scope.out / "runs" / "warm-up", settings))
