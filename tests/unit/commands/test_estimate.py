"""What samples cost, carried over to the whole: numbers that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vrmatte.commands.estimate import SampleCost, WholeRun, estimate

# 10 s to start, 0.5 s a frame, 2 s a chunk, 0.1 s a frame to finish.
SAMPLE = SampleCost(
    frames=40,
    chunks=2,
    seconds=10 + 0.5 * 40 + 2 * 2 + 0.1 * 40,
    frame_seconds=0.5 * 39,
    chunk_seconds=2 * 2,
    finish_seconds=0.1 * 40,
    file_bytes={"alpha-packed": 4000, "greenscreen": 2000},
    store_bytes=8000,
    chunk_bytes=600,
)
WHOLE = WholeRun(frames=4000, chunks=50, scan_seconds=3, scout_seconds=120)


def test_frames_chunks_and_fixed_cost_each_grow_their_own_way():
    found = estimate([SAMPLE, SAMPLE], WHOLE)
    assert found.parts == pytest.approx(
        {
            "reading frame times": 3,
            "detecting people": 120,
            "starting": 10,
            "matting and encoding": 0.5 * 4000,
            "opening and closing chunks": 2 * 50,
            "joining and verifying": 0.1 * 4000,
        }
    )
    assert found.seconds == pytest.approx(3 + 120 + 10 + 2000 + 100 + 400)
    assert found.frames_per_second == pytest.approx(4000 / found.seconds)


def test_files_grow_with_frames_and_what_lies_with_chunks_with_chunks():
    found = estimate([SAMPLE, SAMPLE], WHOLE)
    assert found.frames == 4000
    assert found.file_bytes == {"alpha-packed": 400_000, "greenscreen": 200_000}
    assert found.store_bytes == 800_000 + 600 // 2 * 50
    assert found.kept_bytes == found.store_bytes + 600_000


def test_at_the_most_the_largest_file_lies_there_twice():
    found = estimate([SAMPLE], WHOLE)
    assert found.peak_bytes == found.kept_bytes + 400_000


def test_samples_of_other_content_weigh_by_their_frames():
    rich = replace(SAMPLE, frames=120, file_bytes={"alpha-packed": 36_000})
    found = estimate([SAMPLE, rich], WHOLE)
    assert found.file_bytes["alpha-packed"] == 4000 * 40_000 // 160


def test_one_slow_start_isnt_taken_for_the_rule():
    slow = replace(SAMPLE, seconds=SAMPLE.seconds + 300)
    assert estimate([SAMPLE, slow, SAMPLE], WHOLE).parts["starting"] == pytest.approx(10)


def test_nothing_to_estimate_from_is_refused():
    with pytest.raises(ValueError, match="no samples"):
        estimate([], WHOLE)
