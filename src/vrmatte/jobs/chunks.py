"""Makes what a plan's chunks lack: skips what is there, commits each chunk whole."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from vrmatte.jobs.failures import TRIES, is_chunks_fault, reason
from vrmatte.jobs.fallbacks import FallbackPolicy, Shortage, memory_shortage
from vrmatte.jobs.job_folder import JobFolder
from vrmatte.jobs.manifest import Manifest
from vrmatte.jobs.memory import Encoders, MemoryWatch
from vrmatte.jobs.pieces import ChunkPieces, Missing
from vrmatte.jobs.run_log import RunLog
from vrmatte.jobs.stopping import Stop, never, stop_if_asked
from vrmatte.matting.base import Engine
from vrmatte.matting.engines.choose import load_engine
from vrmatte.outputs import ChunkJob, piece_name
from vrmatte.pipeline import process_chunk
from vrmatte.plan import Chunk, Plan
from vrmatte.platform_support import release_freed_memory
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started


def encoding_passes(
    missing: Missing, encoders: Encoders, *, apart: bool = False
) -> Iterator[Missing]:
    """Portions of what a chunk lacks, the mattes in the first of them.

    For each portion that shows the picture, the source is decoded anew.

    Args:
        missing: what a chunk lacks.
        encoders: which software encoders may run at the same time.
        apart: every file by itself, and after the mattes.
    """
    files = missing.deliverables
    if apart:
        heavy, beside = list(files), 0
    else:
        heavy = [d for d in files if d.encoder.encoder.startswith("lib")]
        beside = {"all": len(heavy), "two": 1, "one": 0 if missing.matte else 1}[encoders]
    # Files of mattes alone come last: by then nothing has to be decoded for them.
    heavy.sort(key=lambda deliverable: not deliverable.kind.needs_frames)
    light = [d for d in files if d not in heavy]
    first = Missing(missing.matte, (*light, *heavy[:beside]))
    if first.matte or first.deliverables:
        yield first
    for deliverable in heavy[beside:]:
        yield Missing(False, (deliverable,))


@dataclass(frozen=True, slots=True)
class _FailedTry:
    """What was tried in one go, and why it came to nothing; it holds none of its memory."""

    part: Missing
    error: str
    trace: str


class _FramesOnce:
    """Tells of each frame of a chunk once, however often it is gone through."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance
        self.told = self._at = 0

    def begin(self) -> None:
        """The chunk is gone through from its first frame."""
        self._at = 0

    def __call__(self) -> None:
        self._at += 1
        if self._at > self.told:
            self.told = self._at
            self._advance()


