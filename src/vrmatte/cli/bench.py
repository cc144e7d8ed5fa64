"""The command `bench`: measure, print figures and bounds, write JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.bench.run import REPORT_FILE, run_benches
from vrmatte.bench.scope import Scope, parse_sizes, quick
from vrmatte.bench.values import BenchReport, Goal, Row, Spread
from vrmatte.cli.render import terminal_progress
from vrmatte.config import Device
from vrmatte.errors import ConfigError


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
    """What the options ask for.

    Raises:
        ConfigError: a size or device that can't be.
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
    """Run benchmarks and print tables, or the JSON report."""
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
    state = "" if row.quiet else f", disturbed: others computed with {row.others_cores:.1f} cores"
    table = Table(title=f"{row.bench}: {row.case}{state}")
    for name in ("figure", "median", "least", "most"):
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
    table = Table(title="What must hold")
    for name in ("bench", "case", "figure", "found", "must be", ""):
        table.add_column(name)
    for goal in report.goals:
        verdict = "holds" if goal.holds else "FAILS"
        if (goal.bench, goal.case) in disturbed:
            verdict += " (disturbed)"
        table.add_row(goal.bench, goal.case, goal.figure, _short(goal.found), _bound(goal), verdict)
    return table


def _bound(goal: Goal) -> str:
    if goal.at_most is not None:
        return f"at most {goal.at_most:.3g}"
    return f"at least {goal.at_least:.3g}"
