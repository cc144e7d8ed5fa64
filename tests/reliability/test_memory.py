"""Memory is set by the picture, not by the length of the video."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from support.brightness import BRIGHTNESS_OPTIONS
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip

FRAMES = 3000
LARGEST_SLOPE_MB = 2.0
"""Per 1000 frames: a leaked frame each would be 50 MB, a leaked row of the manifest 0.1."""
SETTLED = 0.3
"""Share of the run after which every buffer has been filled once."""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tmp_path: Path):
    source = tmp_path / "clip_LR_180.mp4"
    write_clip(source, frames=FRAMES, audio=("aac",))
    arguments = ["run", str(source), "--out", str(tmp_path / "out")]
    arguments += ["--deliver", "matte-lossless,greenscreen,alpha-packed"]
    job = JobProcess(
        [*arguments, *BRIGHTNESS_OPTIONS, "--set", "processing.chunk_size=100"], tmp_path / "log"
    )
    chunks = tmp_path / "out" / ".vrmatte" / "clip_LR_180" / "chunks"
    process = psutil.Process(job.pid)
    frames: list[int] = []
    resident_mb: list[float] = []
    while job.alive and not (chunks / f"{FRAMES // 100 - 1:06d}" / "state.npz").exists():
        time.sleep(0.02)
        if chunks.exists():
            frames.append(100 * sum(1 for _ in chunks.glob("*/state.npz")))
            resident_mb.append(process.memory_info().rss / 1e6)
    assert job.wait() == 0, job.errors
    peaks = peak_by_chunk(frames, resident_mb)
    kept = [(at, mb) for at, mb in peaks if at >= SETTLED * FRAMES]
    slope, _ = np.polyfit([at for at, _ in kept], [mb for _, mb in kept], 1)
    assert slope * 1000 <= LARGEST_SLOPE_MB, peaks


def peak_by_chunk(frames: list[int], resident_mb: list[float]) -> list[tuple[int, float]]:
    """The most memory seen while each chunk was made."""
    peaks: dict[int, float] = {}
    for at, mb in zip(frames, resident_mb, strict=True):
        peaks[at] = max(mb, peaks.get(at, 0.0))
    return sorted(peaks.items())
