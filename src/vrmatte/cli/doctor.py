"""The command `doctor`: what this machine can do, each line tried, with advice."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.jobs.doctor import examine


def doctor_command(*, as_json: bool) -> None:
    """Examine the machine and print what was found."""
    findings = examine()
    if as_json:
        typer.echo(json.dumps([asdict(f) for f in findings], indent=1))
        return
    table = Table(title=f"vrmatte {version('vrmatte')} on {platform.platform()}")
    for name in ("", "what", "found", "advice"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row("ok" if finding.ok else "--", finding.what, finding.found, finding.advice)
    Console().print(table)
