"""The command `clean`: what was freed, or would be, and what the user must know of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import size_text
from vrmatte.commands.clean import CleanedJob, Scope, clean_output
from vrmatte.errors import ConfigError, one_line


def clean_command(
    directory: Path, *, mattes: bool, everything: bool, dry_run: bool, as_json: bool
) -> None:
    """Free what is asked for; print a table, or a JSON list of jobs."""
    if mattes and everything:
        raise ConfigError("--mattes and --all: give one of them; --all frees the mattes too")
    scope: Scope = "all" if everything else "mattes" if mattes else "leftovers"
    jobs = clean_output(directory, scope, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps([asdict(job) for job in jobs], indent=1))
        return
    _print(jobs, directory, dry_run=dry_run)


def _print(jobs: Sequence[CleanedJob], directory: Path, *, dry_run: bool) -> None:
    console = Console(markup=False)
    freed = [each for job in jobs for each in job.freed]
    total = size_text(sum(each.bytes for each in freed))
    if freed:
        verb = "would be freed" if dry_run else "freed"
        table = Table(title=f"{one_line(str(directory))}: {total} {verb}")
        for name in ("job", "what", "files", "size"):
            numeric = name in ("files", "size")
            table.add_column(name, overflow="fold", justify="right" if numeric else "left")
        for each in freed:
            size = size_text(each.bytes)
            table.add_row(one_line(each.job), each.what, str(each.files), size)
        console.print(table)
    else:
        console.print(f"{one_line(str(directory))}: nothing to free", soft_wrap=True)
    for job in jobs:
        for text in job.notices:
            console.print(f"{one_line(job.job)}: {one_line(text)}", style="dim", soft_wrap=True)
