"""`run --sample`: what a whole run would take and make, told from pieces of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from vrmatte.cli.render import size_text, terminal_progress
from vrmatte.cli.run import overrides_of, parse_time
from vrmatte.errors import ConfigError, one_line
from vrmatte.progress import Notice
from vrmatte.settings.load import load_config
from vrmatte.settings.notices import notices

if TYPE_CHECKING:
    from vrmatte.commands.sample import SampleReport


def sample_command(
    files: Sequence[Path],
    assignments: Sequence[str],
    preset: str | None,
    options: Mapping[str, Any],
    length: str,
    *,
    as_json: bool,
) -> None:
    """Resolve settings, make samples, print the estimate or the JSON document."""
    from vrmatte.commands.sample import sample_video

    resolved = load_config(files, assignments, preset, overrides_of(options))
    config = resolved.config
    if config.input.video_path is None or config.output.path is None:
        raise ConfigError("--sample needs INPUT and --out, as the run itself does")
    seconds = parse_time(length.removesuffix("s"), "--sample")
    if not seconds:
        raise ConfigError("--sample: 0 s is no sample; accepted are 10s, 12.5, 1:30")
    with terminal_progress(quiet=as_json) as observer:
        for text in notices(resolved):
            observer(Notice(text))
        report = sample_video(
            config.input.video_path, config.output.path, seconds, config, observer
        )
    if as_json:
        typer.echo(report.as_json())
    else:
        _print(report)


def _print(report: SampleReport) -> None:
    console = Console(markup=False)
    whole = report.whole
    frames = sum(sample.cost.frames for sample in report.samples)
    table = Table(
        title=f"estimate for {whole.frames} frames from {frames} in {len(report.samples)} samples"
    )
    table.add_column("what")
    table.add_column("whole run", justify="right")
    for name, seconds in whole.parts.items():
        table.add_row(name, _duration(seconds))
    table.add_section()
    table.add_row("wall time", f"{_duration(whole.seconds)} ({whole.frames_per_second:.2f} fps)")
    table.add_section()
    for name, size in whole.file_bytes.items():
        table.add_row(name, size_text(size))
    table.add_row("matte store", size_text(whole.store_bytes))
    table.add_row("kept on disk", size_text(whole.kept_bytes))
    table.add_row("most on disk meanwhile", size_text(whole.peak_bytes))
    table.add_row("free now", size_text(report.free_bytes))
    console.print(table)
    stereo = report.quality["stereo"]
    if isinstance(stereo, dict):
        console.print(
            f"  eyes agree {stereo['mean']:.3f} in the mean, {stereo['worst']:.3f} at worst (frame "
            f"{stereo['worst_frame']}); {stereo['flagged_share']:.1%} flagged",
            style="dim",
            highlight=False,
        )
    for line in cast(list[dict[str, Any]], report.quality["scores"]):
        console.print(
            f"  {line['label']}: {line['median']:g} {line['unit']}, {line['worst']:g} at worst, "
            f"{line['beyond']} of {line['frames']} beyond its limit",
            style="dim",
            highlight=False,
        )
    console.print(f"Look at the samples in {one_line(str(report.folder))}", soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
