"""The command `doctor`: what this machine can do, each line tried, with advice."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.commands.doctor import Finding, can_run, examine
from vrmatte.errors import ConfigError, one_line
from vrmatte.media.opening import LARGEST_SIDE_PX

_STYLES = {"ok": "green", "warning": "yellow", "missing": "red"}


def doctor_command(out: Path, size: str, *, as_json: bool) -> None:
    """Examine the machine and print what was found; exit code 1 where the default job can't run."""
    findings = examine(out, _parsed(size))
    if as_json:
        typer.echo(json.dumps([asdict(f) for f in findings], indent=1))
    else:
        _print(findings)
    if not can_run(findings):
        raise typer.Exit(1)


def _parsed(size: str) -> tuple[int, int]:
    """Width and height of "6144x3072".

    Raises:
        ConfigError: the text is no size of a side-by-side video.
    """
    width, _, height = size.lower().partition("x")
    if width.isdecimal() and height.isdecimal():
        found = int(width), int(height)
        if all(64 <= side <= LARGEST_SIDE_PX and side % 2 == 0 for side in found):
            return found
    raise ConfigError(
        f"--size: {size!r} is no size; accepted are even numbers from 64 to {LARGEST_SIDE_PX}, "
        "such as 6144x3072"
    )


def _print(findings: list[Finding]) -> None:
    console = Console(markup=False)
    table = Table()
    for name in ("", "what", "found", "advice"):
        table.add_column(name, overflow="fold")
    group = findings[0].group
    for finding in findings:
        if finding.group != group:
            group = finding.group
            table.add_section()
        style = _STYLES[finding.state]
        if finding.state == "missing" and not finding.needed:
            style = "dim"
        texts = (finding.what, finding.found, finding.advice)
        table.add_row(finding.state, *map(one_line, texts), style=style)
    console.print(table)
    verdict = "The default job can run."
    if not can_run(findings):
        lacking = ", ".join(f.what for f in findings if f.needed and f.state == "missing")
        verdict = f"The default job can't run: {lacking}."
    console.print(verdict)
