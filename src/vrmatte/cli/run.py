"""The command `run`: options to settings, settings to files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from vrmatte.cli.render import print_report, terminal_progress
from vrmatte.cli.stopping import Stopping
from vrmatte.errors import ConfigError
from vrmatte.progress import Notice
from vrmatte.settings.config import Config
from vrmatte.settings.load import EARLIER_RUN, load_config
from vrmatte.settings.notices import notices


@dataclass(frozen=True, slots=True)
class Again:
    """What is to be done anew in an output directory of an earlier run."""

    fresh: bool
    """Everything."""
    retry_failed: bool
    """Chunks that failed too often."""


def run_command(
    files: Sequence[Path],
    assignments: Sequence[str],
    preset: str | None,
    options: Mapping[str, Any],
    again: Again,
    *,
    as_json: bool,
) -> None:
    """Resolve settings, run, print the table or the JSON report."""
    resolved = load_config(files, assignments, preset, overrides_of(options))
    config = resolved.config
    if config.input.video_path is None:
        raise ConfigError("no source video: give INPUT, or input.video_path in a --config file")
    if config.output.path is None:
        raise ConfigError("no output directory: give --out, or output.path in a --config file")

    from vrmatte.commands.run import matte_video
    from vrmatte.jobs.job_folder import WORK_FOLDER

    with terminal_progress(quiet=as_json) as observer:
        for text in notices(resolved):
            observer(Notice(text))
        video, out = config.input.video_path, config.output.path
        folder = out / WORK_FOLDER / video.stem
        with Stopping(
            observer, chunk_frames=config.processing.chunk_size, folder=folder
        ) as stopping:
            report = matte_video(
                video,
                out,
                config,
                fresh=again.fresh,
                retry_failed=again.retry_failed,
                observer=stopping.observer,
                stop=stopping.wanted,
            )
    if as_json:
        typer.echo(report.as_json())
    else:
        print_report(report)


def render_command(
    directory: Path,
    deliver: str,
    files: Sequence[Path],
    assignments: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Make further files of an earlier run's mattes; print tables, or a JSON list of reports."""
    from vrmatte.commands.render import render_output

    told: set[str] = set()
    with terminal_progress(quiet=as_json) as observer:

        def change(config: Config) -> Config:
            overrides = overrides_of({"output.deliver": deliver})
            earlier = config.model_dump(mode="json")
            resolved = load_config(files, assignments, None, overrides, earlier)
            for text in notices(resolved):
                if text not in told and not text.startswith(EARLIER_RUN):
                    told.add(text)
                    observer(Notice(text))
            return resolved.config

        with Stopping(observer, chunk_frames=0, folder=None) as stopping:
            reports = render_output(directory, change, stopping.observer, stopping.wanted)
    if as_json:
        typer.echo(f"[{', '.join(report.as_json() for report in reports)}]")
        return
    for report in reports:
        print_report(report)


def overrides_of(options: Mapping[str, Any]) -> dict[str, object]:
    """Command-line options that were given, as dotted keys and plain values."""
    given = {key: value for key, value in options.items() if value is not None}
    if "output.deliver" in given:
        given["output.deliver"] = [
            n.strip() for n in given["output.deliver"].split(",") if n.strip()
        ]
    for key in ("input.start", "input.end"):
        if key in given:
            given[key] = parse_time(given[key], key)
    return {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}


def parse_time(text: str, key: str) -> float:
    """Seconds from "12.5", "1:02.5" or "1:02:03.5".

    Raises:
        ConfigError: the text is no time.
    """
    try:
        seconds = 0.0
        for part in text.split(":"):
            if not 0 <= float(part) < math.inf:
                raise ValueError("negative or endless")
            seconds = seconds * 60 + float(part)
    except ValueError as error:
        raise ConfigError(
            f"{key}: {text!r} is no time; accepted are 12.5, 1:02.5, 1:02:03.5"
        ) from error
    return seconds
