"""The source stays the same file to the end: no output mixes two videos."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.media.media_fixtures import write_clip
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import InputError, OutputError
from vrmatte.progress import Advanced, Event, Notice, Started
from vrmatte.report.report import RunReport

FRAMES, CHUNK = 16, 4


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, audio=["aac"])
    return path


@pytest.fixture
def other(tmp_path) -> Path:
    """Another video of the same size in pixels and frames."""
    path = tmp_path / "other.mp4"
    write_clip(path, frames=FRAMES, audio=["aac"], options={"crf": "30"})
    return path


def noise(index, size, pix_fmt, pts, time_base):
    """A frame that no encoder makes small."""
    samples = np.random.default_rng(index).integers(16, 236, (size[1] * 3 // 2, size[0]), np.uint8)
    frame = av.VideoFrame.from_ndarray(samples, format=pix_fmt)
    frame.pts, frame.time_base = pts, time_base
    return frame


def run(video: Path, out: Path, observer=lambda _: None, **how) -> RunReport:
    settings = {
        "output": {"deliver": ["greenscreen"], "report": "json", "encoder": "software"},
        "processing": {"chunk_size": CHUNK},
    }
    config = brightness_config(MATTES_ALONE, settings)
    return matte_video(video, out, config, observer=observer, **how)


def at_frame(number: int, do):
    """Observer that acts once when so many frames were matted."""
    acted: list[Event] = []

    def observe(event: Event) -> None:
        is_due = isinstance(event, Advanced) and event.stage == "matte" and event.done == number
        if is_due and not acted:
            acted.append(event)
            do()

    return observe


def at_stage(name: str, do):
    """Observer that acts when a stage begins."""

    def observe(event: Event) -> None:
        if isinstance(event, Started) and event.stage == name:
            do()

    return observe


def finished(out: Path) -> list[Path]:
    return list(out.glob("*.mp4"))


@pytest.mark.parametrize("stage", ["in a chunk", "join", "verify"])
def test_a_source_replaced_in_mid_run_is_noticed(video, other, tmp_path, stage):
    original, out = video.read_bytes(), tmp_path / "out"

    def swap() -> None:
        os.replace(shutil.copy(other, tmp_path / "copy.mp4"), video)

    observer = at_frame(CHUNK + 2, swap) if stage == "in a chunk" else at_stage(stage, swap)
    with pytest.raises(InputError, match="was replaced or changed during the run") as refused:
        run(video, out, observer)
    assert refused.value.exit_code == 3
    assert not finished(out)
    # With the first video in place again the run continues to the same bytes as a clean one.
    video.write_bytes(original)
    run(video, out)
    clean = tmp_path / "clean"
    run(video, clean)
    assert [p.read_bytes() for p in finished(out)] == [p.read_bytes() for p in finished(clean)]
    assert all(check.problem is None for check in verify_output(out))


def test_a_source_that_disappears_is_named(video, tmp_path):
    with pytest.raises(InputError, match=r"clip_LR_180\.mp4"):
        run(video, tmp_path / "out", at_frame(CHUNK + 1, video.unlink))
    assert not finished(tmp_path / "out")


def test_a_source_that_is_only_touched_or_moved_back_is_the_same(video, tmp_path):
    def touch() -> None:
        copy = shutil.copy(video, tmp_path / "copy.mp4")
        os.replace(copy, video)
        os.utime(video)

    run(video, tmp_path / "out", at_frame(CHUNK + 2, touch))
    assert len(finished(tmp_path / "out")) == 1


def test_content_that_the_fingerprint_misses_is_processed_again(tmp_path):
    """Between the samples of head, middle and tail; as when a damaged copy is copied again."""
    video, out = tmp_path / "clip_LR_180.mp4", tmp_path / "out"
    write_clip(video, size=(1024, 512), frames=12, gop=4, options={"crf": "1"}, draw=noise)
    data = bytearray(video.read_bytes())
    assert len(data) > 5 << 20, "larger than the samples together"
    good = bytes(data)
    at = (1 << 20) + (1 << 19)
    data[at : at + 64] = bytes(64)
    video.write_bytes(data)

    notices: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    settings = {
        "output": {"deliver": ["matte-lossless"], "report": "json", "encoder": "software"},
        "input": {"on_damage": "hold"},
        "processing": {"chunk_size": CHUNK},
    }
    config = brightness_config(MATTES_ALONE, settings)
    matte_video(video, out, config, observer=note)
    assert any("damaged" in text for text in notices)
    held = [path.read_bytes() for path in out.glob("*.mkv")]
    video.write_bytes(good)
    notices.clear()
    matte_video(video, out, config, observer=note)
    assert any("its content differs" in text for text in notices)
    assert not any("damaged" in text for text in notices)
    assert [path.read_bytes() for path in out.glob("*.mkv")] != held


def test_fresh_after_replacing_the_video_works(video, other, tmp_path):
    out = tmp_path / "out"
    run(video, out)
    before = finished(out)[0].read_bytes()
    shutil.copy(other, video)
    with pytest.raises(OutputError, match="another video"):
        run(video, out)
    run(video, out, fresh=True)
    assert finished(out)[0].read_bytes() != before
