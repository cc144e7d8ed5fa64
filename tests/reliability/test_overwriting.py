"""Nothing that a job has not written itself is overwritten, and no name leads a job astray."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.media.media_fixtures import write_clip
from vrmatte.commands.render import render_output
from vrmatte.commands.run import matte_video
from vrmatte.errors import ConfigError, InputError, OutputError
from vrmatte.jobs.job_folder import job_name
from vrmatte.report.report import RunReport

FRAMES = 8
GREEN = "clip_LR_180_greenscreen.mp4"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES)
    return path


def run(video: Path, out: Path, *trees, deliver=("greenscreen",), report="json") -> RunReport:
    output = {"output": {"deliver": deliver, "report": report, "encoder": "software"}}
    return matte_video(video, out, brightness_config(MATTES_ALONE, output, *trees))


ALLOWED = {"output": {"overwrite": True}}


def digests(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def assert_refused(video: Path, out: Path, said: str, *trees, **how) -> None:
    """Refused before any work, and nothing changed."""
    before = digests(out)
    with pytest.raises(OutputError, match=said) as refused:
        run(video, out, *trees, **how)
    assert "--overwrite" in str(refused.value)
    assert digests(out) == before
    assert not list(out.glob(".vrmatte/*/chunks/*/matte.mkv"))


@pytest.mark.parametrize(
    "name", [GREEN, f"{GREEN}.part", "clip_LR_180_report.json", "clip_LR_180_report.html"]
)
def test_a_file_of_the_user_is_refused(source, tmp_path, name):
    (tmp_path / name).write_text("mine")
    assert_refused(source, tmp_path, "was not written by this job", report="html")
    run(source, tmp_path, ALLOWED, report="html")
    assert not (tmp_path / name).exists() or (tmp_path / name).read_bytes()[:4] != b"mine"


def test_a_folder_of_the_user_is_refused(source, tmp_path):
    (tmp_path / "clip_LR_180_png").mkdir()
    (tmp_path / "clip_LR_180_png" / "clip_LR_180_000000.png").write_text("mine")
    assert_refused(source, tmp_path, "was not written by this job", deliver=("png",))


def test_another_video_of_the_same_stripped_name_is_refused(source, tmp_path):
    out, other = tmp_path / "out", tmp_path / "clip_180_LR.mp4"
    run(source, out)
    write_clip(other, frames=FRAMES + 1)
    before = (out / GREEN).read_bytes()
    with pytest.raises(OutputError, match="was not written by this job"):
        run(other, out)
    assert (out / GREEN).read_bytes() == before


def test_the_same_job_replaces_its_own_files(source, tmp_path):
    run(source, tmp_path)
    before = (tmp_path / GREEN).read_bytes()
    run(source, tmp_path, {"output": {"background_color": [0, 0, 255]}})
    assert (tmp_path / GREEN).read_bytes() != before
    os.utime(tmp_path / GREEN)  # touched or copied, and not changed
    run(source, tmp_path)
    assert (tmp_path / GREEN).read_bytes() == before
    render_output(tmp_path, lambda config: config)


def test_a_file_edited_since_is_refused(source, tmp_path):
    run(source, tmp_path)
    with (tmp_path / GREEN).open("ab") as file:
        file.write(b"edited")
    edited = (tmp_path / GREEN).read_bytes()
    with pytest.raises(OutputError, match="was changed after vrmatte wrote it"):
        run(source, tmp_path)
    assert (tmp_path / GREEN).read_bytes() == edited
    run(source, tmp_path, ALLOWED)
    assert (tmp_path / GREEN).read_bytes() == edited.removesuffix(b"edited")


def test_an_edited_image_of_a_sequence_is_refused(source, tmp_path):
    run(source, tmp_path, deliver=("png",))
    image = sorted((tmp_path / "clip_LR_180_png").glob("*.png"))[3]
    data = bytearray(image.read_bytes())
    image.unlink()  # it may share its content with the chunk's file
    data[-20] ^= 1
    image.write_bytes(data)
    with pytest.raises(OutputError, match="was changed after vrmatte wrote it"):
        run(source, tmp_path, deliver=("png",))
    assert image.read_bytes() == data


def test_an_edited_report_is_refused(source, tmp_path):
    run(source, tmp_path)
    report = tmp_path / "clip_LR_180_report.json"
    report.write_text(report.read_text() + "\n# a note")
    with pytest.raises(OutputError, match="was changed after"):
        run(source, tmp_path)


def test_another_time_range_is_refused(source, tmp_path):
    run(source, tmp_path, {"input": {"end": 0.1}})
    before = (tmp_path / GREEN).read_bytes()
    said = "shows 0 s to 0.1 s, this run is to show the whole video"
    with pytest.raises(OutputError, match=said):
        run(source, tmp_path)
    assert (tmp_path / GREEN).read_bytes() == before
    run(source, tmp_path, ALLOWED)
    assert (tmp_path / GREEN).read_bytes() != before


STEMS = [
    "..",
    ".",
    "a.lock",
    "a.owner",
    "set-aside",
    "SET-ASIDE",
    "nul",
    "CON.old",
    "end.",
    "x" * 230,
]


@pytest.mark.parametrize("stem", STEMS)
def test_stems_that_are_no_folder_of_their_own_get_another_one(stem):
    name = job_name(stem)
    assert name.startswith("video-")
    assert job_name(name) == name
    assert job_name("clip_LR_180") == "clip_LR_180"


def test_a_video_called_dots_deletes_nothing_and_is_processed(source, tmp_path):
    video = tmp_path / "...mp4"
    shutil.copy(source, video)
    out = tmp_path / "out"
    out.mkdir()
    (out / "download.part").write_text("mine")
    run(video, out, {"input": {"layout": "side_by_side", "projection": "half_equirect"}})
    assert (out / "download.part").read_text() == "mine"
    assert [path.name[:6] for path in (out / ".vrmatte").iterdir() if path.is_dir()] == ["video-"]
    assert list(out.glob("*greenscreen.mp4"))


LONGEST = 255 - len("_LR_180_greenscreen.mp4.part")


def test_names_as_long_as_file_systems_allow(source, tmp_path):
    video = tmp_path / f"{'é' * (LONGEST // 2)}_LR_180.mp4"
    shutil.copy(source, video)
    run(video, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*_greenscreen.mp4"))) == 1


@pytest.mark.parametrize("deliver", ["greenscreen", "alpha-packed", "png"])
def test_longer_names_are_refused_before_any_work(source, tmp_path, deliver):
    video = tmp_path / f"{'x' * 240}_LR_180.mp4"
    shutil.copy(source, video)
    with pytest.raises(ConfigError, match=r"its name is too long: .*Shorten the video's name"):
        run(video, tmp_path / "out", deliver=(deliver,))
    assert not list((tmp_path / "out").rglob("matte.mkv"))


@pytest.mark.parametrize("character", ["\n", "\x07", "\u202e", "\u200f", "\udc80"])
def test_unprintable_names_are_refused_before_any_work(source, tmp_path, character):
    video = tmp_path / f"cl{character}ip_LR_180.mp4"
    try:
        shutil.copy(source, video)
    except (OSError, ValueError):
        pytest.skip("this file system refuses such names")
    with pytest.raises(InputError, match="Rename the video") as refused:
        run(video, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    str(refused.value).encode("ascii", "backslashreplace")


def test_names_of_all_scripts_and_emoji_are_accepted(source, tmp_path):
    video = tmp_path / "夏の\u3000ダンス 👩\u200d🎤_LR_180.mp4"
    shutil.copy(source, video)
    assert run(video, tmp_path / "out").files


def test_a_file_that_lost_its_end_is_written_again(source, tmp_path):
    """As after a power cut."""
    run(source, tmp_path)
    whole = (tmp_path / GREEN).read_bytes()
    (tmp_path / GREEN).write_bytes(whole[:1000])
    run(source, tmp_path)
    assert (tmp_path / GREEN).read_bytes() == whole
    assert len(list(tmp_path.glob("*.mp4"))) == 1


def test_a_file_that_was_shortened_by_hand_is_renamed(source, tmp_path):
    run(source, tmp_path)
    short = tmp_path / "short.mp4"
    write_clip(short, frames=2, size=(64, 32))
    whole, edited = (tmp_path / GREEN).read_bytes(), short.read_bytes()
    assert len(edited) < len(whole)
    os.replace(short, tmp_path / GREEN)
    run(source, tmp_path)
    assert (tmp_path / GREEN).read_bytes() == whole
    assert (tmp_path / "clip_LR_180_greenscreen.shortened-1.mp4").read_bytes() == edited


def test_a_sequence_that_lost_an_image_is_written_again(source, tmp_path):
    run(source, tmp_path, deliver=("png",))
    images = sorted((tmp_path / "clip_LR_180_png").glob("*.png"))
    images[2].unlink()
    run(source, tmp_path, deliver=("png",))
    assert sorted((tmp_path / "clip_LR_180_png").glob("*.png")) == images


def test_settings_of_a_render_apply_to_it_alone(source, tmp_path):
    run(source, tmp_path, deliver=("matte-lossless",))
    changed = {"deliver": ("greenscreen",), "maintain_sbs": False}
    render_output(
        tmp_path, lambda c: c.model_copy(update={"output": c.output.model_copy(update=changed)})
    )
    assert len(list(tmp_path.glob("*greenscreen*.mp4"))) == 2
    seen = []
    render_output(tmp_path, lambda config: seen.append(config) or config)
    assert seen[0].output.maintain_sbs
    assert seen[0].output.deliver == ("matte-lossless",)
