"""The scripts that install vrmatte and take dropped videos; they import nothing of vrmatte."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.paths import REPOSITORY


def script(name: str) -> ModuleType:
    path = REPOSITORY / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ALL_EXTRAS = ("cpu", "cuda", "cuda12", "sam2")


@pytest.mark.parametrize(
    ("rows", "extras", "expected"),
    [
        ("", ALL_EXTRAS, "cpu"),
        ("NVIDIA-SMI has failed because it couldn't communicate", ALL_EXTRAS, "cpu"),
        ("581.29, 8.9\n", ALL_EXTRAS, "cuda"),
        ("580.65.06, 7.5\n", ALL_EXTRAS, "cuda"),
        ("581.29, 6.1\n", ALL_EXTRAS, "cuda12"),
        ("572.16, 8.9\n", ALL_EXTRAS, "cuda12"),
        ("572.16, 8.9\n", ("cpu", "cuda"), "cpu"),
        ("552.44, 8.9\n", ALL_EXTRAS, "cpu"),
        ("581.29, 5.2\n", ALL_EXTRAS, "cpu"),
        ("581.29, 6.1\n581.29, 12.0\n", ALL_EXTRAS, "cuda"),
    ],
)
def test_the_extra_follows_card_and_driver(rows: str, extras: tuple[str, ...], expected: str):
    assert script("choose_extra").choose_extra(rows, extras) == expected


def test_an_environment_variable_overrides_the_choice():
    command = [sys.executable, str(REPOSITORY / "scripts" / "choose_extra.py")]
    done = subprocess.run(command, env={"VRMATTE_EXTRA": "openvino"}, capture_output=True)
    assert done.stdout.split() == [b"openvino"]


BATCH = r'C:\Windows\system32\cmd.exe /c ""C:\vr matte\windows\matte.bat" '


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (BATCH + r'C:\a&b.mp4"', [r"C:\a&b.mp4"]),
        (BATCH + r'"C:\c d.mp4" C:\a^b%1!.mp4"', [r"C:\c d.mp4", r"C:\a^b%1!.mp4"]),
        (BATCH + '"C:\\夏 & Übung""', ["C:\\夏 & Übung"]),
        (r'cmd.exe /c "C:\vrmatte\windows\matte.bat C:\x.mp4"', [r"C:\x.mp4"]),
        (r'"C:\Windows\system32\cmd.exe" ', ["argument"]),
        (None, ["argument"]),
    ],
)
def test_dropped_names_are_taken_whole(line: str | None, expected: list[str]):
    paths = script("matte_dropped").dropped_paths(["argument"], line)
    assert [str(path) for path in paths] == expected


def test_dropped_folders_give_their_videos(tmp_path: Path):
    for name in ("b.mp4", "a.MKV", "a_greenscreen.mp4", "notes.txt", "a_FISHEYE190_alpha.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "a_matte").mkdir()
    single = tmp_path / "notes.txt"
    videos = list(script("matte_dropped").videos_in([tmp_path, single]))
    assert videos == [tmp_path / "a.MKV", tmp_path / "b.mp4", single]


def test_a_failure_keeps_no_other_video_waiting(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    videos = [tmp_path / name for name in ("bad.mp4", "good.mp4")]
    program = tmp_path / "vrmatte.py"
    program.write_text(
        "import pathlib, sys\n"
        "run, video, out, folder = sys.argv[1:]\n"
        "if 'bad' in video: sys.exit(3)\n"
        "pathlib.Path(folder).mkdir()\n"
    )
    code = script("matte_dropped").main(videos, [sys.executable, str(program)])
    assert code == 3
    assert (tmp_path / "good_matte").is_dir()
    assert "1 of 2 videos are done" in capsys.readouterr().out


def test_a_stop_ends_the_list(tmp_path: Path):
    program = tmp_path / "vrmatte.py"
    program.write_text("import pathlib, sys\npathlib.Path(sys.argv[4]).mkdir()\nsys.exit(130)\n")
    videos = [tmp_path / name for name in ("first.mp4", "second.mp4")]
    assert script("matte_dropped").main(videos, [sys.executable, str(program)]) == 130
    assert not (tmp_path / "second_matte").exists()


def test_installers_pin_the_same_uv():
    batch = (REPOSITORY / "install.bat").read_text()
    shell = (REPOSITORY / "install.sh").read_text()
    version = batch.split("UV_VERSION=")[1].split('"')[0]
    assert f"version={version}\n" in shell
    assert shell.count("sha256=") == 4
    assert f"uv-{version}-py3-none-win_amd64.whl" in batch
