"""Makes what a plan's chunks lack: skips what is there, commits each chunk whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vrmatte.deliverables import Deliverable
from vrmatte.errors import ChunkError, OutputError
from vrmatte.jobs.back_off import BackOff, Shortage, memory_shortage
from vrmatte.jobs.finish import product_key
from vrmatte.jobs.journal import Journal
from vrmatte.jobs.memory import MemoryWatch
from vrmatte.jobs.store import Manifest
from vrmatte.jobs.workplace import Workplace
from vrmatte.matting.base import Engine
from vrmatte.matting.choose import load_engine
from vrmatte.media.sequence import drop_broken_frames
from vrmatte.outputs import ChunkJob, piece_name
from vrmatte.pipeline import process_chunk
from vrmatte.plan import (
    Chunk,
    Parameters,
    Plan,
    changed_parameters,
    deliverable_parameters,
    key_of,
)
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started


@dataclass(frozen=True, slots=True)
class _Missing:
    """What a chunk lacks."""

    matte: bool
    deliverables: tuple[Deliverable, ...]

    def __bool__(self) -> bool:
        return self.matte or bool(self.deliverables)


class _FramesOnce:
    """Tells of each frame of a chunk once, however often it is gone through."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance
        self._told = self._at = 0

    def begin(self) -> None:
        """The chunk is gone through from its first frame."""
        self._at = 0

    def __call__(self) -> None:
        self._at += 1
        if self._at > self._told:
            self._told = self._at
            self._advance()


