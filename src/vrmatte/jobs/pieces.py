"""The pieces of a plan's chunks: their keys, and which are missing, broken or failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import ChunkError, OutputError
from vrmatte.jobs.failures import ATTEMPTS, RETRY, Failure, Failures, describe_failures
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

_MADE_WITH_THE_MATTE = ("matte", "state", "stereo", "scores", "profile")


@dataclass(frozen=True, slots=True)
class MissingPieces:
    """The pieces that a chunk lacks."""

    matte: bool
    deliverables: tuple[Deliverable, ...]

    def __bool__(self) -> bool:
        return self.matte or bool(self.deliverables)


class ChunkPieces:
    """The pieces of one plan, compared with a manifest."""

    def __init__(
        self, plan: Plan, output: Path, manifest: Manifest, observer: Observer, *, may_infer: bool
    ) -> None:
        """Take the plan; without `may_infer` states of the engine are not needed."""
        self._output = output
        self._manifest = manifest
        self._observer = observer
        self.may_infer = may_infer
        self._failures = Failures(manifest)
        self.set_plan(replace(plan, cold_starts=self._failures.cold_starts))

    def set_plan(self, plan: Plan) -> None:
        """Take another plan of the same chunks and files, and compute the keys of its pieces."""
        self.plan = plan
        self._matte_parameters = plan.matte_parameters()
        self.matte_keys = [key_of(p) for p in self._matte_parameters]
        self.parameters = [
            self._piece_parameters(matte, key)
            for matte, key in zip(self._matte_parameters, self.matte_keys, strict=True)
        ]
        """Parameters of each chunk's pieces, by piece name."""
        self.keys = [{name: key_of(p) for name, p in pieces.items()} for pieces in self.parameters]
        """Identity of each chunk's pieces, by piece name."""
        self.promised = {d.id: product_key(plan, d, self.matte_keys) for d in plan.deliverables}
        """Identity of each finished file, by the deliverable's id."""

    def _piece_parameters(self, matte: Parameters, matte_key: str) -> dict[str, Parameters]:
        return dict.fromkeys(_MADE_WITH_THE_MATTE, matte) | {
            piece_name(d): deliverable_parameters(self.plan, d, matte_key)
            for d in self.plan.deliverables
        }

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Pieces of this plan that failed in every attempt."""
        return tuple(
            failure
            for failure in self._failures.all
            if failure.chunk < len(self.plan.chunks)
            and failure.key == self.keys[failure.chunk].get(failure.piece)
        )

    def retry_failed(self) -> None:
        """Let failed pieces be tried again; chunks made after them stay as they are."""
        made = [chunk.index for chunk in self.plan.chunks if not self.absent(chunk).matte]
        last = max(made, default=-1)
        # Where nothing was made yet after a failed chunk, nothing has to start cold.
        warm = set(self.matte_keys[max(0, last) :])
        self._failures.forget(lambda _: True)
        if warm & self._failures.cold_starts:
            self._set_cold_starts(self._failures.cold_starts - warm)

    def refuse_missing_mattes(self) -> None:
        """Check that every matte exists, if no network may run.

        Raises:
            OutputError: one does not, or was made from other settings.
            ChunkError: one failed.
        """
        if self.may_infer:
            return
        self.drop_broken_inputs()
        absent = [chunk.index for chunk in self.plan.chunks if self.absent(chunk).matte]
        failed = [f for f in self.failures if f.is_matte and f.chunk in absent]
        if failed:
            raise ChunkError(
                f"{self._output}: mattes are missing that could not be made: "
                f"{describe_failures(self.plan, failed)}. {RETRY} tries them again"
            )
        if absent:
            raise OutputError(
                f"{self._output}: the mattes of {len(absent)} of {len(self.plan.chunks)} "
                f"chunks (first: {absent[0]}) {self._why_absent(absent[0])}; `vrmatte run` "
                "makes them"
            )

    def _why_absent(self, chunk: int) -> str:
        stored = self._manifest.piece_parameters("matte", chunk)
        if stored is None or stored[0] != chunk or key_of(stored[1]) == self.matte_keys[chunk]:
            return "are missing or damaged"
        changes = "; ".join(changed_parameters(stored[1], self._matte_parameters[chunk]))
        return f"were made from other people or settings ({changes})"

    def skip(self, chunk: Chunk, piece: str, error: str) -> None:
        """Continue without a piece; it is not tried again until `retry_failed`."""
        key, frames = self.keys[chunk.index][piece], (chunk.first, chunk.last)
        self._failures.add(Failure(chunk.index, piece, key, frames, ATTEMPTS, error, time.time()))

    def start_cold_after_failure(self, chunk: Chunk) -> None:
        """Let a chunk start cold if the matte of the chunk before failed and left no state."""
        before = chunk.index - 1
        if not self._continues(chunk) or not self.missing(chunk).matte:
            return
        if self._failures.find(before, "matte", self.matte_keys[before]) is not None:
            text = f"chunk {chunk.index} starts cold, with warm-up frames: chunk {before} failed"
            self._observer(Notice(text, "info"))
            self._set_cold_starts(self._failures.cold_starts | {self.matte_keys[before]})

    def _set_cold_starts(self, matte_keys: frozenset[str]) -> None:
        self._failures.set_cold_starts(matte_keys)
        self.set_plan(replace(self.plan, cold_starts=matte_keys))

    def drop_broken_pieces(self) -> bool:
        """Forget pieces whose file differs from its digest; return whether there were any."""
        broken = self._manifest.broken_pieces()
        for chunk, name, _ in broken:
            self._drop_if_broken(chunk, name)
        return self._drop_broken_images() or bool(broken)

    def _drop_broken_images(self) -> bool:
        """Forget chunks of image sequences with damaged images; whole images are kept."""
        dropped = False
        for deliverable in self.plan.deliverables:
            if deliverable.sequence is None or self._is_finished(deliverable):
                continue
            name = piece_name(deliverable)
            for chunk in self.plan.chunks:
                listing = self._manifest.piece(chunk.index, name, self.keys[chunk.index][name])
                if listing is not None and drop_broken_frames(listing):
                    self._manifest.forget_piece(chunk.index, name)
                    self._observer(Notice(f"{listing}: images were damaged; redoing them"))
                    dropped = True
        return dropped

    def drop_broken_inputs(self) -> None:
        """Forget damaged pieces that others would be made from, before the damage spreads.

        Starts at the last chunk, because a chunk that is redone needs the state before it.
        """
        for chunk in reversed(self.plan.chunks):
            missing = self.missing(chunk)
            if missing and not missing.matte:
                missing = MissingPieces(self._drop_if_broken(chunk.index, "matte"), ())
            if missing.matte and chunk.index > 0:
                self._drop_if_broken(chunk.index - 1, "state")

    def _drop_if_broken(self, chunk: int, name: str) -> bool:
        file = self._manifest.forget_if_broken(chunk, name)
        if file is None:
            return False
        self._observer(Notice(f"{file} was damaged on disk; redoing it"))
        return True

    def missing(self, chunk: Chunk) -> MissingPieces:
        """Return the pieces to make of a chunk: those that don't exist and did not fail before."""
        absent, keys = self.absent(chunk), self.keys[chunk.index]

        def failed(piece: str) -> bool:
            return self._failures.find(chunk.index, piece, keys[piece]) is not None

        if absent.matte and failed("matte"):
            return MissingPieces(False, ())
        rest = tuple(d for d in absent.deliverables if not failed(piece_name(d)))
        return MissingPieces(absent.matte, rest)

    def absent(self, chunk: Chunk) -> MissingPieces:
        """Return all pieces of a chunk that don't exist."""
        keys = self.keys[chunk.index]

        def exists(piece: str) -> bool:
            return self._manifest.piece(chunk.index, piece, keys[piece]) is not None

        matte = not exists("matte") or (self.may_infer and not exists("state"))
        deliverables = tuple(
            d
            for d in self.plan.deliverables
            if not d.is_matte_store and not self._is_finished(d) and not exists(piece_name(d))
        )
        return MissingPieces(matte, deliverables)

    def _is_finished(self, deliverable: Deliverable) -> bool:
        product = self._manifest.product(deliverable.id)
        return (
            product is not None
            and product.is_in_place
            and product.key == self.promised[deliverable.id]
        )

    def state_before(self, chunk: Chunk) -> Path | None:
        """Return the state that the matting continues from; None: the chunk starts cold.

        Raises:
            OutputError: it is missing.
        """
        if not self._continues(chunk):
            return None
        path = self._manifest.piece(chunk.index - 1, "state", self.matte_keys[chunk.index - 1])
        if path is None:
            raise OutputError(
                f"chunk {chunk.index}: the state after chunk {chunk.index - 1} is missing; run the "
                "same command again"
            )
        return path

    def _continues(self, chunk: Chunk) -> bool:
        """Report whether the chunk's matte needs the state after the chunk before."""
        start = self._matte_parameters[chunk.index]["start"]
        return isinstance(start, dict) and "after" in start

    def forget_outdated_failures(self) -> None:
        """Forget failures under other settings: the pieces may be tried under these."""
        current = set(self.failures)
        planned = {"matte", *map(piece_name, self.plan.deliverables)}
        self._failures.forget(lambda failure: failure.piece in planned and failure not in current)

    def report_changes(self) -> None:
        """Report why pieces of an earlier run are not used."""
        for piece, text, stored in self._earlier_pieces():
            if stored is None or stored[0] >= len(self.plan.chunks):
                continue
            chunk, old = stored
            new = self.parameters[chunk][piece]
            if key_of(old) != key_of(new):
                changes = "; ".join(changed_parameters(old, new))
                self._observer(Notice(f"{text}: {changes}", "info"))

    def _earlier_pieces(self) -> Iterator[tuple[str, str, tuple[int, Parameters] | None]]:
        """Yield each piece's name, the text of its notice, and a stored chunk's parameters."""
        yield "matte", "redoing the mattes", self._manifest.piece_parameters("matte")
        for deliverable in self.plan.deliverables:
            if deliverable.is_matte_store:
                continue
            name = piece_name(deliverable)
            finished = self._manifest.product_parameters(deliverable.id)
            of_first = None if finished is None else (0, finished)
            stored = self._manifest.piece_parameters(name) or of_first
            yield name, f"re-encoding {deliverable.id}", stored
