"""The commands `score` and `compare`: how far a matte is from the truth, or from another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import terminal_progress
from vrmatte.commands.read_mattes import MatteKind
from vrmatte.errors import ConfigError, one_line
from vrmatte.quality.truth.truth_metrics import REGIONS, TruthReport

if TYPE_CHECKING:
    from vrmatte.commands.compare import Comparison

_MEASURES = {
    "mad": ("MAD", "x 1000, all pixels"),
    "mse": ("MSE", "x 1000, all pixels"),
    "sad": ("SAD", "/ 1000, sum per eye"),
    "grad": ("Grad", "/ 1000, sum per eye"),
    "conn": ("Conn", "/ 1000, sum per eye"),
    "dtssd": ("dtSSD", "x 100, flicker"),
    "messddt": ("MESSDdt", "x 10000, along motion"),
    "band_mad": ("band MAD", "x 1000, soft edges"),
    "trimap_mad": ("MAD-T", "x 1000, unknown in trimap"),
    "fg_mad": ("MAD in truth", "x 1000, where it is > 0.5"),
    "bg_mad": ("MAD beside it", "x 1000, where it is <= 0.02"),
    "iou": ("IoU", "1 is best"),
}


def score_command(
    matte: Path,
    truth: Path,
    trimap: Path | None,
    *,
    skip: int,
    every: int,
    kind: MatteKind,
    as_json: bool,
) -> None:
    """Score, print the table or the JSON document."""
    from vrmatte.commands.score import score_files

    with terminal_progress(quiet=as_json) as observer:
        report = score_files(
            matte, truth, trimap, skip=skip, every=every, kind=kind, observer=observer
        )
    if as_json:
        facts = {"matte": str(matte), "truth": str(truth), **asdict(report)}
        typer.echo(json.dumps(facts, indent=1))
        return
    _print(report)


def compare_command(a: Path, b: Path, picture: Path | None, *, as_json: bool) -> None:
    """Compare, print the tables or the JSON document."""
    from vrmatte.commands.compare import compare_runs

    with terminal_progress(quiet=as_json) as observer:
        comparison = compare_runs(a, b, picture, observer)
    if as_json:
        facts = {**asdict(comparison), "a": str(comparison.a), "b": str(comparison.b)}
        typer.echo(json.dumps(facts, indent=1))
        return
    _print_comparison(comparison)
    if picture is not None:
        typer.echo(f"Look at {one_line(str(picture))}")


def matte_kind(text: str) -> MatteKind:
    """`--as`, checked.

    Raises:
        ConfigError: another word.
    """
    if text == "auto" or text == "matte" or text == "alpha-packed":
        return text
    raise ConfigError(f"--as: {text!r} is none of auto, matte, alpha-packed")


def _print(report: TruthReport) -> None:
    console = Console(markup=False)
    title = f"{report.scored} of {report.frames} frames against the truth"
    console.print(_score_table(report, title))
    frames = ", ".join(f"{worst.frame} ({worst.mad:.1f})" for worst in report.worst)
    console.print(f"  largest MAD in frames {frames}", style="dim", highlight=False)
    if report.every > 1:
        console.print(f"  Conn and MESSDdt of every {report.every}th frame", style="dim")


def _score_table(report: TruthReport, title: str) -> Table:
    table = Table(title=title)
    table.add_column("metric")
    for name in REGIONS:
        table.add_column(name, justify="right")
    table.add_column("lower is better, but for IoU")
    for name, (words, unit) in _MEASURES.items():
        values = [getattr(report.scores[region], name) for region in REGIONS]
        if any(value is not None for value in values):
            table.add_row(words, *("-" if v is None else f"{v:.3f}" for v in values), unit)
    return table


def _print_comparison(comparison: Comparison) -> None:
    console = Console(markup=False)
    between = comparison.between
    title = f"A against B in place of a truth, {between.frames} frames"
    console.print(_score_table(between, title))
    frames = ", ".join(f"{each.frame} ({each.mad:.2f})" for each in comparison.most_different)
    console.print(f"  they differ most in frames {frames}", style="dim", highlight=False)
    table = Table(title="each by itself")
    for name in ("", "A", "B"):
        table.add_column(name, overflow="fold")
    first, second = comparison.figures
    table.add_row("area matted", f"{first.area:.3%}", f"{second.area:.3%}")
    table.add_row("motion and flicker, x 1000", f"{first.motion:.3f}", f"{second.motion:.3f}")
    for name, pair in {**comparison.facts, **comparison.settings}.items():
        table.add_row(name, *(one_line(_word(value)) for value in pair))
    console.print(table)


def _word(value: object) -> str:
    return "-" if value is None else str(value)
