"""`vrmatte render DIR`: further files from the mattes of an earlier run, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vrmatte.commands.run import matte_video
from vrmatte.errors import OutputError
from vrmatte.jobs.job_folder import begun_jobs, open_job_folder
from vrmatte.jobs.manifest import EarlierRun, Manifest, earlier_run
from vrmatte.jobs.stall import OnStall
from vrmatte.jobs.stopping import Stop, never
from vrmatte.progress import Observer, ignore
from vrmatte.report.report import RunReport
from vrmatte.settings.config import Config

Change = Callable[[Config], Config]
"""Returns new settings, given those of an earlier run."""


def render_output(
    output: Path | str,
    change: Change,
    observer: Observer = ignore,
    stop: Stop = never,
    on_stall: OnStall | None = None,
) -> list[RunReport]:
    """Write further files for every job in a directory.

    Args:
        output: directory of an earlier run.
        change: returns the settings to use, given those of that run.
        observer: receives progress events and notices.
        stop: as for `matte_video`.
        on_stall: as for `matte_video`.

    Raises:
        InputError: the directory holds no finished mattes.
        StoppedError: `stop` returned True.
        OutputError: mattes are missing, or the changed settings would change them.
    """
    output = Path(output)
    reports: list[RunReport] = []
    for stem in begun_jobs(output):
        with (
            open_job_folder(output, stem, fresh=False) as place,
            Manifest(place.folder, output) as manifest,
        ):
            run = earlier_run(manifest)
        config = change(run.config)
        _refuse_other_engine(config, run)
        report = matte_video(
            run.video,
            output,
            config,
            stored=run.engine,
            observer=observer,
            stop=stop,
            on_stall=on_stall,
        )
        reports.append(report)
    return reports


def _refuse_other_engine(config: Config, run: EarlierRun) -> None:
    """Raise OutputError if the settings name another engine than that of the mattes."""
    wanted = config.matting.engine
    if wanted not in ("auto", run.config.matting.engine, run.engine.name):
        raise OutputError(
            f"{run.video}: matting.engine = {wanted}, but {run.engine.name} made its mattes; use "
            "`vrmatte run` to matte it again"
        )
