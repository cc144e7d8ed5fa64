"""`vrmatte scout`: find the people of a video without matting it."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.options import Assignments, ConfigFiles, Json, Video, load_settings
from vrmatte.cli.terminal import (
    PERSON_COLUMNS,
    new_table,
    person_cells,
    print_path,
    terminal_progress,
)

if TYPE_CHECKING:
    from vrmatte.subjects import People

app = typer.Typer()


@app.command()
def scout(
    video: Video,
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory for the files.")],
    config: ConfigFiles = None,
    assign: Assignments = None,
    json: Json = False,
) -> None:
    """Find the people of a video; write NAME_people.json, for editing, and a contact sheet."""
    from vrmatte.commands.scout import scout_video
    from vrmatte.people.document import as_json

    settings = load_settings(config, assign)
    with terminal_progress(quiet=json, notices=settings.notices) as observer:
        scouted = scout_video(video, out, settings.config, observer)
    if json:
        typer.echo(json_format.dumps(json_format.loads(as_json(scouted.people))))
        return
    console = Console(markup=False)
    console.print(_people_table(scouted.people))
    console.print(_viewport_table(scouted.people, scouted.px_per_deg))
    print_path("People (edit to change what a run mattes): ", scouted.document)
    print_path("Contact sheet: ", scouted.sheet)


def _people_table(people: People) -> Table:
    cuts = len(people.shots) - 1
    title = f"{len(people.people)} people, {cuts} cuts, {people.source.frames} frames"
    table = new_table(*PERSON_COLUMNS, "frames", title=title)
    for person in people.people:
        middle = person.boxes[len(person.boxes) // 2]
        table.add_row(*person_cells(person, middle), f"{person.first}-{person.last - 1}")
    return table


def _viewport_table(people: People, px_per_deg: float) -> Table:
    title = "viewports (degrees; pixels at the density of the source)"
    columns = ("name", "frames", "yaw, pitch", "field of view", "pixels", "turns")
    table = new_table(*columns, title=title)
    for path in people.viewports:
        view = path.at(path.first)
        width, height = view.size_for(px_per_deg)
        table.add_row(
            path.name,
            f"{path.first}-{path.last - 1}",
            f"{view.yaw_deg:.0f}, {view.pitch_deg:.0f}",
            f"{path.hfov_deg:.0f} x {path.vfov_deg:.0f} {path.projection}",
            f"{width} x {height}",
            str(len(path.turns) - 1),
        )
    return table
