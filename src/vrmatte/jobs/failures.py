"""Pieces of chunks that failed again and again: remembered, so that the rest goes on without them.

A failure holds for the key it happened under; other settings or weights make it meaningless. What
follows a matte that could not be made begins cold. Such cold starts stay when the failed chunk is
made later, so that nothing after it has to be made again.
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

TRIES = 3
"""How often a chunk is tried in all, before it is left out."""
RETRY = "`vrmatte run ... --retry-failed`"
_MOST_NAMED = 4
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
"""Whatever chunk comes next would end the same way."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One piece of a chunk that is not tried again until that is asked for."""

    chunk: int
    piece: str
    """"matte", or a deliverable's piece."""
    key: str
    """What the piece was to be made from."""
    frames: tuple[int, int]
    """First frame and one past the last, counted in the whole source."""
    tries: int
    error: str
    time: float
    """Seconds since 1970."""

    @property
    def is_matte(self) -> bool:
        """Whether the matte itself failed, which every file of the chunk needs."""
        return self.piece == "matte"

    @property
    def where(self) -> str:
        """The piece for people: "chunk 3" or "greenscreen of chunk 3"."""
        of = "" if self.is_matte else f"{self.piece.removeprefix('file:')} of "
        return f"{of}chunk {self.chunk}"


class Failures:
    """What a job's manifest remembers of failed pieces and cold starts."""

    def __init__(self, manifest: Manifest) -> None:
        """Read it.

        Raises:
            OutputError: no version of vrmatte can have written it.
        """
        self._manifest = manifest
        try:
            self._all = TypeAdapter(tuple[Failure, ...]).validate_python(
                manifest.fact("failures") or ()
            )
            self.cold_starts = TypeAdapter(frozenset[str]).validate_python(
                manifest.fact("severed") or ()
            )
        except ValidationError as error:
            raise OutputError(
                "the manifest remembers failures that no version of vrmatte can have met; start "
                "over with --fresh"
            ) from error

    @property
    def all(self) -> tuple[Failure, ...]:
        """By chunk."""
        return self._all

    def find(self, chunk: int, piece: str, key: str) -> Failure | None:
        """The failure of a piece, if it happened under this key."""
        same = (f for f in self._all if (f.chunk, f.piece, f.key) == (chunk, piece, key))
        return next(same, None)

    def add(self, failure: Failure) -> None:
        """Remember one, in the place of an earlier one of that piece."""
        others = [f for f in self._all if (f.chunk, f.piece) != (failure.chunk, failure.piece)]
        self._keep(sorted([*others, failure], key=lambda f: (f.chunk, f.piece)))

    def forget(self, is_meant: Callable[[Failure], bool]) -> None:
        """Drop those; they may be tried again."""
        kept = [f for f in self._all if not is_meant(f)]
        if len(kept) < len(self._all):
            self._keep(kept)

    def sever(self, keys: Iterable[str]) -> None:
        """Remember after which mattes, by their keys, the next chunk begins cold."""
        self.cold_starts = frozenset(keys)
        self._manifest.set_fact("severed", sorted(self.cold_starts))

    def _keep(self, failures: Iterable[Failure]) -> None:
        self._all = tuple(failures)
        self._manifest.set_fact("failures", [asdict(f) for f in self._all])


def is_chunks_fault(error: Exception) -> bool:
    """Whether an error may be about one chunk, so that others are worth trying."""
    return not isinstance(error, _OTHERS_FAULT) and not is_disk_full(error)


def is_disk_full(error: Exception) -> bool:
    """Whether the operating system had no space left, in its own words."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def reason(error: BaseException) -> str:
    """An error in one line, with its kind where it isn't ours."""
    text = str(error) if isinstance(error, VrmatteError) else f"{type(error).__name__}: {error}"
    return one_line(text.strip().rstrip(":.").partition("\n")[0])[:_LONGEST_REASON]


def unfinishable(plan: Plan, failures: Iterable[Failure]) -> frozenset[str]:
    """The ids of the files that failures keep from being finished."""
    failed = {failure.piece for failure in failures}
    if "matte" in failed:
        return frozenset(d.id for d in plan.deliverables)
    return frozenset(d.id for d in plan.deliverables if piece_name(d) in failed)


def refuse_failures(
    plan: Plan, failures: Sequence[Failure], finished: Collection[str], began: float
) -> None:
    """End a run, begun at that time, that had to leave something out.

    `finished` are the ids of the files that are there nevertheless.

    Raises:
        ChunkError: it had.
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
        f"{f', so {names} can not be finished' if names else ''}: {in_words(plan, failures)}. All "
        f"else is kept: {RETRY}, else the same command, tries only what failed"
    )


def in_words(plan: Plan, failures: Iterable[Failure]) -> str:
    """Which pieces failed, where in the video, and why; at most a few of them."""
    told = [
        f"{failure.where} ({_span(plan, failure)}), after {failure.tries} tries: {failure.error}"
        for failure in failures
    ]
    more = len(told) - _MOST_NAMED
    return "; ".join(told[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _span(plan: Plan, failure: Failure) -> str:
    first, last = failure.frames
    began, ended = seconds_of(plan, failure)
    return f"frames {first} to {last - 1}, {began:.3f} s to {ended:.3f} s of the video"


def seconds_of(plan: Plan, failure: Failure) -> tuple[float, float]:
    """Where in the source a failed chunk begins and ends."""
    line = plan.timeline.slice(*failure.frames)
    return line.seconds(0), float(line.end_pts * line.time_base)


@contextmanager
def report_unexpected_errors(run_log: Path) -> Generator[None]:
    """Turns any error that isn't ours into one that is; `run_log` is where its traceback goes.

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
