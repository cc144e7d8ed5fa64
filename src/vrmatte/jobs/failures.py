"""Pieces of chunks that failed in every attempt, recorded so that runs continue without them.

A failure is valid for the key it happened under; other settings or weights make it meaningless. The
chunk after a failed matte starts cold. Such cold starts stay when the failed chunk is made later,
so that nothing after it has to be redone.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vrmatte.errors import (
    ChunkError,
    ConfigError,
    DiskFullError,
    InputError,
    OutputError,
    OutputLockedError,
    StoppedError,
    VrmatteError,
    WeightsError,
    one_line,
    output_error,
)
from vrmatte.jobs.manifest import Manifest
from vrmatte.outputs import piece_name
from vrmatte.plan import Plan

ATTEMPTS = 3
"""Attempts at a chunk before it is skipped."""
RETRY = "`vrmatte run ... --retry-failed`"
_MOST_LISTED = 4
_LONGEST_REASON = 300
_OTHERS_FAULT = (
    ConfigError,
    DiskFullError,
    InputError,
    OutputError,
    OutputLockedError,
    StoppedError,
    WeightsError,
)
"""Errors that do not concern a single chunk: the next one would end the same way."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One piece of a chunk that is not tried again without `--retry-failed`."""

    chunk: int
    piece: str
    """"matte", or a deliverable's piece."""
    key: str
    """Identity of the piece: a digest of what it is made from."""
    frames: tuple[int, int]
    """First frame and one past the last, counted in the whole source."""
    tries: int
    error: str
    time: float
    """Seconds since 1970."""

    @property
    def is_matte(self) -> bool:
        """True if the matte failed, which every file of the chunk needs."""
        return self.piece == "matte"

    @property
    def where(self) -> str:
        """The piece in words: "chunk 3" or "greenscreen of chunk 3"."""
        file = "" if self.is_matte else f"{self.piece.removeprefix('file:')} of "
        return f"{file}chunk {self.chunk}"


class Failures:
    """The failed pieces and cold starts in a job's manifest."""

    def __init__(self, manifest: Manifest) -> None:
        """Read them.

        Raises:
            OutputError: the record is invalid.
        """
        self._manifest = manifest
        try:
            self._all = TypeAdapter(tuple[Failure, ...]).validate_python(
                manifest.fact("failures") or ()
            )
            self.cold_starts = TypeAdapter(frozenset[str]).validate_python(
                manifest.fact("cold_starts") or ()
            )
        except ValidationError as error:
            raise OutputError(
                "the manifest has an invalid record of failed chunks; start over with --fresh"
            ) from error

    @property
    def all(self) -> tuple[Failure, ...]:
        """All failures, by chunk."""
        return self._all

    def find(self, chunk: int, piece: str, key: str) -> Failure | None:
        """Return the failure of a piece under this key, or None."""
        same = (f for f in self._all if (f.chunk, f.piece, f.key) == (chunk, piece, key))
        return next(same, None)

    def add(self, failure: Failure) -> None:
        """Record one, in place of an earlier one of that piece."""
        others = [f for f in self._all if (f.chunk, f.piece) != (failure.chunk, failure.piece)]
        self._keep(sorted([*others, failure], key=lambda f: (f.chunk, f.piece)))

    def forget(self, is_outdated: Callable[[Failure], bool]) -> None:
        """Remove some failures, so that the pieces are tried again."""
        kept = [f for f in self._all if not is_outdated(f)]
        if len(kept) < len(self._all):
            self._keep(kept)

    def set_cold_starts(self, matte_keys: frozenset[str]) -> None:
        """Record the mattes, by their keys, after which the next chunk starts cold."""
        self.cold_starts = matte_keys
        self._manifest.set_fact("cold_starts", sorted(matte_keys))

    def _keep(self, failures: Iterable[Failure]) -> None:
        self._all = tuple(failures)
        self._manifest.set_fact("failures", [asdict(f) for f in self._all])


def is_chunks_fault(error: Exception) -> bool:
    """Report whether an error may concern one chunk alone, so that others are worth trying."""
    return not isinstance(error, _OTHERS_FAULT) and not is_disk_full(error)


def is_disk_full(error: Exception) -> bool:
    """Report whether the operating system says that no space is left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def reason(error: BaseException) -> str:
    """Return an error in one line, with its type if it is not one of vrmatte's."""
    text = str(error) if isinstance(error, VrmatteError) else f"{type(error).__name__}: {error}"
    return one_line(text.strip().rstrip(":.").partition("\n")[0])[:_LONGEST_REASON]


def unfinishable(plan: Plan, failures: Iterable[Failure]) -> frozenset[str]:
    """Return the ids of the files that can't be finished because of failures."""
    failed = {failure.piece for failure in failures}
    if "matte" in failed:
        return frozenset(d.id for d in plan.deliverables)
    return frozenset(d.id for d in plan.deliverables if piece_name(d) in failed)


def refuse_failures(
    plan: Plan, failures: Sequence[Failure], finished: Collection[str], began: float
) -> None:
    """End a run that skipped pieces.

    Args:
        plan: of the run.
        failures: the skipped pieces.
        finished: ids of the files that exist nevertheless.
        began: start of the run, in seconds since 1970.

    Raises:
        ChunkError: there are failures.
    """
    if not failures:
        return
    chunks = {failure.chunk for failure in failures}
    new = any(failure.time >= began for failure in failures)
    lacking = unfinishable(plan, failures).difference(finished)
    names = ", ".join(d.file_name for d in plan.deliverables if d.id in lacking)
    raise ChunkError(
        f"{len(chunks)} of {len(plan.chunks)} chunks could not be made"
        f"{'' if new else ' before and were not tried again'}"
        f"{f', so {names} cannot be finished' if names else ''}: "
        f"{describe_failures(plan, failures)}. All else is kept: {RETRY}, otherwise the same "
        "command, tries only what failed"
    )


def describe_failures(plan: Plan, failures: Iterable[Failure]) -> str:
    """List the failed pieces, where in the video and why; at most a few of them."""
    lines = [
        f"{failure.where} ({_span(plan, failure)}), after {failure.tries} attempts: {failure.error}"
        for failure in failures
    ]
    more = len(lines) - _MOST_LISTED
    return "; ".join(lines[:_MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")


def _span(plan: Plan, failure: Failure) -> str:
    first, last = failure.frames
    began, ended = seconds_of(plan, failure)
    return f"frames {first} to {last - 1}, {began:.3f} s to {ended:.3f} s of the video"


def seconds_of(plan: Plan, failure: Failure) -> tuple[float, float]:
    """Return the first and last time of a failed chunk in the source."""
    line = plan.timeline.slice(*failure.frames)
    return line.seconds(0), line.end_seconds


@contextmanager
def report_unexpected_errors(run_log: Path) -> Generator[None]:
    """Turn any other error into a VrmatteError; its traceback is in the file `run_log`.

    Raises:
        DiskFullError: there was no space left.
        VrmatteError: anything else.
    """
    try:
        yield
    except VrmatteError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_disk_full(error):
            raise output_error(error, Path(error.filename or run_log.parent)) from error
        raise VrmatteError(
            f"an unexpected error ({reason(error)}). Finished chunks are kept; please report it "
            f"with the last lines of {run_log}"
        ) from error
