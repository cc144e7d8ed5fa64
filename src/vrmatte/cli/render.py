"""`vrmatte render`: further files from the mattes of an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vrmatte.cli.options import (
    DELIVERABLES_HELP,
    Assignments,
    ConfigFiles,
    JobDirectory,
    Json,
    Overwrite,
    load_settings,
    split_names,
)
from vrmatte.cli.stopping import Stopping, end_stalled_process
from vrmatte.cli.terminal import print_report, terminal_progress
from vrmatte.progress import Notice

if TYPE_CHECKING:
    from vrmatte.settings.config import Config

app = typer.Typer()


@app.command()
def render(
    directory: JobDirectory,
    deliver: Annotated[str, typer.Option(help=DELIVERABLES_HELP)],
    config: ConfigFiles = None,
    assign: Assignments = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write further files from the mattes of an earlier run, without running a network.

    The settings of that run apply, except where --config and --set change how files look: colour,
    edges, eyes, projection, encoders. A setting that would change the mattes is refused.
    """
    from vrmatte.commands.render import render_output

    shown: set[str] = set()
    with (
        terminal_progress(quiet=json) as observer,
        Stopping(observer, chunk_frames=0, folder=None) as stopping,
    ):

        def change(earlier: Config) -> Config:
            overrides = {
                "output.deliver": split_names(deliver),
                "output.overwrite": overwrite,
            }
            settings = load_settings(config, assign, None, overrides, earlier)
            for text in settings.notices:
                if text not in shown:
                    shown.add(text)
                    observer(Notice(text))
            return settings.config

        reports = render_output(
            directory, change, stopping.observer, stopping.wanted, on_stall=end_stalled_process
        )
    if json:
        typer.echo(f"[{', '.join(report.as_json() for report in reports)}]")
        return
    for report in reports:
        print_report(report)
