"""The commands `models list | pull | import | verify`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import size_text, terminal_progress
from vrmatte.errors import WeightsError
from vrmatte.models.weights import (
    WeightsStatus,
    get_weights,
    import_weights,
    list_weights,
    verify_weights,
)

DEFAULTS = ("rvm_mobilenetv3_fp32.onnx", "selfie_segmentation.tflite")
"""What `pull` fetches when nothing is named: the engines `auto` chooses between."""


def list_command(*, as_json: bool) -> None:
    """Print all registered weights."""
    _print(list_weights(), as_json=as_json)


def pull_command(names: Sequence[str]) -> None:
    """Fetch weights, with a progress bar."""
    with terminal_progress(quiet=False) as observer:
        for name in names or DEFAULTS:
            weights = get_weights(name, observer)
            typer.echo(f"{name}: {weights.path} ({weights.file.licence})")


def import_command(file: Path) -> None:
    """Take a file into the cache."""
    weights = import_weights(file)
    typer.echo(f"{weights.file.name}: {weights.path}, verified ({weights.file.licence})")


def verify_command(*, as_json: bool) -> None:
    """Check all digests; exit code 8 where a file is damaged."""
    rows = verify_weights()
    _print(rows, as_json=as_json)
    damaged = [row.file.name for row in rows if row.state == "damaged"]
    if damaged:
        raise WeightsError(
            f"damaged weights: {', '.join(damaged)}; `vrmatte models pull NAME` fetches them anew"
        )


def _print(rows: Sequence[WeightsStatus], *, as_json: bool) -> None:
    if as_json:
        facts = [
            {
                "name": row.file.name,
                "state": row.state,
                "path": None if row.path is None else str(row.path),
                "bytes": row.file.size_bytes,
                "sha256": row.file.sha256,
                "licence": row.file.licence,
            }
            for row in rows
        ]
        typer.echo(json.dumps(facts, indent=1))
        return
    table = Table()
    for name in ("file", "what", "size", "licence", "state"):
        table.add_column(name, overflow="fold")
    for row in rows:
        file = row.file
        table.add_row(file.name, file.title, size_text(file.size_bytes), file.licence, row.state)
    Console().print(table)
