"""`vrmatte render DIR`: further files from mattes that are there, without running a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vrmatte.commands.run import matte_video
from vrmatte.errors import OutputError
from vrmatte.jobs.job_folder import begun_jobs, open_job_folder
from vrmatte.jobs.manifest import EarlierRun, Manifest, earlier_run
from vrmatte.jobs.stopping import Stop, never
from vrmatte.progress import Observer, ignore
from vrmatte.report.report import RunReport
from vrmatte.settings.config import Config

Change = Callable[[Config], Config]


def render_output(
    output: Path | str, change: Change, observer: Observer = ignore, stop: Stop = never
) -> list[RunReport]:
    """Make further files of every job in a directory.

    Args:
        output: `--out` of an earlier run.
        change: what is to be other than in that run: the files to make, their settings.
        observer: receives progress events and notices.
        stop: asked between chunks and before files are joined; true ends the work there.

    Raises:
        InputError: the directory holds no finished mattes.
        StoppedError: `stop` said so.
        OutputError: mattes are missing, or what was changed would make other ones.
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
            run.video, output, config, stored=run.engine, observer=observer, stop=stop
        )
        reports.append(report)
    return reports


def _refuse_other_engine(config: Config, run: EarlierRun) -> None:
    """Mattes are of the engine that made them, which "auto" leaves open."""
    wanted = config.matting.engine
    if wanted not in ("auto", run.config.matting.engine, run.engine.name):
        raise OutputError(
            f"{run.video}: matting.engine = {wanted}, but its mattes are of {run.engine.name}; "
            "`vrmatte run` makes others"
        )
