"""`vrmatte run`: matte a video, or samples of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from vrmatte.cli.options import (
    DELIVERABLES_HELP,
    Assignments,
    CommandSettings,
    ConfigFiles,
    Engine,
    Json,
    Overwrite,
    Preset,
    load_settings,
    split_names,
    time_option,
)
from vrmatte.cli.stopping import Stopping, end_stalled_process
from vrmatte.cli.terminal import (
    new_table,
    print_path,
    print_report,
    size_text,
    terminal_progress,
)
from vrmatte.errors import ConfigError
from vrmatte.settings.choices import OnDamage

if TYPE_CHECKING:
    from vrmatte.commands.sample import SampleReport

app = typer.Typer()


@app.command()
def run(
    video: Annotated[
        Path | None, typer.Argument(metavar="INPUT", help="VR180 side-by-side video.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory for the files.")
    ] = None,
    config: ConfigFiles = None,
    assign: Assignments = None,
    preset: Preset = None,
    engine: Engine = None,
    deliver: Annotated[str | None, typer.Option(help=DELIVERABLES_HELP)] = None,
    start: Annotated[float | None, time_option("Start, in seconds or h:mm:ss.")] = None,
    end: Annotated[float | None, time_option("End, in seconds or h:mm:ss.")] = None,
    on_damage: Annotated[
        OnDamage | None, typer.Option(help="What to do about frames that can't be decoded.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; earlier work is set aside.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed chunks again.")
    ] = False,
    overwrite: Overwrite = False,
    sample: Annotated[
        float | None,
        time_option("Process only samples of this total length, and estimate the whole run."),
    ] = None,
    json: Json = False,
) -> None:
    """Matte a video, or continue an earlier run in the same output directory."""
    settings = load_settings(
        config,
        assign,
        preset,
        {
            "input.video_path": video,
            "output.path": out,
            "matting.engine": engine,
            "output.deliver": split_names(deliver),
            "output.overwrite": overwrite or None,
            "input.start": start,
            "input.end": end,
            "input.on_damage": on_damage,
        },
    )
    video, out = settings.config.input.video_path, settings.config.output.path
    if video is None:
        raise ConfigError("no source video: give INPUT, or input.video_path in a --config file")
    if out is None:
        raise ConfigError("no output directory: give --out, or output.path in a --config file")
    if sample == 0:
        raise ConfigError("--sample must be longer than 0 s, for example 10s, 12.5 or 1:30")

    if sample is not None:
        _run_samples(video, out, sample, settings, as_json=json)
        return
    from vrmatte.commands.run import matte_video
    from vrmatte.jobs.job_folder import WORK_FOLDER, job_name

    with (
        terminal_progress(quiet=json, notices=settings.notices) as observer,
        Stopping(
            observer,
            chunk_frames=settings.config.processing.chunk_size,
            folder=out / WORK_FOLDER / job_name(video.stem),
        ) as stopping,
    ):
        report = matte_video(
            video,
            out,
            settings.config,
            fresh=fresh,
            retry_failed=retry_failed,
            observer=stopping.observer,
            stop=stopping.wanted,
            on_stall=end_stalled_process,
        )
    if json:
        typer.echo(report.as_json())
    else:
        print_report(report)


def _run_samples(
    video: Path, out: Path, seconds: float, settings: CommandSettings, *, as_json: bool
) -> None:
    from vrmatte.commands.sample import sample_video

    with terminal_progress(quiet=as_json, notices=settings.notices) as observer:
        report = sample_video(
            video, out, seconds, settings.config, observer, on_stall=end_stalled_process
        )
    if as_json:
        typer.echo(report.as_json())
    else:
        _print_estimate(report)


def _print_estimate(report: SampleReport) -> None:
    console = Console(markup=False)
    whole = report.whole
    frames = sum(sample.cost.frames for sample in report.samples)
    table = new_table(
        "",
        "whole run",
        title=f"estimate for {whole.frames} frames from {frames} in {len(report.samples)} samples",
        right=("whole run",),
    )
    for name, seconds in whole.parts.items():
        table.add_row(name, _duration(seconds))
    table.add_section()
    table.add_row("wall time", f"{_duration(whole.seconds)} ({whole.frames_per_second:.2f} fps)")
    table.add_section()
    for name, size in whole.file_bytes.items():
        table.add_row(name, size_text(size))
    table.add_row("matte store", size_text(whole.store_bytes))
    table.add_row("kept on disk", size_text(whole.kept_bytes))
    table.add_row("peak on disk", size_text(whole.peak_bytes))
    table.add_row("free now", size_text(report.free_bytes))
    console.print(table)
    for line in _quality_lines(report):
        console.print(f"  {line}", style="dim", highlight=False)
    print_path("Samples: ", report.folder)


def _quality_lines(report: SampleReport) -> Iterator[str]:
    stereo = report.quality["stereo"]
    if isinstance(stereo, dict):
        yield (
            f"stereo agreement {stereo['mean']:.3f} on average, {stereo['worst']:.3f} at worst "
            f"(frame {stereo['worst_frame']}); {stereo['flagged_share']:.1%} flagged"
        )
    for line in cast(list[dict[str, Any]], report.quality["scores"]):
        yield (
            f"{line['label']}: {line['median']:g} {line['unit']}, {line['worst']:g} at worst, "
            f"{line['beyond']} of {line['frames']} frames beyond the limit"
        )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
