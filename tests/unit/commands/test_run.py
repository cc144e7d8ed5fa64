from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from support.brightness import brightness_config
from support.media_fixtures import write_clip
from vrmatte import pipeline
from vrmatte.commands.run import matte_video
from vrmatte.jobs import chunks, memory
from vrmatte.media.decode import read_frames
from vrmatte.pipeline import process_chunk
from vrmatte.progress import Advanced

CONFIG = brightness_config(
    {
        "output": {
            "deliver": ["matte-lossless", "greenscreen", "alpha-packed", "matte"],
            "encoder": "software",
        },
        "processing": {"chunk_size": 8},
    }
)


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=20)
    return path


def digests(folder: Path) -> dict[str, str]:
    files = [*folder.glob("*.mp4"), *folder.glob("*.mkv")]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_large_pictures_have_one_encoder_at_a_time_and_the_same_files(tmp_path, clip, monkeypatch):
    matte_video(clip, tmp_path / "together", CONFIG)
    made: list[tuple[bool, list[str]]] = []
    decoded: list[range] = []

    def watched(plan, job, *rest):
        made.append((job.make_matte, [d.id for d in job.deliverables]))
        return process_chunk(plan, job, *rest)

    def watched_frames(source, timeline, first, last):
        decoded.append(range(first, last))
        return read_frames(source, timeline, first, last)

    monkeypatch.setattr(chunks, "process_chunk", watched)
    monkeypatch.setattr(pipeline, "read_frames", watched_frames)
    monkeypatch.setattr(memory, "_WIDEST_TOGETHER_PX", 255)
    done: list[int] = []
    matte_video(
        clip,
        tmp_path / "apart",
        CONFIG,
        observer=lambda e: (
            done.append(e.done) if isinstance(e, Advanced) and e.stage == "matte" else None
        ),
    )
    # One file beside the mattes; for mattes alone the source isn't decoded again.
    assert made == [(True, ["greenscreen"]), (False, ["alpha-packed"]), (False, ["matte"])] * 3
    assert len(decoded) == 6
    assert done == list(range(1, 21))
    assert digests(tmp_path / "apart") == digests(tmp_path / "together")
