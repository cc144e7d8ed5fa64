"""`vrmatte probe` and `vrmatte verify`: read-only looks at a video and at the files of a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.options import JobDirectory, Json
from vrmatte.cli.terminal import new_table, print_json, size_text, terminal_progress
from vrmatte.errors import VerificationError, one_line

if TYPE_CHECKING:
    from vrmatte.media.probe import SourceInfo

app = typer.Typer()


@app.command()
def probe(
    video: Annotated[Path, typer.Argument(metavar="INPUT", help="Any video.")],
    count: Annotated[
        bool, typer.Option("--count", help="Decode the whole video to count its frames.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what a video contains: size, rate, colour, audio, layout, projection."""
    from vrmatte.media.probe import probe
    from vrmatte.media.scan import count_decoded

    source = probe(video)
    decoded = count_decoded(video) if count else None
    if json:
        print_json(asdict(source) | {"frames_decoded": decoded})
        return
    table = Table(show_header=False, title=one_line(str(video)))
    for name, text in _facts(source, decoded).items():
        table.add_row(name, one_line(text))
    Console(markup=False).print(table)


def _facts(source: SourceInfo, decoded: int | None) -> dict[str, str]:
    color = source.color
    facts = {
        "size": f"{source.width}x{source.height}, {size_text(source.size_bytes)}",
        "codec": f"{source.codec} {source.pixel_format} in {source.container}",
        "layout": f"{source.stereo.replace('_', ' ')} (from {source.stereo_evidence})",
        "projection": _projection_text(source),
        "rate": f"{source.average_rate} fps, time base {source.time_base}",
        "duration": f"{source.duration_seconds or 0:.3f} s",
        "frames": f"{source.frames_from_header or 'unknown'} according to the header"
        + (f", {decoded} decoded" if decoded is not None else ""),
        "colour": f"primaries {color.primaries}, transfer {color.transfer}, matrix {color.matrix}, "
        + ("full" if color.full_range else "limited")
        + " range"
        + (", HDR" if color.is_hdr else ""),
    }
    if source.rotation_deg:
        facts["rotation"] = f"{source.rotation_deg} degrees"
    for stream in source.streams:
        language = f" [{stream.language}]" if stream.language else ""
        facts[f"stream {stream.index}"] = f"{stream.kind} {stream.codec}{language} {stream.detail}"
    if source.chapters:
        facts["chapters"] = str(source.chapters)
    return facts


def _projection_text(source: SourceInfo) -> str:
    text = f"{source.projection.replace('_', '-')} (from {source.projection_evidence})"
    if source.projection != "fisheye":
        return text
    origin = "assumed" if source.fov_evidence == "assumed" else f"from {source.fov_evidence}"
    return f"{text}, {source.projection_fov_deg:g} degrees ({origin})"


@app.command()
def verify(directory: JobDirectory, json: Json = False) -> None:
    """Check every chunk and file of a finished run against its manifest and its source.

    The exit code is 9 if a check fails.
    """
    from vrmatte.commands.verify import verify_output

    with terminal_progress(quiet=json) as observer:
        checked = verify_output(directory, observer)
    if json:
        print_json([asdict(piece) for piece in checked])
    else:
        table = new_table("job", "file", "result", title=one_line(str(directory)))
        for piece in checked:
            result = f"FAILED: {piece.problem}" if piece.problem else "verified"
            table.add_row(*map(one_line, (piece.job, piece.name, result)))
        Console(markup=False).print(table)
    failed = [piece.name for piece in checked if piece.problem]
    if failed:
        raise VerificationError(f"{directory}: {len(failed)} FAILED: {', '.join(failed)}")
