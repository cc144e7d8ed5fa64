"""Process the chunks of a plan: skip existing pieces, make the missing ones, commit each chunk."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from vrmatte.jobs.failures import ATTEMPTS, is_chunks_fault, reason
from vrmatte.jobs.fallbacks import MEMORY_OF, FallbackPolicy, Shortage, memory_shortage
from vrmatte.jobs.job_folder import JobFolder
from vrmatte.jobs.manifest import Manifest
from vrmatte.jobs.memory import Encoders, MemoryWatch
from vrmatte.jobs.pieces import ChunkPieces, MissingPieces
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
    missing: MissingPieces, encoders: Encoders, *, apart: bool = False
) -> Iterator[MissingPieces]:
    """Split the missing pieces of a chunk into passes, the mattes in the first.

    The source is decoded in every pass with a file that shows it.

    Args:
        missing: all that a chunk lacks.
        encoders: software encoders that may run at the same time.
        apart: give every file a pass of its own, after the mattes.
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
    first = MissingPieces(missing.matte, (*light, *heavy[:beside]))
    if first:
        yield first
    for deliverable in heavy[beside:]:
        yield MissingPieces(False, (deliverable,))


@dataclass(frozen=True, slots=True)
class _FailedPass:
    """The pieces of a failed pass and its error, as text: an exception would hold its memory."""

    pieces: MissingPieces
    error: str
    traceback: str


