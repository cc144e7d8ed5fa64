"""`vrmatte models`: list, download, import and verify network weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vrmatte.cli.options import Json
from vrmatte.cli.terminal import new_table, print_json, size_text, terminal_progress
from vrmatte.errors import WeightsError

if TYPE_CHECKING:
    from vrmatte.models.weights import WeightsStatus

app = typer.Typer(
    name="models", help="List, download, import or verify network weights.", no_args_is_help=True
)
_DEFAULTS = ("rvm_mobilenetv3_fp32.onnx", "selfie_segmentation.tflite")
"""Downloaded when none is named: the weights of the engines that `auto` chooses from."""


@app.command("list")
def list_all(json: Json = False) -> None:
    """List known weights: size, licence, state on this machine."""
    from vrmatte.models.weights import list_weights

    _print(list_weights(), as_json=json)


@app.command()
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Files; none: those of the default engines.")
    ] = None,
) -> None:
    """Download weights into the cache and verify their digests."""
    from vrmatte.models.weights import get_weights

    with terminal_progress(quiet=False) as observer:
        for name in names or _DEFAULTS:
            weights = get_weights(name, observer)
            typer.echo(f"{name}: {weights.path} ({weights.file.licence})")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="Weights file from another source.")],
) -> None:
    """Copy a weights file into the cache; its digest identifies it."""
    from vrmatte.models.weights import import_weights

    weights = import_weights(file)
    typer.echo(f"{weights.file.name}: {weights.path}, verified ({weights.file.licence})")


@app.command()
def verify(json: Json = False) -> None:
    """Verify the digests of all weights on this machine.

    The exit code is 8 if a file is damaged.
    """
    from vrmatte.models.weights import verify_weights

    rows = verify_weights()
    _print(rows, as_json=json)
    damaged = [row.file.name for row in rows if row.state == "damaged"]
    if damaged:
        raise WeightsError(
            f"damaged weights: {', '.join(damaged)}; download them again with `vrmatte models "
            "pull NAME`"
        )


def _print(rows: Sequence[WeightsStatus], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": row.file.name,
                    "state": row.state,
                    "path": row.path,
                    "bytes": row.file.size_bytes,
                    "sha256": row.file.sha256,
                    "licence": row.file.licence,
                }
                for row in rows
            ]
        )
        return
    table = new_table("file", "description", "size", "licence", "state")
    for row in rows:
        file = row.file
        table.add_row(file.name, file.title, size_text(file.size_bytes), file.licence, row.state)
    Console().print(table)
