"""`python -m benchmarks`: run benchmarks, print figures and bounds, write JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.run import REPORT_FILE, run_benches
from benchmarks.scope import Scope, parse_sizes, quick
from benchmarks.values import BenchReport, Goal, Row, Spread
from vrmatte.cli.terminal import terminal_progress
from vrmatte.errors import ConfigError, VrmatteError, one_line
from vrmatte.settings.choices import Device

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="end-to-end, overhead, model, memory, resume, scale, peer; default: all.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory of clips, runs and bench.json.")
    ] = Path("vrmatte-bench"),
    sizes: Annotated[
        str, typer.Option(help="Frame sizes, separated by commas.")
    ] = "2048x1024,6144x3072,8192x4096",
    frames: Annotated[int, typer.Option(min=4, help="Number of frames of a clip.")] = 60,
    repeats: Annotated[int, typer.Option(min=1, help="Number of measurements of each case.")] = 3,
    device: Annotated[str, typer.Option(help="Device of the networks.")] = "auto",
    peer: Annotated[
        Path | None, typer.Option(help="A checkout of RobustVideoMatting to compare with.")
    ] = None,
    peer_python: Annotated[
        Path | None,
        typer.Option(help="The Python interpreter with its libraries; default: this one."),
    ] = None,
    quick: Annotated[
        bool, typer.Option(help="Use tiny clips: a test that everything runs, not a measurement.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure speed, cost and memory on generated clips; see docs/engineering/performance.md."""
    scope = scope_of(out, sizes, frames, repeats, device, peer, peer_python, is_quick=quick)
    try:
        bench_command(names or [], scope, as_json=json)
    except VrmatteError as error:
        typer.echo(f"benchmarks: {one_line(str(error))}", err=True)
        raise typer.Exit(error.exit_code) from error


def scope_of(
    out: Path,
    sizes: str,
    frames: int,
    repeats: int,
    device: str,
    peer: Path | None,
    peer_python: Path | None,
    *,
    is_quick: bool,
) -> Scope:
    """Return the scope that the options ask for.

    Raises:
        ConfigError: a size or device is not accepted.
    """
    known = get_args(Device)
    if device not in known:
        raise ConfigError(f"--device: {device!r} is unknown; accepted are {', '.join(known)}")
    scope = Scope(
        out=out,
        sizes=parse_sizes(sizes),
        frames=frames,
        repeats=repeats,
        device=cast(Device, device),
        peer=peer,
        peer_python=sys.executable if peer_python is None else str(peer_python),
    )
    return quick(scope) if is_quick else scope


def bench_command(names: Sequence[str], scope: Scope, *, as_json: bool) -> None:
    """Run benchmarks and print tables or the JSON report."""
    with terminal_progress(quiet=as_json) as observer:
        report = run_benches(names, scope, observer)
    if as_json:
        typer.echo(report.as_json())
        return
    _print(report, scope)


def _print(report: BenchReport, scope: Scope) -> None:
    console = Console()
    machine = report.machine
    console.print(f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB")
    for row in report.rows:
        console.print(_figures(row))
        for note in row.notes:
            console.print(f"  {note}", style="dim")
    if report.goals:
        console.print(_goals(report))
    for text in report.missing:
        console.print(f"not measured: {text}", style="yellow", soft_wrap=True)
    console.print(f"All figures: {scope.out / REPORT_FILE}", soft_wrap=True)


def _figures(row: Row) -> Table:
    state = "" if row.quiet else f", disturbed: other processes used {row.others_cores:.1f} cores"
    table = Table(title=f"{row.bench}: {row.case}{state}")
    for name in ("figure", "median", "min", "max"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for name, spread in row.figures.items():
        table.add_row(name, *_numbers(spread))
    return table


def _numbers(spread: Spread) -> tuple[str, str, str]:
    return _short(spread.median), _short(spread.least), _short(spread.most)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _goals(report: BenchReport) -> Table:
    disturbed = {(row.bench, row.case) for row in report.rows if not row.quiet}
    table = Table(title="Bounds")
    for name in ("benchmark", "case", "figure", "measured", "bound", ""):
        table.add_column(name)
    for goal in report.goals:
        verdict = "ok" if goal.holds else "FAILED"
        if (goal.bench, goal.case) in disturbed:
            verdict += " (disturbed)"
        table.add_row(goal.bench, goal.case, goal.figure, _short(goal.value), _bound(goal), verdict)
    return table


def _bound(goal: Goal) -> str:
    if goal.at_most is not None:
        return f"at most {goal.at_most:.3g}"
    return f"at least {goal.at_least:.3g}"


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
