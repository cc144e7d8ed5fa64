"""`vrmatte clean`: delete what a run left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vrmatte.cli.options import JobDirectory, Json
from vrmatte.cli.terminal import new_table, print_json, print_path, size_text
from vrmatte.errors import ConfigError, one_line

if TYPE_CHECKING:
    from vrmatte.commands.clean import CleanedJob

app = typer.Typer()


@app.command()
def clean(
    directory: JobDirectory,
    mattes: Annotated[
        bool,
        typer.Option(
            "--mattes", help="Also the mattes, which `render` and the alpha check of `verify` need."
        ),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything except finished files; disables `verify`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be deleted.")] = False,
    json: Json = False,
) -> None:
    """Delete what a run left behind: half-written files, work set aside, chunks no file needs.

    Finished files are kept, and so is everything an unfinished run needs to continue.
    """
    from vrmatte.commands.clean import clean_output

    if mattes and everything:
        raise ConfigError("--mattes and --all: give one of them; --all deletes the mattes too")
    scope = "all" if everything else "mattes" if mattes else "leftovers"
    jobs = clean_output(directory, scope, dry_run=dry_run)
    if json:
        print_json([asdict(job) for job in jobs])
    else:
        _print(jobs, directory, dry_run=dry_run)


def _print(jobs: Sequence[CleanedJob], directory: Path, *, dry_run: bool) -> None:
    console = Console(markup=False)
    deleted = [each for job in jobs for each in job.freed]
    if deleted:
        total = size_text(sum(each.bytes for each in deleted))
        verb = "would be deleted" if dry_run else "deleted"
        title = f"{one_line(str(directory))}: {total} {verb}"
        table = new_table("job", "kind", "files", "size", title=title, right=("files", "size"))
        for each in deleted:
            table.add_row(one_line(each.job), each.what, str(each.files), size_text(each.bytes))
        console.print(table)
    else:
        print_path("", f"{directory}: nothing to delete")
    for job in jobs:
        for text in job.notices:
            console.print(f"{one_line(job.job)}: {one_line(text)}", style="dim", soft_wrap=True)
