"""The commands `probe` and `verify`: they look and tell, and change nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import size_text, terminal_progress
from vrmatte.errors import VerificationError, one_line
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.scan import count_decoded


def probe_command(video: Path, *, count: bool, as_json: bool) -> None:
    """Print what a video is."""
    source = probe(video)
    decoded = count_decoded(video) if count else None
    if as_json:
        typer.echo(json.dumps(asdict(source) | {"frames_decoded": decoded}, default=str, indent=1))
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
        "frames": f"{source.frames_from_header or 'unknown'} by the header"
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
    how = "assumed" if source.fov_evidence == "assumed" else f"from {source.fov_evidence}"
    return f"{text}, {source.projection_fov_deg:g} degrees ({how})"


def verify_command(directory: Path, *, as_json: bool) -> None:
    """Print what was checked; exit code 9 where something differs."""
    from vrmatte.commands.verify import verify_output

    with terminal_progress(quiet=as_json) as observer:
        checked = verify_output(directory, observer)
    if as_json:
        typer.echo(json.dumps([asdict(piece) for piece in checked], indent=1))
    else:
        table = Table(title=one_line(str(directory)))
        for name in ("job", "file", "result"):
            table.add_column(name, overflow="fold")
        for piece in checked:
            table.add_row(*map(one_line, (piece.job, piece.name, piece.problem or "as promised")))
        Console(markup=False).print(table)
    wrong = [piece.name for piece in checked if piece.problem]
    if wrong:
        raise VerificationError(f"{directory}: {len(wrong)} not as promised: {', '.join(wrong)}")
