from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from support.brightness import brightness_config
from support.faults import around
from support.media.media_fixtures import write_clip
from support.run_logs import begun_chunks
from vrmatte.commands.run import matte_video
from vrmatte.jobs import memory
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
    decoded: list[object] = []
    around(monkeypatch, "vrmatte.pipeline.read_frames", lambda *_: decoded.append(None))
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
    begun = begun_chunks(tmp_path / "apart")
    made = [(line["matte"], line["files"]) for line in begun]
    assert made == [(True, ["greenscreen"]), (False, ["alpha-packed"]), (False, ["matte"])] * 3
    assert len(decoded) == 6
    assert done == list(range(1, 21))
    assert digests(tmp_path / "apart") == digests(tmp_path / "together")
