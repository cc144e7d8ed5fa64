"""The outputs of one chunk: the matte store, video files, image sequences and scores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from vrmatte.compose.composer import RECIPES, Composer, ComposerInputs, eye_of
from vrmatte.compose.rgba import RgbaPainter
from vrmatte.compose.view import PreparedFrame
from vrmatte.deliverables.decide import Deliverable
from vrmatte.files import ChunkFile
from vrmatte.frames import ColorTags, StraightFrame
from vrmatte.media.encode import ChunkWriter
from vrmatte.media.encoders import MATTE_STORE, EncoderSpec
from vrmatte.media.sequences.sequence import SequenceWriter
from vrmatte.plan import Chunk, Plan
from vrmatte.profiling.run_profile import CLOSE_FILES, OPEN_FILES, WAIT_FOR_FILES
from vrmatte.profiling.stopwatch import Stopwatch
from vrmatte.quality.frame_scorer import ScoreOutput
from vrmatte.threads import BackgroundWriter

MATTE_FILE = "matte.mkv"
_QUEUED_FRAMES = 2
"""Frames that may wait between two stages: enough to even out those that take longer."""
_WIDEST_QUEUED_PX = 4096
"""Wider frames wait one at a time: each of 6144x3072 holds 47 MB."""


@dataclass(frozen=True, slots=True)
class ChunkJob:
    """The pieces to make of one chunk."""

    chunk: Chunk
    folder: Path
    """Folder of the chunk's files."""
    make_matte: bool
    """False: the matte store holds this chunk's matte already."""
    state_in: Path | None
    """Engine state after the frame before; None: start cold, with warm-up frames."""
    deliverables: tuple[Deliverable, ...]
    """Deliverables to make a chunk of; empty: only the matte."""
    keys: Mapping[str, str]
    """Identity of each piece, by its name."""


def queue_depth(plan: Plan) -> int:
    """Return how many frames may wait between two stages."""
    return _QUEUED_FRAMES if plan.source.width <= _WIDEST_QUEUED_PX else 1


class _MatteOutput:
    """A chunk of the matte store."""

    name = "matte"

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    def write(self, number: int, prepared: PreparedFrame) -> None:
        del number
        self._writer.write(prepared.stored, prepared.frame.pts)

    def commit(self) -> ChunkFile:
        return self._writer.commit()


class _FileOutput:
    """A chunk of one video file: composes and encodes."""

    def __init__(self, deliverable: Deliverable, writer: ChunkWriter, composer: Composer) -> None:
        self.name = piece_name(deliverable)
        self._eye = deliverable.eye
        self._writer = writer
        self._composer = composer

    def write(self, number: int, prepared: PreparedFrame) -> None:
        del number
        picture = eye_of(self._composer(prepared), self._eye)
        self._writer.write(picture, prepared.frame.pts)

    def commit(self) -> ChunkFile:
        return self._writer.commit()


class _SequenceOutput:
    """A chunk of one image sequence; images that exist already are kept."""

    def __init__(
        self, deliverable: Deliverable, writer: SequenceWriter, composer: Composer
    ) -> None:
        self.name = piece_name(deliverable)
        self._eye = deliverable.eye
        self._writer = writer
        self._composer = composer

    def write(self, number: int, prepared: PreparedFrame) -> None:
        if self._writer.has(number):
            return
        picture = eye_of(self._composer(prepared), self._eye)
        assert isinstance(picture, StraightFrame)
        self._writer.write(picture, prepared.frame.pts, number)

    def commit(self) -> ChunkFile:
        return self._writer.commit()


Output = _MatteOutput | _FileOutput | _SequenceOutput | ScoreOutput
_NumberedFrame = tuple[int, PreparedFrame]
"""A frame's number in the whole source, and the frame."""


