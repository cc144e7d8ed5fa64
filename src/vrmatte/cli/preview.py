"""`vrmatte preview`: matte one frame before a long run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vrmatte.cli.options import (
    Assignments,
    ConfigFiles,
    Engine,
    Json,
    Preset,
    Video,
    load_settings,
    time_option,
)
from vrmatte.cli.terminal import (
    PERSON_COLUMNS,
    new_table,
    person_cells,
    print_json,
    print_path,
    terminal_progress,
)

if TYPE_CHECKING:
    from vrmatte.commands.preview import Previewed

app = typer.Typer()


@app.command()
def preview(
    video: Video,
    at: Annotated[float, time_option("Time of the frame, in seconds or h:mm:ss.")] = 0.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="PNG file to write.")] = None,
    config: ConfigFiles = None,
    assign: Assignments = None,
    preset: Preset = None,
    engine: Engine = None,
    json: Json = False,
) -> None:
    """Matte one frame as a run would, and draw the people, the matte and the cutout."""
    from vrmatte.commands.preview import preview_frame

    settings = load_settings(config, assign, preset, {"matting.engine": engine})
    picture = out or Path(f"{video.stem}_preview_{at:g}s.png")
    with terminal_progress(quiet=json, notices=settings.notices) as observer:
        previewed = preview_frame(video, at, picture, settings.config, observer)
    if json:
        print_json(_facts(previewed))
    else:
        _print(previewed)


def _facts(previewed: Previewed) -> dict[str, object]:
    people = [
        {"id": p.id, "kind": p.kind, "keep": p.keep, "confidence": p.confidence}
        for p in previewed.people.people
    ]
    return {
        "picture": str(previewed.picture),
        "at_seconds": previewed.at_seconds,
        "engine": previewed.engine,
        "people": people,
        "viewports": [path.name for path in previewed.people.viewports],
        "stereo": [asdict(finding) for finding in previewed.findings],
        "covered": previewed.covered,
        "seconds": previewed.seconds,
    }


def _print(previewed: Previewed) -> None:
    people = previewed.people.people
    title = f"{len(people)} people at {previewed.at_seconds:.3f} s, {previewed.engine}, "
    title += f"{previewed.seconds:.1f} s"
    table = new_table(*PERSON_COLUMNS, "stereo agreement", title=title)
    scores = {finding.person: finding.agreement.score for finding in previewed.findings}
    for person in people:
        score = scores.get(person.id)
        agreement = "-" if score is None else f"{score:.3f}"
        table.add_row(*person_cells(person, person.boxes[0]), agreement)
    Console(markup=False).print(table)
    print_path("", previewed.picture)
