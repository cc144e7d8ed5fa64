"""Runs a plan on this machine: skip what is made, make what is missing, join, verify, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from vrmatte.config import Config
from vrmatte.errors import OutputError
from vrmatte.frames import HeldSpan, Timeline
from vrmatte.jobs.back_off import eased_before
from vrmatte.jobs.chunks import ChunkWork
from vrmatte.jobs.finish import finish_deliverables, refuse_taken_names
from vrmatte.jobs.journal import Journal
from vrmatte.jobs.memory import check_memory, gpu_memory_notices
from vrmatte.jobs.report import RunReport, write_report
from vrmatte.jobs.store import Manifest
from vrmatte.jobs.subjects import find_subjects, knows_subjects
from vrmatte.jobs.workplace import Workplace, open_workplace
from vrmatte.matting.base import EngineChoice
from vrmatte.matting.choose import choose_engine
from vrmatte.media.damage import (
    DAMAGE_VERSION,
    damage_report,
    end_before_damage,
    read_timeline,
)
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.scan import fingerprint
from vrmatte.models.devices import GPU_DEVICES, resolve_device
from vrmatte.plan import (
    WHOLE_EYES,
    Plan,
    check_source,
    make_plan,
)
from vrmatte.progress import Event, Notice, Observer, ignore


def matte_video(
    video: Path | str,
    output: Path | str,
    config: Config | None = None,
    *,
    fresh: bool = False,
    stored: EngineChoice | None = None,
    observer: Observer = ignore,
) -> RunReport:
    """Matte a VR180 video: make every deliverable of `config` in the directory `output`.

    Continues an earlier run in the same directory: pieces made from the same input and settings
    are kept, everything else is made anew. `fresh` sets earlier work aside first.

    Args:
        video: side-by-side half-equirectangular or fisheye video, 8 or 10 bit.
        output: directory for the finished files; made when missing.
        config: settings; defaults where None.
        fresh: start over.
        stored: the engine that made all mattes in an earlier run; no network runs then, and mattes
            that are not there are refused. None: choose one as settings say.
        observer: receives progress events and notices.

    Raises:
        VrmatteError: see `vrmatte.errors` for the tree and the exit codes.
    """
    video, output, config = Path(video), Path(output), config or Config()
    began = time.time()
    listener = _NoticeKeeper(observer)
    told = config.input
    source = probe(video, layout=told.layout, projection=told.projection, lens=told.lens)
    check_source(source)
    with (
        open_workplace(output, video.stem, fresh=fresh) as place,
        Manifest(place.folder, output) as manifest,
    ):
        plan = _laid_out(source, place, manifest, config, stored, listener)
        return _carried_out(plan, place, manifest, listener, began, may_infer=stored is None)


def _laid_out(
    source: SourceInfo,
    place: Workplace,
    manifest: Manifest,
    config: Config,
    stored: EngineChoice | None,
    observer: Observer,
) -> Plan:
    """The plan of a run; whatever can be refused is refused before people are looked for."""
    identity = _check_identity(manifest, source.path)
    timeline = _timeline(source, identity, manifest, config, observer)
    config = _before_damage(source, timeline, config, observer)
    engine = stored or eased_before(choose_engine(config, observer), manifest, config)
    chunk_frames = _kept_chunk_frames(manifest, config, observer)
    plan = make_plan(source, identity, timeline, WHOLE_EYES, engine, config, chunk_frames)
    runs = stored is None
    for text in (*engine.notices, *plan.notices, *_machine_notices(plan, runs=runs)):
        observer(Notice(text))
    if not runs and not knows_subjects(place.output, source, config):
        return plan  # whoever may not infer may not scout
    return plan.of(find_subjects(place.output, source, identity, timeline, config, observer))


def _carried_out(
    plan: Plan,
    place: Workplace,
    manifest: Manifest,
    listener: _NoticeKeeper,
    began: float,
    *,
    may_infer: bool,
) -> RunReport:
    """Chunks, files, report."""
    journal = Journal(place.folder, is_on=plan.config.debugging.log_intermediate_workflow)
    work = ChunkWork(plan, place, manifest, journal, listener, may_infer=may_infer)
    work.refuse_missing_mattes()
    refuse_taken_names(plan, manifest)
    _remember(manifest, plan, work.promised)
    work.make_chunks()
    if work.drop_broken_pieces():
        work.make_chunks()
    if work.plan.engine != plan.engine:  # memory ran out
        plan = work.plan
        _remember(manifest, plan, work.promised)
    products = finish_deliverables(plan, place, manifest, work.matte_keys, listener)
    if plan.timeline.held:
        journal.note("damage", **damage_report(plan.timeline, plan.config.input.on_damage))
    for product in products:
        journal.note("file finished", file=product.path.name, checks=product.checks)
    report = RunReport.of(plan, products, manifest, listener.notices, time.time() - began)
    write_report(report, place.output / f"{plan.source.path.stem}_report.json")
    return report


def _timeline(
    source: SourceInfo, identity: str, manifest: Manifest, config: Config, observer: Observer
) -> Timeline:
    """All frames of the source; what was found damaged before is not looked for again."""
    told = manifest.fact("damage")
    about = {"input": identity, "version": DAMAGE_VERSION}
    known: list[HeldSpan] | None = None
    if isinstance(told, dict) and {k: told.get(k) for k in about} == about:
        known = [HeldSpan(*span) for span in told["held"]]
    timeline = read_timeline(source, config.input.on_damage, observer, known)
    if config.input.on_damage != "stop" and known is None:
        held = [[span.first, span.last, span.shown] for span in timeline.held]
        manifest.set_fact("damage", {**about, "held": held})
    return timeline


def _before_damage(
    source: SourceInfo, timeline: Timeline, config: Config, observer: Observer
) -> Config:
    """The same settings, ending before the first damaged frame where that is asked for."""
    if config.input.on_damage != "partial":
        return config
    told = config.input
    end = end_before_damage(source, timeline, told.start, told.end)
    if end == told.end:
        return config
    observer(Notice(f"{source.path}: made up to {end:.3f} s, before the first damaged frame"))
    return config.model_copy(update={"input": told.model_copy(update={"end": end})})


def _machine_notices(plan: Plan, *, runs: bool) -> Iterator[str]:
    """What this machine can't do as asked; networks matter where one runs."""
    hardware = plan.config.hardware
    if runs and plan.engine.name == "rvm":
        choice = resolve_device(hardware.device, hardware.require_device)
        yield from choice.notices
        if choice.device in GPU_DEVICES:
            yield from gpu_memory_notices(plan)
    warning = check_memory(plan)
    if warning:
        yield warning


