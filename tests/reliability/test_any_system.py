"""The command line as users start it, on Windows as on Linux and macOS: names, paths, kills."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.brightness import QUICK_OPTIONS
from support.media.media_fixtures import write_clip
from support.paths import REPOSITORY
from vrmatte.platform_support import IS_WINDOWS, STOP_SIGNALS, reachable_path

FRAMES, CHUNK_FRAMES = 24, 4
DELIVER = "alpha-packed,greenscreen,matte-lossless"
_TIMEOUT_SECONDS = 300
_BETWEEN_LOOKS_SECONDS = 0.02


PROGRAM = ("-m", "vrmatte")


def start(
    *arguments: object, program: Sequence[str] = PROGRAM, **options: object
) -> subprocess.Popen[bytes]:
    """Begin `vrmatte ARGUMENTS`; pipes have the system's code page."""
    paths = os.pathsep.join(str(REPOSITORY / folder) for folder in ("src", "tests"))
    environment = {**os.environ, "PYTHONPATH": paths}
    environment.pop("PYTHONUTF8", None)
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **options,  # type: ignore[call-overload]
    )


def vrmatte(*arguments: object) -> str:
    """Run a command that succeeds; returns what it prints."""
    output, errors = (job := start(*arguments)).communicate(timeout=_TIMEOUT_SECONDS)
    assert job.returncode == 0, errors.decode()
    return output.decode("utf-8")


def squeezed(text: str) -> str:
    """Text without spaces and the lines of tables, which wrap long names."""
    return "".join(letter for letter in text if not letter.isspace() and letter != "│")


def run_arguments(clip: Path, out: Path, deliver: str = DELIVER) -> list[str]:
    set_chunks = f"processing.chunk_size={CHUNK_FRAMES}"
    options = ["--deliver", deliver, "--set", set_chunks, *QUICK_OPTIONS]
    return ["run", str(clip), "--out", str(out), *options]


def digests(out: Path) -> dict[str, str]:
    videos = [path for path in out.iterdir() if path.suffix in (".mp4", ".mkv", ".png")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in videos}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, audio=["aac"])
    return path


def matte_of(out: Path, index: int) -> Path:
    return out / ".vrmatte" / "clip_LR_180" / "chunks" / f"{index:06d}" / "matte.mkv"


def wait_for_chunk(job: subprocess.Popen[bytes], out: Path, index: int) -> None:
    """Return once a chunk is finished and the next one is being made."""
    while job.poll() is None and not matte_of(out, index).exists():
        time.sleep(_BETWEEN_LOOKS_SECONDS)
    assert job.poll() is None, job.communicate()


def test_a_killed_run_continues_to_the_same_bytes(clip: Path, tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    job = start(*run_arguments(clip, killed))
    wait_for_chunk(job, killed, 1)
    job.kill()
    job.communicate()
    assert not (killed / "clip_FISHEYE190_alpha.mp4").exists()
    vrmatte(*run_arguments(clip, killed))
    vrmatte(*run_arguments(clip, undisturbed))
    assert digests(killed) == digests(undisturbed)
    assert len(digests(killed)) == 3


STOPPER = """
import signal, sys, threading, time
from pathlib import Path
from vrmatte.cli.main import main

def stop():
    while not Path(r"MATTE").exists():
        time.sleep(0.02)
    signal.raise_signal(NUMBER)

threading.Thread(target=stop, daemon=True).start()
main()
"""


def test_a_closed_terminal_stops_a_run_that_can_continue(clip: Path, tmp_path: Path) -> None:
    """The last stop signal is SIGHUP, or SIGBREAK on Windows; raised where it would arrive."""
    out, number = tmp_path / "out", STOP_SIGNALS[-1]
    program = STOPPER.replace("NUMBER", str(int(number))).replace("MATTE", str(matte_of(out, 0)))
    job = start(*run_arguments(clip, out), program=("-c", program))
    _, errors = job.communicate(timeout=_TIMEOUT_SECONDS)
    assert job.returncode == 128 + number, errors
    assert b"run the same command again" in errors
    assert not list(out.rglob("*.part"))
    vrmatte(*run_arguments(clip, out))


@pytest.mark.skipif(not IS_WINDOWS, reason="only Windows has console events")
def test_ctrl_break_stops_a_run(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = start(*run_arguments(clip, out), creationflags=subprocess.CREATE_NEW_PROCESS_GROUP)
    wait_for_chunk(job, out, 0)
    try:
        job.send_signal(signal.CTRL_BREAK_EVENT)
    except OSError:
        job.kill()
        pytest.skip("there is no console")
    finally:
        _, errors = job.communicate(timeout=_TIMEOUT_SECONDS)
    assert job.returncode == 149, errors


NAMES = [
    "夏のダンス Übergrößenträger",
    pytest.param("Zoë's 100% & (final)", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_scripts(clip: Path, tmp_path: Path, name: str) -> None:
    video = clip.rename(tmp_path / f"{name}_LR_180.mp4")
    out = tmp_path / f"{name} out"
    vrmatte(*run_arguments(video, out))
    assert {f"{name}_FISHEYE190_alpha.mp4", f"{name}_LR_180_matte.mkv"} <= set(digests(out))
    assert squeezed(name) in squeezed(vrmatte("verify", out))
    checked = json.loads(vrmatte("verify", out, "--json"))
    assert checked
    vrmatte("render", out, "--deliver", "png,prores4444")
    assert len(list(out.glob(f"{name}*png/*.png"))) == FRAMES
    assert squeezed(name) in squeezed(vrmatte("probe", video))


def test_paths_beyond_260_characters(clip: Path, tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["a folder with a rather long name"] * 9)
    reachable_path(deep).mkdir(parents=True)
    video = deep / clip.name
    assert len(str(video)) > 300
    os.replace(clip, reachable_path(video))
    out = deep / "out"
    vrmatte(*run_arguments(video, out))
    assert len(digests(reachable_path(out))) == 3
    vrmatte("render", out, "--deliver", "png,webm-alpha")
    assert len(list(reachable_path(out).glob("*png/*.png"))) == FRAMES
    vrmatte("verify", out)
    vrmatte("clean", out, "--all")
    assert not (reachable_path(out) / ".vrmatte").exists()
    job = start(*run_arguments(deep / "missing.mp4", out))
    errors = job.communicate(timeout=_TIMEOUT_SECONDS)[1].decode("utf-8")
    assert job.returncode == 3
    assert "missing.mp4" in errors
    assert "\\\\?\\" not in errors
