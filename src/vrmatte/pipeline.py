"""Process one chunk: decode, matte, let the eyes agree, write; each file whole or not at all.

`process_chunk` is a function of plain values. Its caller (the local runner, a worker of a queue)
makes no difference to the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vrmatte.compose.view import Preparation
from vrmatte.errors import ChunkError, output_error
from vrmatte.files import ChunkFile
from vrmatte.frames import Matte, PlanarFrame
from vrmatte.matting.base import Engine, FrameMatting
from vrmatte.matting.build import build_matting
from vrmatte.matting.stereo_matting import rules_of
from vrmatte.media.decode import black_frames, read_frames, read_grey
from vrmatte.outputs import MATTE_FILE, ChunkJob, ChunkOutputs, queue_depth
from vrmatte.plan import Plan
from vrmatte.profiling.run_profile import STATE, WAIT_FOR_FRAMES, ChunkProfiler
from vrmatte.profiling.stopwatch import Stopwatch
from vrmatte.quality.stereo_findings import save_findings
from vrmatte.state_file import load_state, save_state
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.threads import Prefetcher

STATE_FILE = "state.npz"
STEREO_FILE = "stereo.json"
PROFILE_FILE = "profile.json"

_MattedFrame = tuple[PlanarFrame, Matte]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The committed files of a chunk, and the time they took."""

    files: Mapping[str, ChunkFile]
    """Keys: "matte", "state", "stereo", "scores", "profile" and names of deliverables."""
    seconds: Mapping[str, float]
    """Wall time by stage."""


def process_chunk(
    plan: Plan, job: ChunkJob, engine: Engine | None, advance: Callable[[], None]
) -> ChunkResult:
    """Make the missing pieces of one chunk.

    Args:
        plan: of the whole video.
        job: the chunk, and the pieces to make.
        engine: None where the matte store holds the chunk already.
        advance: called after each frame.

    Raises:
        DamagedInputError: a frame of the source can't be decoded.
        OutputError, DiskFullError: a file can't be written; no half-written file is left.
    """
    _make_folder(job.folder)
    watch = Stopwatch()
    if not plan.config.performance.profile_enabled:
        return ChunkResult(_make_pieces(plan, job, engine, advance, watch), watch.seconds)
    with ChunkProfiler(watch, job.folder / PROFILE_FILE) as profiler:
        files = _make_pieces(plan, job, engine, advance, watch)
    share = (job.chunk.last - _first_frame(job)) / len(plan.timeline)
    source_bytes = round(plan.source.path.stat().st_size * share)
    key = job.keys["profile"]
    files["profile"] = profiler.save(files, key, job.chunk.frames, source_bytes)
    return ChunkResult(files, watch.seconds)


def _make_pieces(
    plan: Plan,
    job: ChunkJob,
    engine: Engine | None,
    advance: Callable[[], None],
    watch: Stopwatch,
) -> dict[str, ChunkFile]:
    """Decode, matte and write every frame of a chunk; return the files by piece name."""
    matting = _ChunkMatting(plan, job, engine, watch) if job.make_matte else None
    with _decoded(plan, job, watch) as frames, ChunkOutputs(plan, job, watch) as outputs:
        mattes = matting.mattes(frames) if matting else _stored_mattes(job, frames)
        prepare = Preparation(
            plan.source_view,
            plan.config,
            continued=any(d.kind.has_alpha for d in job.deliverables),
        )
        made = 0
        for frame, matte in watch.time("matte", mattes):
            number = job.chunk.first + made
            outputs.write(number, prepare(frame, matte, number))
            made += 1
            advance()
        if made != job.chunk.frames:
            raise ChunkError(
                f"chunk {job.chunk.index}: {made} of {job.chunk.frames} mattes in the matte store; "
                "run the same command again to redo it"
            )
        files = outputs.commit()
    return files | matting.save() if matting else files


def _make_folder(folder: Path) -> None:
    try:
        for path in (folder.parent, folder):  # not the job's folder: if it is gone, so is the disk
            path.mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error


# --- decode --------------------------------------------------------------------------------------


