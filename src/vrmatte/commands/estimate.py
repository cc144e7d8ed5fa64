"""What a whole run will take, from what samples of it took: time, files, room on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class SampleCost:
    """What one sample took."""

    frames: int
    chunks: int
    seconds: float
    """From beginning to end, what it shares with the whole run (reading times, people) left out."""
    frame_seconds: float
    """Between the first matte and the last."""
    chunk_seconds: float
    """Opening and closing files and saving state, all chunks together."""
    finish_seconds: float
    """Joining and verifying."""
    file_bytes: Mapping[str, int]
    """Finished files by deliverable."""
    store_bytes: int
    """The matte store, which is kept."""
    chunk_bytes: int
    """What else is kept with the chunks: state, findings."""


@dataclass(frozen=True, slots=True)
class WholeRun:
    """What is known of the whole without any sample."""

    frames: int
    chunks: int
    scan_seconds: float
    """Reading all frame times, as measured."""
    scout_seconds: float
    """Looking for people in all of it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a whole run will take."""

    frames: int
    seconds: float
    """Wall time."""
    parts: Mapping[str, float]
    """The same by part, in seconds."""
    file_bytes: Mapping[str, int]
    """Finished files by deliverable."""
    store_bytes: int
    """Matte store and what is kept beside it."""
    kept_bytes: int
    """On disk in the end."""
    peak_bytes: int
    """On disk just before the end: chunks wait for all of a file to be joined from them."""

    @property
    def frames_per_second(self) -> float:
        """Speed over all."""
        return self.frames / self.seconds if self.seconds else 0.0


def estimate(samples: Sequence[SampleCost], whole: WholeRun) -> Estimate:
    """Fixed cost once, chunk cost by chunks, the rest by frames.

    Raises:
        ValueError: no sample.
    """
    if not samples:
        raise ValueError("nothing to estimate from")
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
        "reading times": whole.scan_seconds,
        "looking for people": whole.scout_seconds,
        "starting": fixed,
        "matting and encoding": of_frame * whole.frames,
        "opening and closing chunks": of_chunk * whole.chunks,
        "joining and verifying": of_finish * whole.frames,
    }
    share = whole.frames / frames
    names = list(dict.fromkeys(name for sample in samples for name in sample.file_bytes))
    files = {n: round(share * sum(s.file_bytes.get(n, 0) for s in samples)) for n in names}
    mattes = share * sum(s.store_bytes for s in samples)
    beside = whole.chunks / chunks * sum(s.chunk_bytes for s in samples)
    store = round(mattes + beside)
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