class _NoticeKeeper:
    """Passes events on and keeps the notices for the report."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.notices: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in self.notices:
                return
            self.notices.append(event.text)
        self._observer(event)


def _check_identity(manifest: Manifest, video: Path) -> str:
    """The source's identity; refuses a directory that holds work on another video of that name.

    Raises:
        OutputError: the input was replaced since the earlier run.
    """
    identity = fingerprint(video)
    known = manifest.fact("input")
    if known is not None and known != identity:
        raise OutputError(
            f"{video}: is another video than the one this output was begun with (same name, other "
            "content). Choose another --out, or start over with --fresh"
        )
    return identity


def _kept_chunk_frames(manifest: Manifest, config: Config, observer: Observer) -> int | None:
    """Chunks are cut as in the earlier run, so that another chunk_size throws nothing away."""
    known = manifest.fact("chunk_frames")
    if not isinstance(known, int) or known < 1:
        return None
    wanted = config.processing.chunk_size
    if wanted not in (0, known):
        observer(
            Notice(
                f"processing.chunk_size={wanted} is for new outputs; this one goes on with chunks "
                f"of {known} frames (--fresh cuts anew)",
                "info",
            )
        )
    return known


def _remember(manifest: Manifest, plan: Plan, promised: Mapping[str, str]) -> None:
    """What `verify` and later runs need to know; `promised` are the keys of the files to come."""
    if manifest.fact("input") is None:
        manifest.set_fact("input", plan.fingerprint)
        manifest.set_fact("chunk_frames", plan.chunks[0].frames)
    manifest.set_fact("video", str(plan.source.path.absolute()))
    settings = plan.config.model_dump(mode="json")
    manifest.set_fact("config", settings)
    manifest.set_fact("engine", asdict(plan.engine))
    # Files of earlier runs in this directory are promised still, under the settings they had.
    before = manifest.fact("promised")
    manifest.set_fact("promised", {**(before if isinstance(before, dict) else {}), **promised})
    for name in promised:
        manifest.set_fact(f"config:{name}", settings)
