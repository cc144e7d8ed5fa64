"""What can't be done is said in one line that helps, with its exit code, and costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.brightness import QUICK_OPTIONS
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip, write_cut_copy, write_faststart_clip

pytestmark = pytest.mark.faults


def run(tmp_path: Path, *arguments: object) -> tuple[int | None, str]:
    """Exit code and the one line on standard error of a run that must fail and leave nothing."""
    out = tmp_path / "out"
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    words = [str(argument) for argument in arguments]
    job = JobProcess(
        ["run", *words, *QUICK_OPTIONS, "--out", str(out)], tmp_path.with_suffix(".log")
    )
    code = job.wait()
    assert job.output == ""
    lines = job.errors.splitlines()
    assert len(lines) == 1, job.errors
    assert lines[0].startswith("vrmatte: ")
    assert not [p for p in out.rglob("*") if p.suffix in (".mp4", ".mkv", ".json", ".part")]
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())
    return code, lines[0]


def missing(path: Path) -> None:
    """Nothing is there."""


def empty(path: Path) -> None:
    path.touch()


def directory(path: Path) -> None:
    path.mkdir()


def without_index(path: Path) -> None:
    whole = path.with_name("whole.mp4")
    write_clip(whole)
    write_cut_copy(whole, path, 0.6)


def cut_after_index(path: Path) -> None:
    whole = path.with_name("whole.mp4")
    write_faststart_clip(whole, frames=60, audio=("aac",))
    write_cut_copy(whole, path, 0.6)


def cut_matroska(path: Path) -> None:
    whole = path.with_name("whole.mkv")
    write_clip(whole, frames=60, audio=("libopus",))
    write_cut_copy(whole, path, 0.6)


def text(path: Path) -> None:
    path.write_text("no video at all\n" * 100)


def playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")


def sound_only(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def odd(path: Path) -> None:
    write_clip(path, size=(258, 129), pix_fmt="yuv444p", frames=4)


def not_twice_as_wide(path: Path) -> None:
    write_clip(path, size=(256, 96), frames=4)


def turned(path: Path) -> None:
    write_clip(path, rotation_deg=90, frames=4)


INPUTS: list[tuple[Callable[[Path], None], str, str]] = [
    (missing, "clip_LR_180.mp4", "no such file"),
    (empty, "clip_LR_180.mp4", "is empty"),
    (directory, "clip_LR_180.mp4", "is a directory"),
    (without_index, "clip_LR_180.mp4", "cut off before its index"),
    (cut_after_index, "clip_LR_180.mp4", "is cut off"),
    (cut_matroska, "clip_LR_180.mkv", "is cut off"),
    (text, "clip_LR_180.mp4", "not a video"),
    (playlist, "clip_LR_180.mp4", "clip_LR_180.mp4: "),
    (sound_only, "clip_LR_180.mp4", "has no video stream"),
    (odd, "clip_LR_180.mp4", "height must be even"),
    (not_twice_as_wide, "clip_LR_180.mp4", "twice as wide as high"),
    (turned, "clip_LR_180.mp4", "rotation flag of"),
    (lambda path: write_clip(path, size=(128, 256), frames=4), "clip_TB_180.mp4", "top bottom"),
    (lambda path: write_clip(path, frames=4), "clip_LR_360.mp4", "equirect projection"),
]


@pytest.mark.parametrize(("write", "name", "said"), INPUTS)
def test_an_input_that_cant_be_used(tmp_path, write, name, said):
    write(tmp_path / name)
    code, line = run(tmp_path, tmp_path / name)
    assert code == 3
    assert said in line
    assert str(tmp_path / name) in line


SETTINGS = [
    (["--engine", "magic"], "'--engine': 'magic' is not one of"),
    (["--deliver", "matte,hologram"], "hologram"),
    (["--set", "processing.chunk_sice=3"], "did you mean processing.chunk_size"),
    (["--set", "processing.chunk_size=many"], "processing.chunk_size can't be"),
    (["--set", "nothing"], "write key=value"),
    (["--deliver", ""], "output.deliver can't be []"),
    (["--preset", "fastest"], "'--preset': 'fastest' is not one of"),
    (["--start", "soon"], "'--start': 'soon' is not a time"),
    (["--sample", "soon"], "'--sample': 'soon' is not a time"),
    (["--start", "2", "--end", "1"], "must come after start"),
    (["--start", "99"], "select no frames"),
    (["--config", "no-such.yaml"], "no-such.yaml"),
    (
        ["--set", "output.preset=sideways"],
        "output.preset can't be 'sideways': libx264 accepts ultrafast",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), SETTINGS)
def test_a_setting_that_cant_be_used(tmp_path, arguments, said):
    write_clip(tmp_path / "clip_LR_180.mp4", frames=20)
    code, line = run(tmp_path, tmp_path / "clip_LR_180.mp4", *arguments)
    assert code == 2
    assert said in line


@pytest.mark.parametrize("content", [b"processing: [", b"\xff\xfe\x00", b"- a\n- b\n"])
def test_a_configuration_that_cant_be_read(tmp_path, content):
    write_clip(tmp_path / "clip_LR_180.mp4", frames=4)
    (tmp_path / "own.yaml").write_bytes(content)
    code, line = run(tmp_path, tmp_path / "clip_LR_180.mp4", "--config", tmp_path / "own.yaml")
    assert code == 2
    assert "own.yaml" in line


def test_nothing_given(tmp_path):
    code, line = run(tmp_path)
    assert code == 2
    assert "no source video" in line


def test_earlier_work_survives_a_bad_input(tmp_path):
    """A source cut off since the earlier run is refused, and what was made stays."""
    source, out = tmp_path / "clip_LR_180.mp4", tmp_path / "out"
    write_faststart_clip(source, frames=20)
    arguments = ["run", str(source), "--out", str(out), "--deliver", "matte-lossless"]
    arguments += QUICK_OPTIONS
    assert JobProcess(arguments, tmp_path / "log").wait() == 0
    made = {p: p.read_bytes() for p in out.rglob("*.mkv")}
    write_cut_copy(source, source, 0.6)
    job = JobProcess(arguments, tmp_path / "log")
    assert job.wait() in (3, 7)
    assert job.errors.startswith("vrmatte: ")
    assert {p: p.read_bytes() for p in out.rglob("*.mkv")} == made


@pytest.mark.parametrize("name", ["-dash", "quo'te\"s", "a%03d", "concat:a|b", "ü 東"])
def test_any_name_is_just_a_name(tmp_path, name):
    source = tmp_path / f"{name}_LR_180.mp4"
    write_clip(source, frames=6, audio=("aac",))
    arguments = ["run", "--deliver", "matte-lossless,greenscreen", "--out", str(tmp_path / "out")]
    arguments += QUICK_OPTIONS
    job = JobProcess([*arguments, "--", str(source)], tmp_path / "log")
    assert job.wait() == 0, job.errors
    assert (tmp_path / "out" / f"{name}_LR_180_greenscreen.mp4").exists()