class ChunkWork:
    """The chunks of one plan at one workplace."""

    def __init__(
        self,
        plan: Plan,
        place: JobFolder,
        manifest: Manifest,
        run_log: RunLog,
        observer: Observer,
        *,
        may_infer: bool = True,
        stop: Stop = never,
    ) -> None:
        """Take what to do and where; without `may_infer` no network runs."""
        self._stop = stop
        self.pieces = ChunkPieces(plan, place.output, manifest, observer, may_infer=may_infer)
        self._place = place
        self._manifest = manifest
        self._run_log = run_log
        self._observer = observer
        self._engine: Engine | None = None
        self._engine_is = plan.engine.precision
        self._watch = MemoryWatch(plan)
        self._fallback_policy = FallbackPolicy(self._watch)

    def make_chunks(self) -> None:
        """Make every missing piece, chunk by chunk, committing each chunk whole.

        A piece that fails again and again is left out, and stands in `pieces.failures`.
        """
        pieces = self.pieces
        pieces.say_what_changed()
        pieces.forget_failures_of_others()
        pieces.drop_broken_inputs()
        pieces.refuse_missing_mattes()
        total = sum(chunk.frames for chunk in pieces.plan.chunks)
        self._observer(Started("matte", total))
        done = skipped = 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._observer(Advanced("matte", done, skipped))

        for chunk in pieces.plan.chunks:
            if not pieces.missing(chunk):
                done += chunk.frames
                skipped += chunk.frames
                self._observer(Advanced("matte", done, skipped))
                continue
            self._stop_if_asked(done)
            self._place.check_space()
            told = self._watch.look(chunk.index)
            if told is not None:
                self._observer(Notice(told))
            frames = _FramesOnce(advance)
            self._make_or_leave_out(chunk, frames)
            left_out = chunk.frames - frames.told
            if left_out:
                done, skipped = done + left_out, skipped + left_out
                self._observer(Advanced("matte", done, skipped))
        self._observer(Finished("matte"))

    def _stop_if_asked(self, frames: int) -> None:
        chunks = self.pieces.plan.chunks
        total = chunks[-1].last - chunks[0].first
        made = sum(chunk.last - chunks[0].first <= frames for chunk in chunks)
        stop_if_asked(
            self._stop, f"{made} of {len(chunks)} chunks are made ({frames} of {total} frames)"
        )

    def _make_or_leave_out(self, chunk: Chunk, advance: _FramesOnce) -> None:
        """Make what a chunk lacks; what fails in every try is left out."""
        failed: list[_FailedTry] = []
        for attempt in range(1, TRIES + 1):
            # Apart, so that one file that can't be made costs no other.
            failed = self._try(chunk, advance, apart=attempt > 1)
            for one in failed:
                self._tell_failed_try(chunk, one, attempt)
            if not failed:
                return
            self._engine = None  # what failed may have left it unusable
        for one in failed:
            pieces = ["matte"] if one.part.matte else map(piece_name, one.part.deliverables)
            for piece in pieces:
                self.pieces.leave_out(chunk, piece, one.error)

    def _try(self, chunk: Chunk, advance: _FramesOnce, *, apart: bool) -> list[_FailedTry]:
        """Make what a chunk lacks; where memory runs out, again with something given up."""
        self.pieces.begin_cold_after_failure(chunk)
        failed: list[_FailedTry] = []
        encoders = self._watch.mode.encoders
        for part in encoding_passes(self.pieces.missing(chunk), encoders, apart=apart):
            advance.begin()
            try:
                self._make(chunk, part, advance)
            except Exception as error:
                shortage = memory_shortage(error)
                if shortage and self._gave_up_something(chunk, shortage, error, infers=part.matte):
                    break
                if not is_chunks_fault(error):
                    raise
                failed.append(self._failed_try(part, error, shortage))
                if part.matte:
                    return failed  # all else is made of it
        else:
            return failed
        # Outside, so that nothing of the failed try is held.
        return self._try(chunk, advance, apart=apart)

    def _failed_try(self, part: Missing, error: Exception, shortage: Shortage | None) -> _FailedTry:
        told = reason(error)
        if shortage:
            whose = "GPU memory" if shortage == "device" else "memory"
            told = (
                f"{whose} ran out ({told}); close other programs, or set "
                "processing.allow_smaller_scale"
            )
        return _FailedTry(part, told, "".join(traceback.format_exception(error)))

    def _tell_failed_try(self, chunk: Chunk, failed: _FailedTry, attempt: int) -> None:
        names = [d.id for d in failed.part.deliverables]
        what = "" if failed.part.matte else f", {' and '.join(names)}"
        end = "it is left out" if attempt == TRIES else "it is tried again"
        told = f"try {attempt} of {TRIES} failed ({failed.error}); {end}"
        self._observer(Notice(f"chunk {chunk.index}{what}: {told}"))
        self._run_log.note(
            "chunk failed",
            chunk=chunk.index,
            attempt=attempt,
            matte=failed.part.matte,
            files=names,
            error=failed.error,
            traceback=failed.trace,
        )

    def _gave_up_something(
        self, chunk: Chunk, shortage: Shortage, error: Exception, *, infers: bool
    ) -> bool:
        step = self._fallback_policy.step(self.pieces.plan, chunk.index, shortage, infers=infers)
        whose = "GPU memory" if shortage == "device" else "memory"
        if step is None:
            return False
        engine, told = step
        self._observer(Notice(f"{whose} ran out in chunk {chunk.index}: from here on {told}"))
        self._run_log.note("memory ran out", chunk=chunk.index, fallbacks=told, error=str(error))
        self._engine = None
        if engine != self.pieces.plan.engine:
            self.pieces.lay_out(replace(self.pieces.plan, engine=engine))
            self._manifest.set_fact("engine", asdict(engine))
        return True

    def _make(self, chunk: Chunk, missing: Missing, advance: Callable[[], None]) -> None:
        job = ChunkJob(
            chunk=chunk,
            folder=self._place.chunk_folder(chunk.index),
            make_matte=missing.matte,
            state_in=self.pieces.state_before(chunk) if missing.matte else None,
            deliverables=missing.deliverables,
            keys=self.pieces.keys_of(chunk.index),
        )
        plan = self.pieces.plan.downgraded_for(chunk)
        plan = replace(
            plan, config=self._fallback_policy.fallbacks.config(plan.config, self._watch.mode)
        )
        engine = self._loaded_engine(plan) if missing.matte else None
        self._run_log.note(
            "chunk begun",
            chunk=chunk.index,
            frames=[chunk.first, chunk.last],
            matte=missing.matte,
            files=[d.id for d in missing.deliverables],
            details={"goes_on_from": job.state_in},
        )
        began = time.monotonic()
        result = process_chunk(plan, job, engine, advance)
        self._manifest.commit_chunk(
            chunk.index, result.files, self.pieces.parameters(chunk), result.seconds
        )
        self._run_log.note(
            "chunk committed",
            chunk=chunk.index,
            seconds=round(time.monotonic() - began, 3),
            details={
                "pieces": {name: [f.bytes, f.sha256] for name, f in result.files.items()},
                "stage_seconds": result.seconds,
            },
        )
        release_freed_memory()

    def _loaded_engine(self, plan: Plan) -> Engine:
        if self._engine is None or self._engine_is != plan.engine.precision:
            self._engine = load_engine(plan.engine, plan.config, self._observer)
            self._engine_is = plan.engine.precision
        return self._engine