class ChunkOutputs:
    """All outputs of one chunk, each on a thread of its own where stages overlap.

    Outputs that were not committed are deleted at the end of the `with` block.
    """

    def __init__(self, plan: Plan, job: ChunkJob, watch: Stopwatch) -> None:
        """Take the outputs to open; `watch` measures the time of each."""
        self._plan = plan
        self._job = job
        self._watch = watch
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack, self._watch.stage(OPEN_FILES):
            self._outputs = list(_open_outputs(self._plan, self._job, stack))
            self._sinks = [stack.enter_context(self._sink(output)) for output in self._outputs]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, number: int, frame: PreparedFrame) -> None:
        """Write one frame to every output; `number` counts in the whole source."""
        for sink in self._sinks:
            with self._watch.stage(WAIT_FOR_FILES):
                sink.put((number, frame))

    def commit(self) -> dict[str, ChunkFile]:
        """Wait until all frames are written, and commit every file; return them by piece name."""
        with self._watch.stage(WAIT_FOR_FILES):
            for sink in self._sinks:
                sink.finish()
        with self._watch.stage(CLOSE_FILES):
            return {output.name: output.commit() for output in self._outputs}

    @contextmanager
    def _sink(self, output: Output) -> Generator[_DirectWriter | BackgroundWriter[_NumberedFrame]]:
        # "matte" is the stage that makes mattes.
        stage = "matte store" if output.name == "matte" else output.name

        def write(item: _NumberedFrame) -> None:
            with self._watch.stage(stage):
                output.write(*item)

        if not self._plan.config.performance.overlap:
            yield _DirectWriter(write)
            return
        with BackgroundWriter(write, queue_depth(self._plan), stage) as writer:
            yield writer


class _DirectWriter:
    """Writes on the calling thread, to measure stage by stage."""

    def __init__(self, write: Callable[[_NumberedFrame], None]) -> None:
        self.put = write

    def finish(self) -> None:
        """Do nothing: no frame waits."""


def _open_outputs(plan: Plan, job: ChunkJob, stack: ExitStack) -> Iterator[Output]:
    """Open every output of a chunk; unfinished files are deleted when the stack unwinds."""
    if job.make_matte:
        size = (plan.source.width, plan.source.height)
        color = replace(plan.source.color, full_range=True, matrix=2, primaries=2, transfer=2)
        path = job.folder / MATTE_FILE
        yield _MatteOutput(stack.enter_context(_writer(plan, path, MATTE_STORE, size, color)))
    composers: dict[str, Composer] = {}
    for deliverable in job.deliverables:
        composer = composers.get(deliverable.name)
        if composer is None:
            inputs = ComposerInputs(
                plan.config,
                plan.source_view,
                deliverable.layout,
                deliverable.color,
                deliverable.estimates_foreground,
                plan.subjects,
                plan.timeline,
            )
            composer = RECIPES[deliverable.name].build(inputs)
            if deliverable.eye is not None:  # both eyes' files are halves of the same pictures
                composer = _once_a_frame(deliverable.name, composer)
            composers[deliverable.name] = composer
        if deliverable.sequence is not None:
            frames = _sequence_writer(job, deliverable)
            yield _SequenceOutput(deliverable, stack.enter_context(frames), composer)
            continue
        path = job.folder / f"{deliverable.id}{deliverable.kind.suffix}"
        writer = _writer(plan, path, deliverable.encoder, deliverable.size, deliverable.color)
        yield _FileOutput(deliverable, stack.enter_context(writer), composer)
    if job.make_matte and plan.config.quality.scores:
        yield ScoreOutput(job.folder, plan.eye, plan.subjects.people)


def _writer(
    plan: Plan, path: Path, spec: EncoderSpec, size: tuple[int, int], color: ColorTags
) -> ChunkWriter:
    return ChunkWriter(path, spec, size, color, plan.timeline.time_base, plan.rate)


def _sequence_writer(job: ChunkJob, deliverable: Deliverable) -> SequenceWriter:
    spec = deliverable.sequence
    assert spec is not None
    eyes = 2 if deliverable.eye is None else 1
    painter = RgbaPainter(spec.size, deliverable.layout, deliverable.color, spec.light, eyes)
    numbers = range(job.chunk.first, job.chunk.last)
    key = job.keys[piece_name(deliverable)]
    return SequenceWriter(job.folder / deliverable.id, spec, numbers, key, painter.rows)


def _once_a_frame(name: str, composer: Composer) -> Composer:
    """Return a composer that keeps its result with the frame, for every thread that asks again."""
    return lambda prepared: prepared.once(f"picture:{name}", lambda: composer(prepared))


def piece_name(deliverable: Deliverable) -> str:
    """Return the name of a deliverable's chunk in the manifest; the matte store's is "matte"."""
    return f"file:{deliverable.id}"
