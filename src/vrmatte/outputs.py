"""What one chunk is written to: the matte store, video files and picture sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

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

MATTE_FILE = "matte.mkv"


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
    keys: Mapping[str, str]
    """Identity of each piece, by its name."""


class _MatteOutput:
    """The matte store's part of a chunk."""

    name = "matte"

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    def write(self, number: int, prepared: PreparedFrame) -> None:
        del number
        self._writer.write(prepared.stored, prepared.frame.pts)

    def commit(self) -> ChunkFile:
        return self._writer.commit()


class _FileOutput:
    """One video file's part of a chunk: composes and encodes."""

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
    """One picture sequence's part of a chunk; pictures that are there already are kept."""

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


Output = _MatteOutput | _FileOutput | _SequenceOutput


def open_outputs(plan: Plan, job: ChunkJob, stack: ExitStack) -> Iterator[Output]:
    """Everything a chunk is written to; what is left unfinished goes when the stack unwinds."""
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
    """The same composer; asked again for a frame, also by another thread, it makes nothing anew."""
    return lambda prepared: prepared.once(f"picture:{name}", lambda: composer(prepared))


def piece_name(deliverable: Deliverable) -> str:
    """Name of a deliverable's chunk in the manifest; the matte store has the name "matte"."""
    return f"file:{deliverable.id}"
