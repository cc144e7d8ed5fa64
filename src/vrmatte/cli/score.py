"""`vrmatte score` and `vrmatte compare`: a matte against ground truth, or against another matte."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.options import Json
from vrmatte.cli.terminal import new_table, print_json, print_path, terminal_progress
from vrmatte.errors import one_line
from vrmatte.settings.choices import MatteKind

if TYPE_CHECKING:
    from vrmatte.commands.compare import RunComparison
    from vrmatte.quality.truth.truth_metrics import TruthReport

app = typer.Typer()
_METRICS = {
    "mad": ("MAD", "x 1000, all pixels"),
    "mse": ("MSE", "x 1000, all pixels"),
    "sad": ("SAD", "/ 1000, sum per eye"),
    "grad": ("Grad", "/ 1000, sum per eye"),
    "conn": ("Conn", "/ 1000, sum per eye"),
    "dtssd": ("dtSSD", "x 100, flicker"),
    "messddt": ("MESSDdt", "x 10000, along motion"),
    "band_mad": ("band MAD", "x 1000, soft edges"),
    "trimap_mad": ("MAD-T", "x 1000, unknown region of the trimap"),
    "fg_mad": ("MAD foreground", "x 1000, truth > 0.5"),
    "bg_mad": ("MAD background", "x 1000, truth <= 0.02"),
    "iou": ("IoU", "1 is best"),
}
"""Label and unit of each field of a score."""


@app.command()
def score(
    matte: Annotated[
        Path, typer.Argument(metavar="PRED", help="Matte video, file with alpha, or PNG folder.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Exact matte of the same frames.")],
    trimap: Annotated[
        Path | None, typer.Option(help="Grey video; neither black nor white means unknown.")
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Frames to leave out at the start.")] = 0,
    every: Annotated[
        int, typer.Option(min=0, help="Compute Conn and MESSDdt (slow) every N frames; 0: never.")
    ] = 1,
    kind: Annotated[MatteKind, typer.Option("--as", help="How PRED stores its matte.")] = "auto",
    json: Json = False,
) -> None:
    """Score a matte against ground truth, with the metrics of the matting literature."""
    from vrmatte.commands.score import score_files

    with terminal_progress(quiet=json) as observer:
        report = score_files(
            matte, truth, trimap, skip=skip, every=every, kind=kind, observer=observer
        )
    if json:
        print_json({"matte": matte, "truth": truth, **asdict(report)})
        return
    console = Console(markup=False)
    title = f"{report.scored} of {report.frames} frames against ground truth"
    console.print(_score_table(report, title))
    frames = ", ".join(f"{worst.frame} ({worst.mad:.1f})" for worst in report.worst)
    console.print(f"  largest MAD in frames {frames}", style="dim", highlight=False)
    if report.every > 1:
        console.print(f"  Conn and MESSDdt of every {report.every}th frame", style="dim")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="--out of a run, or a matte video.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same frames.")],
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to draw the most different frames into.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare two runs: mattes, settings, speed, files, stereo agreement."""
    from vrmatte.commands.compare import compare_runs

    with terminal_progress(quiet=json) as observer:
        comparison = compare_runs(a, b, picture, observer)
    if json:
        print_json(asdict(comparison))
        return
    _print_comparison(comparison)
    if picture is not None:
        print_path("Most different frames: ", picture)


def _score_table(report: TruthReport, title: str) -> Table:
    regions = tuple(report.scores)
    table = new_table("metric", *regions, "lower is better, except IoU", title=title, right=regions)
    for name, (label, unit) in _METRICS.items():
        values = [getattr(scores, name) for scores in report.scores.values()]
        if any(value is not None for value in values):
            table.add_row(label, *("-" if v is None else f"{v:.3f}" for v in values), unit)
    return table


def _print_comparison(comparison: RunComparison) -> None:
    console = Console(markup=False)
    between = comparison.between
    console.print(_score_table(between, f"A against B as ground truth, {between.frames} frames"))
    frames = ", ".join(f"{each.frame} ({each.mad:.2f})" for each in comparison.most_different)
    console.print(f"  most different frames: {frames}", style="dim", highlight=False)
    table = new_table("", "A", "B", title="A and B separately")
    first, second = comparison.figures
    table.add_row("matted area", f"{first.area:.3%}", f"{second.area:.3%}")
    table.add_row("motion and flicker, x 1000", f"{first.motion:.3f}", f"{second.motion:.3f}")
    for name, pair in {**comparison.facts, **comparison.settings}.items():
        cells = ("-" if value is None else one_line(str(value)) for value in pair)
        table.add_row(name, *cells)
    console.print(table)
