"""Makes one chunk: frames in, mattes and pictures out, each file whole or not at all.

`process_chunk` is a function of plain values. Who calls it (the local runner, a worker of a queue)
makes no difference to what comes out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vrmatte.compose.composer import Composer, make_composer
from vrmatte.errors import ChunkError, output_error
from vrmatte.frames import Matte, PlanarFrame
from vrmatte.matting.base import Engine, FrameMatting, State
from vrmatte.matting.excluding import ExcludingMatting
from vrmatte.matting.exclusion import Exclusion
from vrmatte.matting.route import make_matting
from vrmatte.media.decode import read_frames, read_grey
from vrmatte.media.encode import ChunkFile, ChunkWriter, commit_file
from vrmatte.media.encoders import MATTE_STORE
from vrmatte.plan import Chunk, Deliverable, Plan
from vrmatte.quality.stopwatch import Stopwatch

MATTE_FILE = "matte.mkv"
STATE_FILE = "state.npz"


@dataclass(frozen=True, slots=True)
class ChunkJob:
    """What to make of one chunk."""

    chunk: Chunk
    folder: Path
    """Where the chunk's files go."""
    make_matte: bool
    """False: the matte store holds this chunk's matte already."""
    state_in: Path | None
    """Engine state after the frame before; None: start cold, with warm-up frames."""
    deliverables: tuple[Deliverable, ...]
    """Which files to make a chunk of; empty: the matte alone."""


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What was made: a committed file for each piece, by name."""

    files: Mapping[str, ChunkFile]
    """Keys: "matte", "state" and names of deliverables."""
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
    job.folder.mkdir(parents=True, exist_ok=True)
    watch = Stopwatch()
    frames = watch.time("decode", _source_frames(plan, job))
    matting: FrameMatting | None = None
    if job.make_matte:
        if engine is None:
            raise ChunkError(f"chunk {job.chunk.index} needs a matting engine and got none")
        matting = make_matting(engine, plan.viewports, plan.config, plan.eye_px)
        if plan.subjects.anything_leaves:
            matting = ExcludingMatting(
                matting, Exclusion(plan.subjects.people, plan.subjects.regions, plan.eye_px)
            )
        matting.restore(load_state(job.state_in) if job.state_in else {})
        mattes = watch.time("matte", _infer_mattes(job, matting, frames))
    else:
        mattes = watch.time("matte", _stored_mattes(job, frames))
    files: dict[str, ChunkFile] = {}
    with ExitStack() as stack:
        stack.enter_context(closing(mattes))
        outputs = [stack.enter_context(o) for o in _open_outputs(plan, job)]
        made = 0
        for frame, matte in mattes:
            for output in outputs:
                with watch.stage(output.name):
                    output.write(frame, matte)
            made += 1
            advance()
        if made != job.chunk.frames:
            raise ChunkError(
                f"chunk {job.chunk.index}: {made} of {job.chunk.frames} mattes in the matte store; "
                "run the same command again to make it anew"
            )
        for output in outputs:
            with watch.stage(output.name):
                files[output.name] = output.commit()
    if matting is not None:
        files["state"] = save_state(matting.state(), job.folder / STATE_FILE)
    return ChunkResult(files, watch.seconds)


class _Output:
    """One file of a chunk: composes and encodes."""

    def __init__(self, name: str, writer: ChunkWriter, composer: Composer | None) -> None:
        self.name = name
        self._writer = writer
        self._composer = composer

    def write(self, frame: PlanarFrame, matte: Matte) -> None:
        picture = matte if self._composer is None else self._composer(frame, matte)
        self._writer.write(picture, frame.pts)

    def commit(self) -> ChunkFile:
        return self._writer.commit()

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *failure: object) -> None:
        if failure[0] is not None:
            self._writer.discard()


def _open_outputs(plan: Plan, job: ChunkJob) -> Iterator[_Output]:
    size = (plan.source.width, plan.source.height)
    time_base = plan.timeline.time_base
    if job.make_matte:
        path = job.folder / MATTE_FILE
        color = replace(plan.source.color, full_range=True, matrix=2, primaries=2, transfer=2)
        yield _Output(
            "matte", ChunkWriter(path, MATTE_STORE, size, color, time_base, plan.rate), None
        )
    for deliverable in job.deliverables:
        path = job.folder / f"{deliverable.name}.mp4"
        spec = deliverable.encoder
        layout = plan.source.layout if deliverable.name != "matte" else spec.layout
        writer = ChunkWriter(path, spec, size, deliverable.color, time_base, plan.rate)
        composer = make_composer(
            deliverable.name, plan.config, layout, deliverable.color, plan.eye_px
        )
        yield _Output(piece_name(deliverable), writer, composer)


def piece_name(deliverable: Deliverable) -> str:
    """Name of a deliverable's chunk in the manifest; the matte store has the name "matte"."""
    return f"file:{deliverable.name}"


def _source_frames(plan: Plan, job: ChunkJob) -> Iterator[PlanarFrame]:
    """The chunk's frames; before them its warm-up frames, where it starts cold."""
    return read_frames(plan.source, plan.timeline, _first_frame(job), job.chunk.last)


def _first_frame(job: ChunkJob) -> int:
    cold = job.make_matte and job.state_in is None
    return max(0, job.chunk.first - job.chunk.warmup) if cold else job.chunk.first


def _infer_mattes(
    job: ChunkJob, matting: FrameMatting, frames: Iterator[PlanarFrame]
) -> Iterator[tuple[PlanarFrame, Matte]]:
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


def save_state(state: State, path: Path) -> ChunkFile:
    """Commit an engine's state as plain arrays (never pickled objects)."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise output_error(error, path) from error
    return commit_file(part, path, 0)


def load_state(path: Path) -> dict[str, np.ndarray]:
    """Read an engine's state."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