class ChunkWork:
    """The chunks of one plan at one workplace."""

    def __init__(
        self,
        plan: Plan,
        place: Workplace,
        manifest: Manifest,
        journal: Journal,
        observer: Observer,
        *,
        may_infer: bool = True,
    ) -> None:
        """Take what to do and where; without `may_infer` no network runs."""
        self._plan = plan
        self._place = place
        self._manifest = manifest
        self._journal = journal
        self._observer = observer
        self._may_infer = may_infer
        self._engine: Engine | None = None
        self._engine_is = plan.engine.precision
        self._watch = MemoryWatch(plan)
        self._back_off = BackOff(self._watch)
        self._lay_out(plan)

    def _lay_out(self, plan: Plan) -> None:
        """What the plan's pieces are, by their keys."""
        self._plan = plan
        self._matte_parameters = plan.matte_parameters()
        self.matte_keys = [key_of(p) for p in self._matte_parameters]
        self.promised = {d.id: product_key(plan, d, self.matte_keys) for d in plan.deliverables}

    @property
    def plan(self) -> Plan:
        """What is made, as memory allowed."""
        return self._plan

    def refuse_missing_mattes(self) -> None:
        """Where no network may run, see that every matte is there.

        Raises:
            OutputError: one is not, or was made from other settings.
        """
        if self._may_infer:
            return
        self._drop_broken_inputs()
        lacking = [chunk.index for chunk in self._plan.chunks if self._missing(chunk).matte]
        if lacking:
            raise OutputError(
                f"{self._place.output}: the mattes of {len(lacking)} of {len(self._plan.chunks)} "
                f"chunks (first: {lacking[0]}) {self._why_missing(lacking[0])}; `vrmatte run` "
                "makes them"
            )

    def _why_missing(self, chunk: int) -> str:
        stored = self._manifest.piece_parameters("matte", chunk)
        if stored is None or stored[0] != chunk or key_of(stored[1]) == self.matte_keys[chunk]:
            return "are not there, or damaged"
        changes = "; ".join(changed_parameters(stored[1], self._matte_parameters[chunk]))
        return f"were made from other people or settings ({changes})"

    def make_chunks(self) -> None:
        """Make every missing piece, chunk by chunk, committing each chunk whole."""
        self._say_what_changed()
        self._drop_broken_inputs()
        self.refuse_missing_mattes()
        total = sum(chunk.frames for chunk in self._plan.chunks)
        self._observer(Started("matte", total))
        done = skipped = 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._observer(Advanced("matte", done, skipped))

        for chunk in self._plan.chunks:
            missing = self._missing(chunk)
            if not missing:
                done += chunk.frames
                skipped += chunk.frames
                self._observer(Advanced("matte", done, skipped))
                continue
            self._place.check_space()
            told = self._watch.look(chunk.index)
            if told is not None:
                self._observer(Notice(told))
            self._make_all(chunk, _FramesOnce(advance))
        self._observer(Finished("matte"))

    def _make_all(self, chunk: Chunk, advance: _FramesOnce) -> None:
        """Make what a chunk lacks; where memory runs out, again with something given up.

        Raises:
            ChunkError: nothing is left to give up.
        """
        for part in self._portions(self._missing(chunk)):
            advance.begin()
            try:
                self._make(chunk, part, advance)
            except Exception as error:
                shortage = memory_shortage(error)
                if shortage is None:
                    raise
                self._give_up_something(chunk, shortage, error, infers=part.matte)
                break
        else:
            return
        self._make_all(chunk, advance)  # outside, so that nothing of the failed try is held

    def _give_up_something(
        self, chunk: Chunk, shortage: Shortage, error: Exception, *, infers: bool
    ) -> None:
        step = self._back_off.step(self._plan, chunk.index, shortage, infers=infers)
        whose = "GPU memory" if shortage == "device" else "memory"
        if step is None:
            raise ChunkError(
                f"chunk {chunk.index}: {whose} ran out ({error}). Finished chunks are kept: close "
                "other programs and run the same command again, or set "
                "processing.allow_smaller_scale"
            ) from error
        engine, told = step
        self._observer(Notice(f"{whose} ran out in chunk {chunk.index}: from here on {told}"))
        self._journal.note("memory ran out", chunk=chunk.index, given_up=told, error=str(error))
        self._engine = None
        if engine != self._plan.engine:
            self._lay_out(replace(self._plan, engine=engine))
            self._manifest.set_fact("engine", asdict(engine))

    def _portions(self, missing: _Missing) -> Iterator[_Missing]:
        """What to make in one go: where memory is short no two encoders' worth at a time.

        The picture is decoded anew for each, which costs little beside the memory it saves.
        """
        encoded = [d for d in missing.deliverables if d.encoder.encoder.startswith("lib")]
        if self._watch.way.files_together or len(encoded) + missing.matte < 2:
            yield missing
            return
        together = tuple(d for d in missing.deliverables if d not in encoded)
        if missing.matte or together:
            yield _Missing(missing.matte, together)
        for deliverable in encoded:
            yield _Missing(False, (deliverable,))

    def _make(self, chunk: Chunk, missing: _Missing, advance: Callable[[], None]) -> None:
        job = ChunkJob(
            chunk=chunk,
            folder=self._place.chunk_folder(chunk.index),
            make_matte=missing.matte,
            state_in=self._state_before(chunk) if missing.matte else None,
            deliverables=missing.deliverables,
            keys={name: key_of(p) for name, p in self._parameters(chunk).items()},
        )
        plan = self._plan.eased_for(chunk)
        plan = replace(plan, config=self._back_off.given_up.config(plan.config, self._watch.way))
        engine = self._loaded_engine(plan) if missing.matte else None
        self._journal.note(
            "chunk begun",
            chunk=chunk.index,
            frames=[chunk.first, chunk.last],
            matte=missing.matte,
            files=[d.id for d in missing.deliverables],
            goes_on_from=job.state_in,
        )
        result = process_chunk(plan, job, engine, advance)
        self._manifest.commit_chunk(
            chunk.index, result.files, self._parameters(chunk), result.seconds
        )
        self._journal.note(
            "chunk committed",
            chunk=chunk.index,
            files={name: [f.bytes, f.sha256] for name, f in result.files.items()},
            seconds=result.seconds,
        )

    def drop_broken_pieces(self) -> bool:
        """Forget pieces whose file differs from its digest; True if there were any."""
        broken = self._manifest.broken_pieces()
        for chunk, name, _ in broken:
            self._drop_if_broken(chunk, name)
        return self._drop_broken_pictures() or bool(broken)

    def _drop_broken_pictures(self) -> bool:
        """Forget chunks of sequences with damaged pictures; whole pictures are kept."""
        found = False
        for deliverable in self._plan.deliverables:
            if deliverable.sequence is None or self._is_finished(deliverable):
                continue
            name = piece_name(deliverable)
            for chunk in self._plan.chunks:
                key = key_of(self._parameters(chunk)[name])
                listing = self._manifest.piece(chunk.index, name, key)
                if listing is not None and drop_broken_frames(listing):
                    self._manifest.forget_piece(chunk.index, name)
                    self._observer(Notice(f"{listing}: pictures were damaged and are made again"))
                    found = True
        return found

    def _drop_broken_inputs(self) -> None:
        """Forget damaged pieces that others would be made from, before the damage spreads.

        From the last chunk on, because one that is made again needs the state before it.
        """
        for chunk in reversed(self._plan.chunks):
            missing = self._missing(chunk)
            if missing and not missing.matte:
                missing = _Missing(self._drop_if_broken(chunk.index, "matte"), ())
            if missing.matte and chunk.index > 0:
                self._drop_if_broken(chunk.index - 1, "state")

    def _drop_if_broken(self, chunk: int, name: str) -> bool:
        file = self._manifest.forget_if_broken(chunk, name)
        if file is None:
            return False
        self._observer(Notice(f"{file} was damaged on disk and is made again"))
        return True

    def _missing(self, chunk: Chunk) -> _Missing:
        key = self.matte_keys[chunk.index]
        piece = self._manifest.piece
        matte = piece(chunk.index, "matte", key) is None or (
            self._may_infer and piece(chunk.index, "state", key) is None
        )
        parameters = self._parameters(chunk)
        wanted = [
            deliverable
            for deliverable in self._plan.deliverables
            if not deliverable.is_matte_store and not self._is_finished(deliverable)
        ]
        lacking = tuple(
            d
            for d in wanted
            if piece(chunk.index, piece_name(d), key_of(parameters[piece_name(d)])) is None
        )
        return _Missing(matte, lacking)

    def _is_finished(self, deliverable: Deliverable) -> bool:
        product = self._manifest.product(deliverable.id)
        return (
            product is not None
            and product.is_in_place
            and product.key == self.promised[deliverable.id]
        )

    def _state_before(self, chunk: Chunk) -> Path | None:
        if not self._plan.goes_on(chunk):
            return None
        path = self._manifest.piece(chunk.index - 1, "state", self.matte_keys[chunk.index - 1])
        if path is None:
            raise OutputError(
                f"chunk {chunk.index}: the state after chunk {chunk.index - 1} is gone; run the "
                "same command again"
            )
        return path

    def _loaded_engine(self, plan: Plan) -> Engine:
        if self._engine is None or self._engine_is != plan.engine.precision:
            self._engine = load_engine(plan.engine, plan.config, self._observer)
            self._engine_is = plan.engine.precision
        return self._engine

    def _parameters(self, chunk: Chunk) -> dict[str, Parameters]:
        """What each piece of a chunk is made from, by piece name."""
        matte = self._matte_parameters[chunk.index]
        key = self.matte_keys[chunk.index]
        return dict.fromkeys(("matte", "state", "stereo", "profile"), matte) | {
            piece_name(d): deliverable_parameters(self._plan, d, key)
            for d in self._plan.deliverables
        }

    def _say_what_changed(self) -> None:
        """Tell why pieces of an earlier run are not used."""
        for name, what, stored in self._made_before():
            if stored is None or stored[0] >= len(self._plan.chunks):
                continue
            chunk, old = stored
            new = self._parameters(self._plan.chunks[chunk])[name]
            if key_of(old) != key_of(new):
                changes = "; ".join(changed_parameters(old, new))
                self._observer(Notice(f"{what} made again: {changes}", "info"))

    def _made_before(self) -> Iterator[tuple[str, str, tuple[int, Parameters] | None]]:
        """Name of each piece, for people too, with a chunk of it and what that was made from."""
        yield "matte", "mattes", self._manifest.piece_parameters("matte")
        for deliverable in self._plan.deliverables:
            if deliverable.is_matte_store:
                continue
            name = piece_name(deliverable)
            finished = self._manifest.product_parameters(deliverable.id)
            of_first = None if finished is None else (0, finished)
            yield name, deliverable.id, self._manifest.piece_parameters(name) or of_first
