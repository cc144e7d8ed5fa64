"""`vrmatte run`: process the missing chunks of a video, join, verify and report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from vrmatte.frames import Timeline
from vrmatte.jobs.chunks import ChunkWork
from vrmatte.jobs.failures import refuse_failures, report_unexpected_errors, unfinishable
from vrmatte.jobs.fallbacks import downgraded_before
from vrmatte.jobs.find_subjects import find_subjects, knows_subjects
from vrmatte.jobs.finish import finish_deliverables
from vrmatte.jobs.job_folder import (
    JobFolder,
    missing_output_as_error,
    open_job_folder,
    reachable_output,
    sync_notices,
)
from vrmatte.jobs.manifest import Manifest
from vrmatte.jobs.memory import check_memory, gpu_memory_notices
from vrmatte.jobs.output_guard import guard_outputs, remember_earlier_files, written_file
from vrmatte.jobs.run_log import RUN_LOG_FILE, RunLog, open_run_log
from vrmatte.jobs.source_identity import check_identity, known_timeline
from vrmatte.jobs.stall import OnStall, StallWatch
from vrmatte.jobs.stopping import Stop, never
from vrmatte.masks.sam2_loading import torch_on_gpu
from vrmatte.matting.base import EngineChoice
from vrmatte.matting.engines.choose import choose_engine
from vrmatte.media.damage import (
    damage_report,
    end_before_damage,
)
from vrmatte.media.naming import check_video_name
from vrmatte.media.probe import SourceInfo
from vrmatte.media.scan import content_identity, fingerprint
from vrmatte.media.source import UnchangedSource, open_source
from vrmatte.models.devices import GPU_DEVICES, resolve_device
from vrmatte.plan import Plan, make_plan
from vrmatte.platform_support import limit_malloc_arenas
from vrmatte.progress import Event, Notice, Observer, ignore
from vrmatte.report.gather import page_path, write_page
from vrmatte.report.report import RunReport, read_findings, write_report
from vrmatte.settings.config import Config
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.subjects import WHOLE_EYES


def matte_video(
    video: Path | str,
    output: Path | str,
    config: Config | None = None,
    *,
    fresh: bool = False,
    retry_failed: bool = False,
    stored: EngineChoice | None = None,
    observer: Observer = ignore,
    stop: Stop = never,
    on_stall: OnStall | None = None,
) -> RunReport:
    """Matte a VR180 video and write every deliverable of `config` into the directory `output`.

    An earlier run in the same directory is continued: pieces made from the same input and settings
    are kept, everything else is processed again. A chunk that fails three times is skipped, with
    the files that need it; the rest is still processed before the run ends with `ChunkError`.

    The call never exits the process. If nothing progresses for `processing.stall_minutes`, the
    observer receives a notice, and `StalledError` is raised as soon as the run gets to the next
    chunk or file. A thread that hangs in native code never gets there: a caller that must survive
    this runs the call in a process of its own and kills that one from `on_stall`.

    Args:
        video: side-by-side half-equirectangular or fisheye video, 8 or 10 bit.
        output: directory for the finished files; created if missing.
        config: settings; defaults where None.
        fresh: start over; earlier work is set aside.
        retry_failed: try chunks again that an earlier run skipped.
        stored: engine that made all mattes in an earlier run: no network runs, and missing mattes
            are an error. None: choose one according to the settings.
        observer: receives progress events and notices.
        stop: called between chunks and before files are joined; returns True to end the run there.
        on_stall: called instead, from another thread, if nothing progresses.

    Raises:
        VrmatteError: see `vrmatte.errors` for the subclasses and their exit codes.

    Example:
        >>> config = vrmatte.load_config(assignments=["output.deliver=[greenscreen]"]).config
        >>> report = vrmatte.matte_video("clip_LR_180.mp4", "out", config)
        >>> [file.path for file in report.files]
        ['out/clip_LR_180_greenscreen.mp4']
    """
    limit_malloc_arenas()
    video, config = Path(video), config or Config()
    check_video_name(video)
    output = reachable_output(Path(output), video.stem)
    began = time.time()
    source = open_source(video, config.input)
    unchanged = UnchangedSource(source)
    with (
        open_job_folder(output, video.stem, fresh=fresh) as place,
        missing_output_as_error(place),
        open_run_log(place.folder, config, observer) as run_log,
        report_unexpected_errors(place.folder / RUN_LOG_FILE),
        Manifest(place.folder, output) as manifest,
        StallWatch(config.processing.stall_minutes, run_log, on_stall) as watch,
    ):
        if place.set_aside is not None:
            remember_earlier_files(manifest, place.set_aside, place.output)
        listener = _NoticeKeeper(watch.listening(observer), run_log)
        stop = watch.stopping(stop)
        plan = _laid_out(source, place, manifest, config, stored, listener)
        unchanged.identity = plan.fingerprint
        runs = stored is None
        _note_plan(run_log, plan, runs=runs)
        work = ChunkWork(
            plan,
            place,
            manifest,
            run_log,
            listener,
            may_infer=runs,
            stop=stop,
            check_source=unchanged.check,
        )
        if retry_failed:
            work.pieces.retry_failed()
        return _carried_out(work, place, manifest, run_log, listener, began, stop, unchanged)


def _laid_out(
    source: SourceInfo,
    place: JobFolder,
    manifest: Manifest,
    config: Config,
    stored: EngineChoice | None,
    observer: Observer,
) -> Plan:
    """Return the plan of a run; checks everything that can fail before people are detected."""
    quick = fingerprint(source.path)
    timeline = known_timeline(source, manifest, config, observer)
    identity = content_identity(source.path, timeline)
    check_identity(manifest, source.path, quick, identity, observer)
    config = _before_damage(source, timeline, config, observer)
    engine = stored or downgraded_before(choose_engine(config, observer), manifest, config)
    chunk_frames = _kept_chunk_frames(manifest, config, observer)
    plan = make_plan(source, identity, timeline, WHOLE_EYES, engine, config, chunk_frames)
    renamed = guard_outputs(plan, manifest, place.output, _report_paths(plan, place))
    runs = stored is None
    machine = (*_machine_notices(plan, runs=runs), *sync_notices(place.output))
    for text in (*renamed, *engine.notices, *plan.notices, *machine):
        observer(Notice(text))
    if not runs and not knows_subjects(place.output, source, config):
        return plan  # detecting people takes a network too
    return plan.of(find_subjects(place.output, source, quick, timeline, config, observer))


def _note_plan(run_log: RunLog, plan: Plan, *, runs: bool) -> None:
    run_log.note(
        "planned",
        chunks=len(plan.chunks),
        frames=len(plan.selected),
        files=[d.file_name for d in plan.deliverables],
        engine=plan.engine.name,
        weights=plan.engine.weights_name,
        precision=plan.engine.precision,
        device=_device(plan) if runs else None,
    )


def _device(plan: Plan) -> str:
    """Return the device of the matting network."""
    if plan.engine.name in ("selfie", "brightness"):
        return "cpu"
    return resolve_device(plan.config.hardware.device).device


def _carried_out(
    work: ChunkWork,
    place: JobFolder,
    manifest: Manifest,
    run_log: RunLog,
    listener: _NoticeKeeper,
    began: float,
    stop: Stop,
    unchanged: UnchangedSource,
) -> RunReport:
    """Process chunks, finish files, write the report."""
    pieces, runs = work.pieces, work.pieces.may_infer
    pieces.refuse_missing_mattes()
    _remember(manifest, pieces.plan, pieces.promised, pieces.matte_keys, runs=runs)
    work.make_chunks()
    if pieces.drop_broken_pieces():
        work.make_chunks()
    plan, failures = pieces.plan, pieces.failures
    # Fallbacks and failures may have changed the plan.
    _remember(manifest, plan, pieces.promised, pieces.matte_keys, runs=runs)
    products = finish_deliverables(
        plan,
        place,
        manifest,
        pieces.matte_keys,
        listener,
        stop,
        unfinishable(plan, failures),
        unchanged.check,
    )
    if plan.timeline.held:
        run_log.note("damage", None, **damage_report(plan.timeline, plan.config.input.on_damage))
    for product in products:
        run_log.note("file finished", file=product.path.name, checks=product.checks)
    findings = read_findings(plan, manifest)
    report = RunReport.of(
        plan, products, manifest, findings, listener.notices, time.time() - began, failures
    )
    report = _write_reports(report, plan, place, findings, listener)
    for fact, path in _report_paths(plan, place).items():
        if path.is_file():
            manifest.set_fact(fact, written_file(path))
    refuse_failures(plan, failures, [product.name for product in products], began)
    run_log.note("run ended", seconds=report.seconds, frames=report.frames, exit_code=0)
    return report


def _write_reports(
    report: RunReport,
    plan: Plan,
    place: JobFolder,
    findings: Sequence[StereoFinding],
    listener: _NoticeKeeper,
) -> RunReport:
    """Write the report and its page; the report includes notices about the page."""
    path = _report_paths(plan, place)["written:report"]
    write_report(report, path)
    write_page(report, plan, place, findings, listener)
    if len(listener.notices) > len(report.notices):
        report = replace(report, notices=tuple(listener.notices))
        write_report(report, path)
    return report


def _report_paths(plan: Plan, place: JobFolder) -> dict[str, Path]:
    """Return the paths of the reports to write, by the facts that record them."""
    paths = {"written:report": place.output / f"{plan.source.path.stem}_report.json"}
    if plan.config.output.report == "html":
        paths["written:page"] = page_path(plan, place)
    return paths


def _before_damage(
    source: SourceInfo, timeline: Timeline, config: Config, observer: Observer
) -> Config:
    """Return the settings, ending before the first damaged frame if `on_damage` is "partial"."""
    if config.input.on_damage != "partial":
        return config
    limits = config.input
    end = end_before_damage(source, timeline, limits.start, limits.end)
    if end == limits.end:
        return config
    observer(Notice(f"{source.path}: processed up to {end:.3f} s, before the first damaged frame"))
    return config.model_copy(update={"input": limits.model_copy(update={"end": end})})


def _machine_notices(plan: Plan, *, runs: bool) -> Iterator[str]:
    """Yield notices about limits of this machine."""
    if runs:
        yield from _network_notices(plan)
    warning = check_memory(plan)
    if warning:
        yield warning


def _network_notices(plan: Plan) -> Iterator[str]:
    """Yield notices about networks on another device than asked for, and about GPU memory."""
    hardware, engine = plan.config.hardware, plan.engine
    mattes = masks = False
    if engine.name == "rvm" or engine.refiner == "rvm":
        choice = resolve_device(hardware.device, hardware.require_device)
        yield from choice.notices
        mattes = choice.device in GPU_DEVICES
    if engine.masks is not None:
        masks, notice = torch_on_gpu(engine.masks.model, hardware)
        if notice is not None:
            yield notice
    yield from gpu_memory_notices(plan, mattes=mattes, masks=masks)


class _NoticeKeeper:
    """Observer that passes events on, and keeps notices for the report and the run log."""

    def __init__(self, observer: Observer, run_log: RunLog) -> None:
        self._observer = observer
        self._run_log = run_log
        self.notices: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in self.notices:
                return
            self.notices.append(event.text)
            self._run_log.note("notice", level=event.level, text=event.text)
        self._observer(event)


def _kept_chunk_frames(manifest: Manifest, config: Config, observer: Observer) -> int | None:
    """Return the chunk length of an earlier run, so that a new chunk_size discards nothing."""
    known = manifest.fact("chunk_frames")
    if not isinstance(known, int) or known < 1:
        return None
    wanted = config.processing.chunk_size
    if wanted not in (0, known):
        observer(
            Notice(
                f"processing.chunk_size={wanted} applies to new outputs; this one continues with "
                f"chunks of {known} frames (--fresh starts over)",
                "info",
            )
        )
    return known


def _remember(
    manifest: Manifest,
    plan: Plan,
    promised: Mapping[str, str],
    matte_keys: Sequence[str],
    *,
    runs: bool,
) -> None:
    """Store what `verify`, `clean` and later runs need.

    Args:
        manifest: stores it.
        plan: of the run.
        promised: key of each file the run will write, by deliverable.
        matte_keys: key of the matte of each chunk.
        runs: False for a render, whose settings apply to its own files only.
    """
    if manifest.fact("chunk_frames") is None:
        manifest.set_fact("chunk_frames", plan.chunks[0].frames)
    manifest.set_fact("video", str(plan.source.path.absolute()))
    settings = plan.config.model_dump(mode="json")
    if runs or manifest.fact("config") is None:
        manifest.set_fact("config", settings)
    manifest.set_fact("engine", asdict(plan.engine))
    manifest.set_fact("matte_keys", list(matte_keys))
    # Files of earlier runs in this directory stay promised, under the settings of those runs.
    earlier = manifest.fact("promised")
    manifest.set_fact("promised", {**(earlier if isinstance(earlier, dict) else {}), **promised})
    for name in promised:
        manifest.set_fact(f"config:{name}", settings)
    for deliverable in plan.deliverables:
        manifest.set_fact(f"file_name:{deliverable.id}", deliverable.file_name)
