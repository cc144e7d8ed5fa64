"""Makes one chunk: frames in, mattes and pictures out, each file whole or not at all.

`process_chunk` is a function of plain values. Who calls it (the local runner, a worker of a queue)
makes no difference to what comes out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vrmatte.compose.view import Preparation, PreparedFrame
from vrmatte.errors import ChunkError, output_error
from vrmatte.files import ChunkFile
from vrmatte.frames import Matte, PlanarFrame
from vrmatte.matting.base import Engine, FrameMatting
from vrmatte.matting.build import build_matting
from vrmatte.matting.stereo_matting import rules_of
from vrmatte.media.decode import black_frames, read_frames, read_grey
from vrmatte.outputs import MATTE_FILE, ChunkJob, Output, open_outputs
from vrmatte.plan import Plan
from vrmatte.profiling.machine_use import MachineMeter, MachineUse, bytes_written_since
from vrmatte.profiling.run_profile import (
    CLOSE_FILES,
    OPEN_FILES,
    STATE,
    WAIT_FOR_FILES,
    WAIT_FOR_FRAMES,
    profile_of,
    save_profile,
)
from vrmatte.profiling.stopwatch import Stopwatch
from vrmatte.quality.frame_scorer import ScoreOutput
from vrmatte.quality.stereo_findings import save_findings
from vrmatte.state_file import load_state, save_state
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.threads import BackgroundWriter, Prefetcher

STATE_FILE = "state.npz"
_FRAMES_WAITING = 2
"""Frames that may wait between two stages: enough to even out those that take longer."""
_WIDEST_WAITING_PX = 4096
"""Wider frames wait one at a time: each of 6144x3072 holds 47 MB."""
STEREO_FILE = "stereo.json"
PROFILE_FILE = "profile.json"


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What was made: a committed file for each piece, by name."""

    files: Mapping[str, ChunkFile]
    """Keys: "matte", "state", "stereo", "scores", "profile" and names of deliverables."""
    seconds: Mapping[str, float]
    """Wall time by stage."""


def process_chunk(
    plan: Plan, job: ChunkJob, engine: Engine | None, advance: Callable[[], None]
) -> ChunkResult:
    """Make the missing pieces of one chunk; `engine` may be None where the matte is there.

    Raises:
        DamagedInputError: a frame of the source can't be decoded.
        OutputError, DiskFullError: a file can't be written; nothing half-made stays behind.
    """
    try:
        for folder in (job.folder.parent, job.folder):  # where all else has gone, none is made
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(error, job.folder) from error
    watch = Stopwatch()
    if not plan.config.performance.profile_enabled:
        return ChunkResult(_make_pieces(plan, job, engine, advance, watch), watch.seconds)
    began = time.time()
    with MachineMeter() as meter:
        files = _make_pieces(plan, job, engine, advance, watch)
    files["profile"] = _saved_profile(plan, job, files, watch, meter.use, began)
    return ChunkResult(files, watch.seconds)


def _saved_profile(
    plan: Plan,
    job: ChunkJob,
    files: Mapping[str, ChunkFile],
    watch: Stopwatch,
    use: MachineUse,
    began: float,
) -> ChunkFile:
    """Keep what making those files took; `began` by the clock of files."""
    share = (job.chunk.last - _first_frame(job)) / len(plan.timeline)
    moved = round(plan.source.path.stat().st_size * share), bytes_written_since(job.folder, began)
    profile = profile_of(watch, use, job.chunk.frames, moved)
    return save_profile(profile, files, job.keys["profile"], job.folder / PROFILE_FILE)


def _make_pieces(
    plan: Plan,
    job: ChunkJob,
    engine: Engine | None,
    advance: Callable[[], None],
    watch: Stopwatch,
) -> dict[str, ChunkFile]:
    """All that is asked of a chunk, by piece name."""
    matting: FrameMatting | None = None
    findings: list[StereoFinding] = []
    if job.make_matte:
        if engine is None:
            raise ChunkError(f"chunk {job.chunk.index} needs a matting engine and got none")
        with watch.stage("matte"):
            matting = _matting(plan, engine, findings, watch)
        with watch.stage(STATE):
            _restore(matting, job.state_in)
    files: dict[str, ChunkFile] = {}
    with ExitStack() as stack:
        with watch.stage(OPEN_FILES):
            frames = _decoded(plan, job, watch, stack)
            outputs: list[Output | ScoreOutput] = [*open_outputs(plan, job, stack)]
            if job.make_matte and plan.config.quality.scores:
                outputs.append(ScoreOutput(job.folder, plan.eye, plan.subjects.people))
            sinks = [stack.enter_context(_sink(plan, output, watch)) for output in outputs]
            prepare = Preparation(
                plan.source_view,
                plan.config,
                continued=any(d.kind.has_alpha for d in job.deliverables),
            )
        made = 0
        for frame, matte in watch.time("matte", _mattes(job, matting, frames)):
            number = job.chunk.first + made
            item = number, prepare(frame, matte, number)
            for sink in sinks:
                with watch.stage(WAIT_FOR_FILES):
                    sink.put(item)
            made += 1
            advance()
        if made != job.chunk.frames:
            raise ChunkError(
                f"chunk {job.chunk.index}: {made} of {job.chunk.frames} mattes in the matte store; "
                "run the same command again to make it anew"
            )
        with watch.stage(WAIT_FOR_FILES):
            for sink in sinks:
                sink.finish()
        with watch.stage(CLOSE_FILES):
            files |= {output.name: output.commit() for output in outputs}
    if matting is not None:
        with watch.stage(STATE):
            files |= _kept_of(plan, job, matting, findings)
    return files


