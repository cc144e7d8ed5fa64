"""What one chunk is written to: the matte store, video files and picture sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from vrmatte.compose.composer import Composer, eye_of, make_composer
from vrmatte.compose.rgba import RgbaPainter
from vrmatte.compose.view import PreparedFrame
from vrmatte.deliverables.decide import (
    Deliverable,
    estimates_foreground,
    picture_layout,
    source_view,
)
from vrmatte.files import ChunkFile
from vrmatte.frames import ColorTags, PixelLayout, StraightFrame
from vrmatte.media.encode import ChunkWriter
from vrmatte.media.encoders import MATTE_STORE, EncoderSpec
from vrmatte.media.sequences.sequence import SequenceWriter
from vrmatte.plan import Chunk, Plan

MATTE_FILE = "matte.mkv"
_SUFFIXES = {"mp4": "mp4", "mov": "mov", "matroska": "mkv", "webm": "webm"}


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
    view = source_view(plan.source, plan.config)
    composers: dict[str, Composer] = {}
    for deliverable in job.deliverables:
        target = picture_layout(deliverable, plan.source.layout)
        composer = composers.get(deliverable.name)
        if composer is None:
            composer = make_composer(
                deliverable.name,
                plan.config,
                view,
                target,
                deliverable.color,
                own_colours=estimates_foreground(deliverable.name, plan.config),
                subjects=plan.subjects,
                timeline=plan.timeline,
            )
            if deliverable.eye is not None:  # both eyes' files are halves of the same pictures
                composer = _once_a_frame(deliverable.name, composer)
            composers[deliverable.name] = composer
        if deliverable.sequence is not None:
            frames = _sequence_writer(plan, job, deliverable, target)
            yield _SequenceOutput(deliverable, stack.enter_context(frames), composer)
            continue
        path = job.folder / f"{deliverable.id}.{_SUFFIXES[deliverable.container]}"
        writer = _writer(plan, path, deliverable.encoder, deliverable.size, deliverable.color)
        yield _FileOutput(deliverable, stack.enter_context(writer), composer)


def _writer(
    plan: Plan, path: Path, spec: EncoderSpec, size: tuple[int, int], color: ColorTags
) -> ChunkWriter:
    return ChunkWriter(path, spec, size, color, plan.timeline.time_base, plan.rate)


def _sequence_writer(
    plan: Plan, job: ChunkJob, deliverable: Deliverable, layout: PixelLayout
) -> SequenceWriter:
    spec = deliverable.sequence
    assert spec is not None
    light = "linear" if spec.kind == "exr" else "video"
    eyes = 2 if deliverable.eye is None else 1
    painter = RgbaPainter(spec.size, layout, deliverable.color, light, eyes)
    numbers = range(job.chunk.first, job.chunk.last)
    key = job.keys[piece_name(deliverable)]
    return SequenceWriter(job.folder / deliverable.id, spec, numbers, key, painter.rows)


def _once_a_frame(name: str, composer: Composer) -> Composer:
    """The same composer; asked again for a frame, also by another thread, it makes nothing anew."""
    return lambda prepared: prepared.once(f"picture:{name}", lambda: composer(prepared))


def piece_name(deliverable: Deliverable) -> str:
    """Name of a deliverable's chunk in the manifest; the matte store has the name "matte"."""
    return f"file:{deliverable.id}"
