"""`vrmatte doctor`: check what this machine can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vrmatte.cli.options import Json
from vrmatte.cli.terminal import new_table, print_json
from vrmatte.errors import ConfigError, one_line

if TYPE_CHECKING:
    from vrmatte.commands.doctor import MachineCheck

app = typer.Typer()
_STYLES = {"ok": "green", "warning": "yellow", "missing": "red"}


@app.command()
def doctor(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory whose disk is checked.")
    ] = Path(),
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Frame size the codecs are tested with.")
    ] = "6144x3072",
    json: Json = False,
) -> None:
    """Check what this machine can do: networks, codecs, weights, memory, disk; with advice.

    The exit code is 1 if a run with default settings can't work here.
    """
    from vrmatte.commands.doctor import examine, missing_needs

    checks = examine(out, _parse_size(size))
    missing = missing_needs(checks)
    if json:
        print_json([asdict(check) for check in checks])
    else:
        _print(checks, missing)
    if missing:
        raise typer.Exit(1)


def _parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "6144x3072".

    Raises:
        ConfigError: the text is not the size of a side-by-side video.
    """
    from vrmatte.media.opening import LARGEST_SIDE_PX

    width, _, height = text.lower().partition("x")
    if width.isdecimal() and height.isdecimal():
        size = int(width), int(height)
        if all(64 <= side <= LARGEST_SIDE_PX and side % 2 == 0 for side in size):
            return size
    raise ConfigError(
        f"--size: {text!r} is not a frame size; accepted are even numbers from 64 to "
        f"{LARGEST_SIDE_PX}, such as 6144x3072"
    )


def _print(checks: Sequence[MachineCheck], missing: Sequence[MachineCheck]) -> None:
    console = Console(markup=False)
    table = new_table("", "check", "result", "advice")
    group = checks[0].group
    for check in checks:
        if check.group != group:
            group = check.group
            table.add_section()
        style = _STYLES[check.state]
        if check.state == "missing" and not check.needed:
            style = "dim"
        cells = map(one_line, (check.what, check.result, check.advice))
        table.add_row(check.state, *cells, style=style)
    console.print(table)
    names = ", ".join(check.what for check in missing)
    console.print(
        f"Runs with default settings can't work here: {names}."
        if missing
        else "Runs with default settings work here."
    )
