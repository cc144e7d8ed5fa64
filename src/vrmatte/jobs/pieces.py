"""What the pieces of a plan are, which of them are there, and which can't be had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import ChunkError, OutputError
from vrmatte.jobs.failures import RETRY, TRIES, Failure, Failures, in_words
from vrmatte.jobs.finish import product_key
from vrmatte.jobs.manifest import Manifest
from vrmatte.media.sequences.sequence import drop_broken_frames
from vrmatte.outputs import piece_name
from vrmatte.plan import (
    Chunk,
    Parameters,
    Plan,
    changed_parameters,
    deliverable_parameters,
    key_of,
)
from vrmatte.progress import Notice, Observer


@dataclass(frozen=True, slots=True)
class Missing:
    """What a chunk lacks."""

    matte: bool
    deliverables: tuple[Deliverable, ...]

    def __bool__(self) -> bool:
        return self.matte or bool(self.deliverables)


class ChunkPieces:
    """The pieces of one plan, beside what a manifest knows."""

    def __init__(
        self, plan: Plan, output: Path, manifest: Manifest, observer: Observer, *, may_infer: bool
    ) -> None:
        """Take the plan; without `may_infer` nothing that only a network needs is missed."""
        self._output = output
        self._manifest = manifest
        self._observer = observer
        self._may_infer = may_infer
        self._failures = Failures(manifest)
        self.lay_out(replace(plan, cold_starts=self._failures.cold_starts))

    def lay_out(self, plan: Plan) -> None:
        """What the plan's pieces are, by their keys."""
        self.plan = plan
        self._matte_parameters = plan.matte_parameters()
        self.matte_keys = [key_of(p) for p in self._matte_parameters]
        self.promised = {d.id: product_key(plan, d, self.matte_keys) for d in plan.deliverables}

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What of this plan can't be made, after so many tries."""
        return tuple(
            failure
            for failure in self._failures.all
            if failure.chunk < len(self.plan.chunks)
            and failure.key == self.keys_of(failure.chunk).get(failure.piece)
        )

    def retry_failed(self) -> None:
        """Let failed pieces be tried again; what was made after them stays as it is."""
        made = [chunk.index for chunk in self.plan.chunks if not self.lacking(chunk).matte]
        last = max(made, default=-1)
        # Where nothing was made yet after a failed chunk, nothing has to begin cold.
        warm = set(self.matte_keys[max(0, last) :])
        self._failures.forget(lambda _: True)
        if warm & self._failures.cold_starts:
            self._failures.sever(self._failures.cold_starts - warm)
            self.lay_out(replace(self.plan, cold_starts=self._failures.cold_starts))

    def refuse_missing_mattes(self) -> None:
        """Where no network may run, see that every matte is there.

        Raises:
            OutputError: one is not, or was made from other settings.
            ChunkError: one could not be made.
        """
        if self._may_infer:
            return
        self.drop_broken_inputs()
        lacking = [chunk.index for chunk in self.plan.chunks if self.lacking(chunk).matte]
        failed = [f for f in self.failures if f.is_matte and f.chunk in lacking]
        if failed:
            raise ChunkError(
                f"{self._output}: mattes are missing that could not be made: "
                f"{in_words(self.plan, failed)}. {RETRY} tries them again"
            )
        if lacking:
            raise OutputError(
                f"{self._output}: the mattes of {len(lacking)} of {len(self.plan.chunks)} "
                f"chunks (first: {lacking[0]}) {self._why_missing(lacking[0])}; `vrmatte run` "
                "makes them"
            )

    def _why_missing(self, chunk: int) -> str:
        stored = self._manifest.piece_parameters("matte", chunk)
        if stored is None or stored[0] != chunk or key_of(stored[1]) == self.matte_keys[chunk]:
            return "are not there, or damaged"
        changes = "; ".join(changed_parameters(stored[1], self._matte_parameters[chunk]))
        return f"were made from other people or settings ({changes})"

    def leave_out(self, chunk: Chunk, piece: str, error: str) -> None:
        """Go on without a piece; it is not tried again until `retry_failed`."""
        key, frames = self.keys_of(chunk.index)[piece], (chunk.first, chunk.last)
        self._failures.add(Failure(chunk.index, piece, key, frames, TRIES, error, time.time()))

    def begin_cold_after_failure(self, chunk: Chunk) -> None:
        """Where the matte before could not be made there is no state to go on from."""
        before = chunk.index - 1
        if not self.goes_on(chunk) or not self.missing(chunk).matte:
            return
        if self._failures.find(before, "matte", self.matte_keys[before]) is not None:
            told = f"chunk {chunk.index} begins cold, with warm-up frames: chunk {before} failed"
            self._observer(Notice(told, "info"))
            self._failures.sever(self._failures.cold_starts | {self.matte_keys[before]})
            self.lay_out(replace(self.plan, cold_starts=self._failures.cold_starts))

    def drop_broken_pieces(self) -> bool:
        """Forget pieces whose file differs from its digest; True if there were any."""
        broken = self._manifest.broken_pieces()
        for chunk, name, _ in broken:
            self._drop_if_broken(chunk, name)
        return self._drop_broken_pictures() or bool(broken)

    def _drop_broken_pictures(self) -> bool:
        """Forget chunks of sequences with damaged pictures; whole pictures are kept."""
        found = False
        for deliverable in self.plan.deliverables:
            if deliverable.sequence is None or self._is_finished(deliverable):
                continue
            name = piece_name(deliverable)
            for chunk in self.plan.chunks:
                key = key_of(self.parameters(chunk)[name])
                listing = self._manifest.piece(chunk.index, name, key)
                if listing is not None and drop_broken_frames(listing):
                    self._manifest.forget_piece(chunk.index, name)
                    self._observer(Notice(f"{listing}: pictures were damaged and are made again"))
                    found = True
        return found

    def drop_broken_inputs(self) -> None:
        """Forget damaged pieces that others would be made from, before the damage spreads.

        From the last chunk on, because one that is made again needs the state before it.
        """
        for chunk in reversed(self.plan.chunks):
            missing = self.missing(chunk)
            if missing and not missing.matte:
                missing = Missing(self._drop_if_broken(chunk.index, "matte"), ())
            if missing.matte and chunk.index > 0:
                self._drop_if_broken(chunk.index - 1, "state")

    def _drop_if_broken(self, chunk: int, name: str) -> bool:
        file = self._manifest.forget_if_broken(chunk, name)
        if file is None:
            return False
        self._observer(Notice(f"{file} was damaged on disk and is made again"))
        return True

    def missing(self, chunk: Chunk) -> Missing:
        """What a chunk lacks, but for what failed before."""
        lacking, keys = self.lacking(chunk), self.keys_of(chunk.index)

        def failed(piece: str) -> bool:
            return self._failures.find(chunk.index, piece, keys[piece]) is not None

        if lacking.matte and failed("matte"):
            return Missing(False, ())
        rest = tuple(d for d in lacking.deliverables if not failed(piece_name(d)))
        return Missing(lacking.matte, rest)

    def lacking(self, chunk: Chunk) -> Missing:
        """All that isn't there."""
        key = self.matte_keys[chunk.index]
        piece = self._manifest.piece
        matte = piece(chunk.index, "matte", key) is None or (
            self._may_infer and piece(chunk.index, "state", key) is None
        )
        parameters = self.parameters(chunk)
        wanted = [
            deliverable
            for deliverable in self.plan.deliverables
            if not deliverable.is_matte_store and not self._is_finished(deliverable)
        ]
        lacking = tuple(
            d
            for d in wanted
            if piece(chunk.index, piece_name(d), key_of(parameters[piece_name(d)])) is None
        )
        return Missing(matte, lacking)

    def _is_finished(self, deliverable: Deliverable) -> bool:
        product = self._manifest.product(deliverable.id)
        return (
            product is not None
            and product.is_in_place
            and product.key == self.promised[deliverable.id]
        )

    def state_before(self, chunk: Chunk) -> Path | None:
        """What the matting goes on from; None: it begins cold.

        Raises:
            OutputError: it is gone.
        """
        if not self.goes_on(chunk):
            return None
        path = self._manifest.piece(chunk.index - 1, "state", self.matte_keys[chunk.index - 1])
        if path is None:
            raise OutputError(
                f"chunk {chunk.index}: the state after chunk {chunk.index - 1} is gone; run the "
                "same command again"
            )
        return path

    def goes_on(self, chunk: Chunk) -> bool:
        """Whether the chunk's matte needs the state after the one before."""
        start = self._matte_parameters[chunk.index]["start"]
        return isinstance(start, dict) and "after" in start

    def parameters(self, chunk: Chunk) -> dict[str, Parameters]:
        """What each piece of a chunk is made from, by piece name."""
        matte = self._matte_parameters[chunk.index]
        key = self.matte_keys[chunk.index]
        return dict.fromkeys(("matte", "state", "stereo", "scores", "profile"), matte) | {
            piece_name(d): deliverable_parameters(self.plan, d, key) for d in self.plan.deliverables
        }

    def keys_of(self, chunk: int) -> dict[str, str]:
        """Identity of each piece of a chunk, by its name."""
        parameters = self.parameters(self.plan.chunks[chunk])
        return {name: key_of(p) for name, p in parameters.items()}

    def forget_failures_of_others(self) -> None:
        """What failed under other settings may be tried under these."""
        now = set(self.failures)
        planned = {"matte", *map(piece_name, self.plan.deliverables)}
        self._failures.forget(lambda failure: failure.piece in planned and failure not in now)

    def say_what_changed(self) -> None:
        """Tell why pieces of an earlier run are not used."""
        for name, what, stored in self._made_before():
            if stored is None or stored[0] >= len(self.plan.chunks):
                continue
            chunk, old = stored
            new = self.parameters(self.plan.chunks[chunk])[name]
            if key_of(old) != key_of(new):
                changes = "; ".join(changed_parameters(old, new))
                self._observer(Notice(f"{what} made again: {changes}", "info"))

    def _made_before(self) -> Iterator[tuple[str, str, tuple[int, Parameters] | None]]:
        """Name of each piece, for people too, with a chunk of it and what that was made from."""
        yield "matte", "mattes", self._manifest.piece_parameters("matte")
        for deliverable in self.plan.deliverables:
            if deliverable.is_matte_store:
                continue
            name = piece_name(deliverable)
            finished = self._manifest.product_parameters(deliverable.id)
            of_first = None if finished is None else (0, finished)
            yield name, deliverable.id, self._manifest.piece_parameters(name) or of_first
