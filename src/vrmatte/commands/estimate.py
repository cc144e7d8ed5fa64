"""Estimates of time, file sizes and disk space of a whole run, extrapolated from samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class SampleCost:
    """Measured cost of one sample."""

    frames: int
    chunks: int
    seconds: float
    """Wall time, without what a run does once (reading frame times, detecting people)."""
    frame_seconds: float
    """From the first matte to the last."""
    chunk_seconds: float
    """Opening and closing files and saving state, sum of all chunks."""
    finish_seconds: float
    """Joining and verifying."""
    file_bytes: Mapping[str, int]
    """Finished files by deliverable."""
    store_bytes: int
    """Size of the matte store, which is kept."""
    chunk_bytes: int
    """Size of other files kept with the chunks: state, findings."""


@dataclass(frozen=True, slots=True)
class WholeRun:
    """Facts about the whole run that need no sample."""

    frames: int
    chunks: int
    scan_seconds: float
    """Measured time to read all frame times."""
    scout_seconds: float
    """Time to detect people in the whole video."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a whole run."""

    frames: int
    seconds: float
    """Wall time."""
    parts: Mapping[str, float]
    """Wall time by part of the run, in seconds."""
    file_bytes: Mapping[str, int]
    """Finished files by deliverable."""
    store_bytes: int
    """Matte store, with the other files kept with it."""
    kept_bytes: int
    """On disk after the run."""
    peak_bytes: int
    """On disk just before the end: a file and the chunks it is joined from exist together."""

    @property
    def frames_per_second(self) -> float:
        """Overall speed."""
        return self.frames / self.seconds if self.seconds else 0.0


def estimate(samples: Sequence[SampleCost], whole: WholeRun) -> Estimate:
    """Extrapolate samples: fixed cost once, cost of chunks by chunks, the rest by frames.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("no samples to estimate from")
    frames = sum(sample.frames for sample in samples)
    chunks = sum(sample.chunks for sample in samples)
    of_frame = sum(s.frame_seconds for s in samples) / max(1, sum(s.frames - 1 for s in samples))
    of_finish = sum(s.finish_seconds for s in samples) / frames
    of_chunk = sum(s.chunk_seconds for s in samples) / chunks
    fixed = median(
        max(
            0.0,
            s.seconds - s.chunk_seconds - s.finish_seconds - of_frame * s.frames,
        )
        for s in samples
    )
    parts = {
        "reading frame times": whole.scan_seconds,
        "detecting people": whole.scout_seconds,
        "starting": fixed,
        "matting and encoding": of_frame * whole.frames,
        "opening and closing chunks": of_chunk * whole.chunks,
        "joining and verifying": of_finish * whole.frames,
    }
    share = whole.frames / frames
    names = list(dict.fromkeys(name for sample in samples for name in sample.file_bytes))
    files = {n: round(share * sum(s.file_bytes.get(n, 0) for s in samples)) for n in names}
    mattes = share * sum(s.store_bytes for s in samples)
    others = whole.chunks / chunks * sum(s.chunk_bytes for s in samples)
    store = round(mattes + others)
    kept = store + sum(files.values())
    return Estimate(
        frames=whole.frames,
        seconds=round(sum(parts.values()), 3),
        parts={name: round(seconds, 3) for name, seconds in parts.items()},
        file_bytes=files,
        store_bytes=store,
        kept_bytes=kept,
        peak_bytes=kept + max(files.values(), default=0),
    )