class _ChunkProgress:
    """Reports each frame of a chunk once, in however many passes it is processed."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance
        self.reported = self._position = 0

    def start_pass(self) -> None:
        """Count from the first frame again."""
        self._position = 0

    def __call__(self) -> None:
        self._position += 1
        if self._position > self.reported:
            self.reported = self._position
            self._advance()


class ChunkWork:
    """Processes the chunks of one plan in one job folder."""

    def __init__(
        self,
        plan: Plan,
        folder: JobFolder,
        manifest: Manifest,
        run_log: RunLog,
        observer: Observer,
        *,
        may_infer: bool = True,
        stop: Stop = never,
        check_source: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the plan and the job.

        Args:
            plan: of the run.
            folder: of the job.
            manifest: records the pieces.
            run_log: receives every step.
            observer: receives progress and notices.
            may_infer: False: no network runs.
            stop: asked before each chunk.
            check_source: raises an error if the video is not the one that was planned for; called
                before a chunk is recorded, and after a failure.
        """
        self._stop = stop
        self._check_source = check_source
        self.pieces = ChunkPieces(plan, folder.output, manifest, observer, may_infer=may_infer)
        self._folder = folder
        self._manifest = manifest
        self._run_log = run_log
        self._observer = observer
        self._engine: Engine | None = None
        self._engine_precision = plan.engine.precision
        self._memory = MemoryWatch(plan)
        self._fallback_policy = FallbackPolicy(self._memory)

    def make_chunks(self) -> None:
        """Make every missing piece, chunk by chunk, committing each chunk whole.

        A piece that fails in every attempt is skipped and recorded in `pieces.failures`.
        """
        pieces = self.pieces
        pieces.report_changes()
        pieces.forget_outdated_failures()
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
            self._folder.check_space()
            notice = self._memory.choose_mode(chunk.index)
            if notice is not None:
                self._observer(Notice(notice))
            progress = _ChunkProgress(advance)
            self._make_or_skip(chunk, progress)
            rest = chunk.frames - progress.reported
            if rest:
                done, skipped = done + rest, skipped + rest
                self._observer(Advanced("matte", done, skipped))
        self._observer(Finished("matte"))

    def _stop_if_asked(self, frames: int) -> None:
        chunks = self.pieces.plan.chunks
        total = chunks[-1].last - chunks[0].first
        made = sum(chunk.last - chunks[0].first <= frames for chunk in chunks)
        stop_if_asked(
            self._stop, f"{made} of {len(chunks)} chunks are made ({frames} of {total} frames)"
        )

    def _make_or_skip(self, chunk: Chunk, progress: _ChunkProgress) -> None:
        """Make the missing pieces of a chunk; skip those that fail in every attempt."""
        failed: list[_FailedPass] = []
        for attempt in range(1, ATTEMPTS + 1):
            # Apart, so that one file that can't be made costs no other.
            failed = self._attempt(chunk, progress, apart=attempt > 1)
            for one in failed:
                self._report_failure(chunk, one, attempt)
            if not failed:
                return
            self._engine = None  # the failure may have left it unusable
        for one in failed:
            names = ["matte"] if one.pieces.matte else map(piece_name, one.pieces.deliverables)
            for name in names:
                self.pieces.skip(chunk, name, one.error)

    def _attempt(self, chunk: Chunk, progress: _ChunkProgress, *, apart: bool) -> list[_FailedPass]:
        """Make the missing pieces of a chunk; when memory runs out, fall back and start over."""
        self.pieces.start_cold_after_failure(chunk)
        failed: list[_FailedPass] = []
        encoders = self._memory.mode.encoders
        for missing in encoding_passes(self.pieces.missing(chunk), encoders, apart=apart):
            progress.start_pass()
            try:
                self._make(chunk, missing, progress)
            except Exception as error:
                self._check_source()  # of another video nothing can be concluded
                shortage = memory_shortage(error)
                if shortage and self._fell_back(chunk, shortage, error, infers=missing.matte):
                    break
                if not is_chunks_fault(error):
                    raise
                failed.append(_failed_pass(missing, error, shortage))
                if missing.matte:
                    return failed  # all else is made from it
        else:
            return failed
        # Outside the loop, so that no memory of the failed attempt is held.
        return self._attempt(chunk, progress, apart=apart)

    def _report_failure(self, chunk: Chunk, failed: _FailedPass, attempt: int) -> None:
        names = [d.id for d in failed.pieces.deliverables]
        files = "" if failed.pieces.matte else f", {' and '.join(names)}"
        end = "skipping it" if attempt == ATTEMPTS else "retrying"
        text = f"attempt {attempt} of {ATTEMPTS} failed ({failed.error}); {end}"
        self._observer(Notice(f"chunk {chunk.index}{files}: {text}"))
        self._run_log.note(
            "chunk failed",
            chunk=chunk.index,
            attempt=attempt,
            matte=failed.pieces.matte,
            files=names,
            error=failed.error,
            traceback=failed.traceback,
        )

    def _fell_back(
        self, chunk: Chunk, shortage: Shortage, error: Exception, *, infers: bool
    ) -> bool:
        """Take one more fallback; False: none is left."""
        step = self._fallback_policy.step(self.pieces.plan, chunk.index, shortage, infers=infers)
        if step is None:
            return False
        engine, fallback = step
        where = f"{MEMORY_OF[shortage]} ran out in chunk {chunk.index}"
        self._observer(Notice(f"{where}: from here on {fallback}"))
        self._run_log.note("memory ran out", chunk=chunk.index, fallback=fallback, error=str(error))
        self._engine = None
        if engine != self.pieces.plan.engine:
            self.pieces.set_plan(replace(self.pieces.plan, engine=engine))
            self._manifest.set_fact("engine", asdict(engine))
        return True

    def _make(self, chunk: Chunk, missing: MissingPieces, advance: Callable[[], None]) -> None:
        job = ChunkJob(
            chunk=chunk,
            folder=self._folder.chunk_folder(chunk.index),
            make_matte=missing.matte,
            state_in=self.pieces.state_before(chunk) if missing.matte else None,
            deliverables=missing.deliverables,
            keys=self.pieces.keys[chunk.index],
        )
        plan = self.pieces.plan.downgraded_for(chunk)
        plan = replace(
            plan, config=self._fallback_policy.fallbacks.config(plan.config, self._memory.mode)
        )
        engine = self._loaded_engine(plan) if missing.matte else None
        self._run_log.note(
            "chunk begun",
            chunk=chunk.index,
            frames=[chunk.first, chunk.last],
            matte=missing.matte,
            files=[d.id for d in missing.deliverables],
            details={"state": job.state_in},
        )
        began = time.monotonic()
        result = process_chunk(plan, job, engine, advance)
        self._check_source()
        self._manifest.commit_chunk(
            chunk.index, result.files, self.pieces.parameters[chunk.index], result.seconds
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
        if self._engine is None or self._engine_precision != plan.engine.precision:
            self._engine = load_engine(plan.engine, plan.config, self._observer)
            self._engine_precision = plan.engine.precision
        return self._engine


def _failed_pass(pieces: MissingPieces, error: Exception, shortage: Shortage | None) -> _FailedPass:
    text = reason(error)
    if shortage:
        text = (
            f"{MEMORY_OF[shortage]} ran out ({text}); close other programs, or set "
            "processing.allow_smaller_scale"
        )
    return _FailedPass(pieces, text, "".join(traceback.format_exception(error)))
