"""The command `preview`: one frame, before a long run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import terminal_progress
from vrmatte.cli.run import parse_time
from vrmatte.errors import one_line
from vrmatte.progress import Notice
from vrmatte.settings.load import load_config
from vrmatte.settings.notices import notices

if TYPE_CHECKING:
    from vrmatte.commands.preview import Previewed


def preview_command(
    video: Path,
    at: str,
    out: Path | None,
    files: Sequence[Path],
    assignments: Sequence[str],
    preset: str | None,
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Write the picture, print who was found, or a JSON document."""
    from vrmatte.commands.preview import preview_frame

    given = {key: value for key, value in options.items() if value is not None}
    resolved = load_config(files, assignments, preset, given)
    seconds = parse_time(at, "--at")
    picture = out or Path(f"{video.stem}_preview_{seconds:g}s.png")
    with terminal_progress(quiet=as_json) as observer:
        for text in notices(resolved):
            observer(Notice(text))
        previewed = preview_frame(video, seconds, picture, resolved.config, observer)
    if as_json:
        typer.echo(json.dumps(_facts(previewed), indent=1))
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
    console = Console(markup=False)
    people = previewed.people.people
    table = Table(
        title=f"{len(people)} people at {previewed.at_seconds:.3f} s, {previewed.engine}, "
        f"{previewed.seconds:.1f} s"
    )
    for name in ("id", "kind", "kept", "confidence", "stands at", "eyes agree"):
        table.add_column(name)
    scores = {finding.person: finding.agreement.score for finding in previewed.findings}
    for person in people:
        yaw, pitch = person.boxes[0].boxes[0].center
        score = scores.get(person.id)
        table.add_row(
            str(person.id),
            person.kind.replace("_", " "),
            "yes" if person.keep else "no",
            f"{person.confidence:.2f}",
            f"{yaw:.0f}, {pitch:.0f}",
            "-" if score is None else f"{score:.3f}",
        )
    console.print(table)
    console.print(one_line(str(previewed.picture)), soft_wrap=True)
