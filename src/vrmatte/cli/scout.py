"""The command `scout`: who is in a video, and through which viewports they would be matted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import terminal_progress
from vrmatte.errors import one_line
from vrmatte.people.document import as_json
from vrmatte.progress import Notice
from vrmatte.settings.load import load_config
from vrmatte.settings.notices import notices
from vrmatte.subjects import People


def scout_command(
    video: Path, out: Path, files: Sequence[Path], assignments: Sequence[str], *, as_document: bool
) -> None:
    """Write document and contact sheet, print the table or the document."""
    from vrmatte.commands.scout import scout_video

    resolved = load_config(files, assignments)
    with terminal_progress(quiet=as_document) as observer:
        for text in notices(resolved):
            observer(Notice(text))
        scouted = scout_video(video, out, resolved.config, observer)
    if as_document:
        typer.echo(json.dumps(json.loads(as_json(scouted.people))))
        return
    console = Console(markup=False)
    console.print(_people_table(scouted.people))
    console.print(_viewport_table(scouted.people, scouted.px_per_deg))
    console.print(
        f"{one_line(str(scouted.document))} (edit it, and a run uses it as it is)", soft_wrap=True
    )
    console.print(f"{one_line(str(scouted.sheet))}", soft_wrap=True)


def _people_table(people: People) -> Table:
    cuts = len(people.shots) - 1
    table = Table(title=f"{len(people.people)} people, {cuts} cuts, {people.source.frames} frames")
    for name in ("id", "kind", "kept", "frames", "confidence", "stands at"):
        table.add_column(name)
    for person in people.people:
        middle = person.boxes[len(person.boxes) // 2].boxes[0].center
        table.add_row(
            str(person.id),
            person.kind.replace("_", " "),
            "yes" if person.keep else "no",
            f"{person.first}-{person.last - 1}",
            f"{person.confidence:.2f}",
            f"{middle[0]:.0f}, {middle[1]:.0f}",
        )
    return table


def _viewport_table(people: People, px_per_deg: float) -> Table:
    table = Table(title="viewports (degrees; pixels at the source's density)")
    for name in ("name", "frames", "yaw, pitch", "field of view", "pixels", "turns"):
        table.add_column(name)
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