@contextmanager
def _decoded(plan: Plan, job: ChunkJob, watch: Stopwatch) -> Generator[Iterator[PlanarFrame]]:
    """Decode the frames of a chunk, ahead of the matting where stages overlap."""
    frames = watch.time("decode", _source_frames(plan, job))
    if not plan.config.performance.overlap:
        with closing(frames):
            yield frames
        return
    with Prefetcher(frames, queue_depth(plan), "decode") as ahead:
        yield watch.time(WAIT_FOR_FRAMES, ahead)


def _source_frames(plan: Plan, job: ChunkJob) -> Generator[PlanarFrame]:
    """Yield the frames of a chunk, after its warm-up frames where it starts cold.

    They are not decoded where no output shows them.
    """
    if not job.make_matte and not any(d.kind.needs_frames for d in job.deliverables):
        return black_frames(plan.source, plan.timeline, job.chunk.first, job.chunk.last)
    return read_frames(plan.source, plan.timeline, _first_frame(job), job.chunk.last)


def _first_frame(job: ChunkJob) -> int:
    cold = job.make_matte and job.state_in is None
    return max(0, job.chunk.first - job.chunk.warmup) if cold else job.chunk.first


def _read_ahead(
    plan: Plan, watch: Stopwatch, first: int, last: int
) -> Generator[tuple[int, PlanarFrame]]:
    """Yield frames first..last-1 with their numbers, also beyond the chunk, except held ones.

    A frame that is held in place of a damaged one shows nothing of it, and the keys of earlier
    chunks do not depend on damage.
    """
    frames = read_frames(plan.source, plan.timeline, first, min(last, len(plan.timeline)))
    with closing(watch.time("decode", frames)) as timed:
        for index, frame in enumerate(timed, first):
            if not any(span.first <= index < span.last for span in plan.timeline.held):
                yield index, frame


# --- matte and agree -----------------------------------------------------------------------------


class _ChunkMatting:
    """The matting of one chunk: its memory, and its findings on how the eyes agree."""

    def __init__(self, plan: Plan, job: ChunkJob, engine: Engine | None, watch: Stopwatch) -> None:
        """Continue from the state of the chunk before, or start without memory.

        Raises:
            ChunkError: there is no engine, or the state can't be used.
        """
        if engine is None:
            raise ChunkError(f"chunk {job.chunk.index} needs a matting engine and got none")
        self._job = job
        self._watch = watch
        self._compares = rules_of(plan.config) is not None
        self._findings: list[StereoFinding] = []
        with watch.stage("matte"):
            self._matting = build_matting(
                engine,
                plan.viewports,
                plan.config,
                plan.eye,
                plan.subjects,
                on_finding=self._findings.append,
                read_ahead=partial(_read_ahead, plan, watch),
                timed=partial(watch.stage, "stereo"),
            )
        with watch.stage(STATE):
            _restore(self._matting, job.state_in)

    def mattes(self, frames: Iterator[PlanarFrame]) -> Iterator[_MattedFrame]:
        """Yield each frame of the chunk with its matte; warm-up frames are matted before."""
        chunk, start = self._job.chunk, _first_frame(self._job)
        for index, frame in enumerate(itertools.islice(frames, chunk.first - start), start):
            self._matting.matte(index, frame)
        for index, frame in enumerate(frames, chunk.first):
            yield frame, self._matting.matte(index, frame)

    def save(self) -> dict[str, ChunkFile]:
        """Commit the state after the chunk, and the findings on its frames."""
        folder, first = self._job.folder, self._job.chunk.first
        with self._watch.stage(STATE):
            files = {"state": save_state(self._matting.state(), folder / STATE_FILE)}
            if self._compares:
                findings = [finding for finding in self._findings if finding.frame >= first]
                files["stereo"] = save_findings(findings, folder / STEREO_FILE)
        return files


def _restore(matting: FrameMatting, path: Path | None) -> None:
    """Continue from a stored state, or start without one."""
    state = load_state(path) if path else {}
    try:
        matting.restore(state)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ChunkError(
            f"{path}: this state of the matting can't be used ({str(error)[:200]}). Delete it and "
            "run the same command again"
        ) from error


def _stored_mattes(job: ChunkJob, frames: Iterator[PlanarFrame]) -> Iterator[_MattedFrame]:
    """Yield each frame of the chunk with its matte from the matte store."""
    for frame, (_, matte) in zip(frames, read_grey(job.folder / MATTE_FILE), strict=True):
        yield frame, matte