def _kept_of(
    plan: Plan, job: ChunkJob, matting: FrameMatting, findings: list[StereoFinding]
) -> dict[str, ChunkFile]:
    """What the matting leaves beside the pictures: its memory, and how the eyes agreed."""
    files = {"state": save_state(matting.state(), job.folder / STATE_FILE)}
    if rules_of(plan.config) is not None:
        own = [finding for finding in findings if finding.frame >= job.chunk.first]
        files["stereo"] = save_findings(own, job.folder / STEREO_FILE)
    return files


_Item = tuple[int, PreparedFrame]
"""A frame's number in the whole source, and the frame."""


def _decoded(
    plan: Plan, job: ChunkJob, watch: Stopwatch, stack: ExitStack
) -> Iterator[PlanarFrame]:
    """The source's frames, decoded ahead of whoever draws them."""
    frames = watch.time("decode", _source_frames(plan, job))
    if not plan.config.performance.overlap:
        return stack.enter_context(closing(frames))
    ahead = stack.enter_context(Prefetcher(frames, _waiting(plan), "decode"))
    return watch.time(WAIT_FOR_FRAMES, ahead)


def _waiting(plan: Plan) -> int:
    return _FRAMES_WAITING if plan.source.width <= _WIDEST_WAITING_PX else 1


class _AtOnce:
    """Writes on the thread that hands over, for measuring stage by stage."""

    def __init__(self, write: Callable[[_Item], None]) -> None:
        self._write = write

    def put(self, item: _Item) -> None:
        """Write it."""
        self._write(item)

    def finish(self) -> None:
        """Nothing waits."""


def _stage(output: Output | ScoreOutput) -> str:
    """What its time is called; "matte" is the making of mattes."""
    return "matte store" if output.name == "matte" else output.name


@contextmanager
def _sink(
    plan: Plan, output: Output | ScoreOutput, watch: Stopwatch
) -> Generator[_AtOnce | BackgroundWriter[_Item]]:
    """Hands frames to an output, on a thread of its own where stages overlap."""
    stage = _stage(output)

    def write(item: _Item) -> None:
        with watch.stage(stage):
            output.write(*item)

    if not plan.config.performance.overlap:
        yield _AtOnce(write)
        return
    with BackgroundWriter(write, _waiting(plan), stage) as behind:
        yield behind


def _matting(
    plan: Plan, engine: Engine, findings: list[StereoFinding], watch: Stopwatch
) -> FrameMatting:
    """Build the plan's matting; it appends how the eyes agree to `findings`."""
    return build_matting(
        engine,
        plan.viewports,
        plan.config,
        plan.eye,
        plan.subjects,
        on_finding=findings.append,
        read_ahead=partial(_read_ahead, plan, watch),
        timed=partial(watch.stage, "stereo"),
    )


def _read_ahead(
    plan: Plan, watch: Stopwatch, first: int, last: int
) -> Generator[tuple[int, PlanarFrame]]:
    """Frames first..last-1 with their numbers, wherever a chunk ends; held ones are left out.

    What stands in for damaged frames shows nothing of them, and whether there is any is no part of
    the keys of chunks before.
    """
    frames = read_frames(plan.source, plan.timeline, first, min(last, len(plan.timeline)))
    with closing(watch.time("decode", frames)) as timed:
        for index, frame in enumerate(timed, first):
            if not any(span.first <= index < span.last for span in plan.timeline.held):
                yield index, frame


def _source_frames(plan: Plan, job: ChunkJob) -> Generator[PlanarFrame]:
    """The chunk's frames; before them its warm-up frames, where it starts cold.

    They are not decoded where nobody looks at them.
    """
    if not job.make_matte and not any(d.kind.needs_frames for d in job.deliverables):
        return black_frames(plan.source, plan.timeline, job.chunk.first, job.chunk.last)
    return read_frames(plan.source, plan.timeline, _first_frame(job), job.chunk.last)


def _first_frame(job: ChunkJob) -> int:
    cold = job.make_matte and job.state_in is None
    return max(0, job.chunk.first - job.chunk.warmup) if cold else job.chunk.first


def _mattes(
    job: ChunkJob, matting: FrameMatting | None, frames: Iterator[PlanarFrame]
) -> Iterator[tuple[PlanarFrame, Matte]]:
    """Each frame of the chunk with its matte, made or stored."""
    if matting is None:
        yield from _stored_mattes(job, frames)
        return
    if job.state_in is None:
        frames = _warmed_up(job, matting, frames)
    for index, frame in enumerate(frames, job.chunk.first):
        yield frame, matting.matte(index, frame)


def _warmed_up(
    job: ChunkJob, matting: FrameMatting, frames: Iterator[PlanarFrame]
) -> Iterator[PlanarFrame]:
    """Run the matting over the frames before the chunk; yields the chunk's own frames."""
    start = _first_frame(job)
    before = itertools.islice(frames, job.chunk.first - start)
    for index, frame in enumerate(before, start):
        matting.matte(index, frame)
    yield from frames


def _stored_mattes(
    job: ChunkJob, frames: Iterator[PlanarFrame]
) -> Iterator[tuple[PlanarFrame, Matte]]:
    for frame, (_, matte) in zip(frames, read_grey(job.folder / MATTE_FILE), strict=True):
        yield frame, matte


def _restore(matting: FrameMatting, path: Path | None) -> None:
    """Go on from a stored state, or begin afresh."""
    state = load_state(path) if path else {}
    try:
        matting.restore(state)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ChunkError(
            f"{path}: this state of the matting can't be used ({str(error)[:200]}). Delete it and "
            "run the same command again"
        ) from error
