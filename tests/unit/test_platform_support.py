from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import psutil
import pytest

from support.paths import REPOSITORY
from vrmatte.errors import DiskFullError, output_error
from vrmatte.platform_support import (
    IS_WINDOWS,
    MAX_PLAIN_PATH,
    SHARING_RETRY_SECONDS,
    STOP_SIGNALS,
    extended_path,
    interpreter_fault,
    is_inside,
    is_link,
    reachable_path,
    remove_file,
    replace_file,
    retry_while_shared,
    sync_directory,
    synced_folder,
    usable_cores,
    without_path_prefix,
)

LONG = "C:\\videos" + "\\a folder with a rather long name" * 9


def held(code: int) -> OSError:
    """The error of Windows where another program holds a file."""
    error = PermissionError(13, "Access is denied")
    error.winerror = code  # type: ignore[attr-defined]
    return error


class Held:
    """An action that fails so many times."""

    def __init__(self, times: int, error: OSError) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.mark.parametrize("code", [5, 32, 33])
def test_a_file_that_a_scanner_holds_is_tried_again(code: int):
    waits: list[float] = []
    assert retry_while_shared(Held(3, held(code)), waits.append) == "done"
    assert waits == list(SHARING_RETRY_SECONDS[:3])


def test_a_file_that_stays_held_is_reported():
    action, waits = Held(99, held(32)), list[float]()
    with pytest.raises(PermissionError):
        retry_while_shared(action, waits.append)
    assert action.calls == len(SHARING_RETRY_SECONDS) + 1
    assert waits == list(SHARING_RETRY_SECONDS)


@pytest.mark.parametrize("error", [held(3), PermissionError(13, "no"), FileNotFoundError(2, "no")])
def test_other_errors_are_final(error: OSError):
    action = Held(1, error)
    with pytest.raises(type(error)):
        retry_while_shared(action, lambda _: pytest.fail("waited"))
    assert action.calls == 1


@pytest.mark.skipif(not IS_WINDOWS, reason="elsewhere an open file can be renamed")
@pytest.mark.parametrize("verb", ["replace", "remove"])
def test_windows_waits_for_an_open_file(tmp_path: Path, verb: str):
    target = tmp_path / "clip.mp4"
    target.write_text("old")
    source = tmp_path / "clip.mp4.part"
    source.write_text("new")
    reader = target.open("rb")
    with pytest.raises(PermissionError):
        os.replace(source, target)
    timer = threading.Timer(0.2, reader.close)
    timer.start()
    if verb == "replace":
        replace_file(source, target)
        assert target.read_text() == "new"
    else:
        remove_file(target)
        assert not target.exists()
    timer.join()


def test_replace_and_remove(tmp_path: Path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")
    replace_file(source, target)
    assert target.read_text() == "new"
    assert not source.exists()
    sync_directory(tmp_path)
    remove_file(target)
    remove_file(target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\videos\\clip.mp4", "C:\\videos\\clip.mp4"),
        (LONG, "\\\\?\\" + LONG),
        (LONG.replace("\\", "/"), "\\\\?\\" + LONG),
        (LONG + "\\..\\x", "\\\\?\\" + LONG.rpartition("\\")[0] + "\\x"),
        ("\\\\server\\share" + LONG[2:], "\\\\?\\UNC\\server\\share" + LONG[2:]),
        ("\\\\?\\" + LONG, "\\\\?\\" + LONG),
    ],
)
def test_long_windows_paths_get_their_prefix(path: str, expected: str):
    assert extended_path(path) == expected
    assert without_path_prefix(expected) == expected.replace("\\\\?\\UNC\\", "\\\\").replace(
        "\\\\?\\", ""
    )


def test_names_below_a_directory_count():
    folder = "C:\\" + "x" * 100
    assert extended_path(folder, MAX_PLAIN_PATH - 103) == folder
    assert extended_path(folder, MAX_PLAIN_PATH - 102) == "\\\\?\\" + folder


@pytest.mark.skipif(IS_WINDOWS, reason="Windows has its own form")
def test_other_systems_keep_long_paths():
    path = Path("/videos" + "/a folder with a rather long name" * 40)
    assert reachable_path(path) is path


@pytest.mark.skipif(not IS_WINDOWS, reason="a form of Windows")
def test_windows_opens_what_is_deeper_than_its_limit(tmp_path: Path):
    deep = reachable_path(tmp_path / "/".join(["a folder with a rather long name"] * 9))
    deep.mkdir(parents=True)
    (deep / "clip.mp4").write_text("x")
    assert str(deep).startswith("\\\\?\\")
    assert reachable_path(deep / "clip.mp4").read_text() == "x"


def test_links_are_recognised(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    assert not is_link(tmp_path / "folder")
    assert not is_link(tmp_path / "missing")
    try:
        (tmp_path / "link").symlink_to(tmp_path / "folder")
    except OSError:
        pytest.skip("links need a right of their own here")
    if not os.path.lexists(tmp_path / "link"):
        pytest.skip("this system makes no links")  # Wine reports success
    assert is_link(tmp_path / "link")


@pytest.mark.skipif(not IS_WINDOWS, reason="only Windows has junctions")
def test_junctions_are_links(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    junction = tmp_path / "junction"
    made = subprocess.run(
        ["cmd", "/c", "mklink", "/J", str(junction), str(tmp_path / "folder")],
        capture_output=True,
        check=False,
    )
    if made.returncode or not junction.exists():
        pytest.skip("this system makes no junctions")
    assert is_link(junction)


HOME = PurePosixPath("/Users/ann")


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/c/Users/ann/OneDrive/videos", "OneDrive"),
        ("/c/Users/ann/OneDrive - Studio/videos", "OneDrive"),
        ("/c/Users/ann/OneDriveBackup", None),
        ("/Users/ann/Library/CloudStorage/Dropbox-Personal/videos", "Dropbox"),
        ("/Users/ann/Library/Mobile Documents/com~apple~CloudDocs/x", "iCloud Drive"),
        ("/Users/ann/Movies", None),
    ],
)
def test_folders_of_cloud_services(path: str, service: str | None):
    environment = {
        "OneDrive": "/c/Users/ann/OneDrive",
        "OneDriveCommercial": "/c/Users/ann/OneDrive - Studio",
    }
    assert synced_folder(Path(path), environment, Path(HOME)) == service
    assert synced_folder(Path("/c/Users/ann/OneDrive"), {}, Path(HOME)) is None


def test_every_stop_signal_of_this_system():
    names = {number.name for number in STOP_SIGNALS}
    assert names == {"SIGINT", "SIGTERM", "SIGBREAK" if IS_WINDOWS else "SIGHUP"}


def child(program: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", f"from vrmatte import platform_support\n{program}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), **variables}
    return subprocess.run(command, capture_output=True, check=False, env=environment)


@pytest.mark.skipif(IS_WINDOWS, reason="Windows has no SIGHUP")
def test_nohup_is_respected():
    program = (
        "import signal\n"
        "print(signal.SIGHUP in platform_support.handled_stop_signals())\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "print(signal.SIGHUP in platform_support.handled_stop_signals())\n"
    )
    assert child(program).stdout.split() == [b"True", b"False"]


def test_a_woken_main_thread_runs_its_handler():
    program = (
        "import signal, sys, threading, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "wake = platform_support.wake_main_thread\n"
        "threading.Timer(0.1, wake, [signal.SIGINT]).start()\n"
        "for _ in range(600): time.sleep(0.1)\n"
    )
    assert child(program).returncode == 7


def test_japanese_names_survive_a_western_code_page():
    western = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    text = "クリップ_ä ✓"
    program = f"print({text!r} + chr(0xDC80))"
    refused = child(program, **western)
    assert b"UnicodeEncodeError" in refused.stderr
    written = child(f"platform_support.use_utf8_output()\n{program}", **western)
    assert written.stdout.decode().strip() == text + "\\udc80"


def test_this_process_may_use_a_core():
    assert 1 <= usable_cores() <= (psutil.cpu_count() or usable_cores())


def test_both_codes_of_a_full_disk():
    error = OSError(22, "The disk is full")
    error.winerror = 39  # type: ignore[attr-defined]
    assert isinstance(output_error(error, Path("x")), DiskFullError)


def test_sigint_is_the_first_stop_signal():
    assert STOP_SIGNALS[0] == signal.SIGINT


def test_this_python_is_accepted():
    assert interpreter_fault() is None


def test_a_32_bit_python_is_refused():
    fault = interpreter_fault(32, "C:\\Python311-32")
    assert fault is not None
    assert fault.startswith("this Python is a 32-bit build")


@pytest.mark.parametrize(
    ("prefix", "refused"),
    [
        (
            "C:\\Program Files\\WindowsApps\\"
            "PythonSoftwareFoundation.Python.3.11_3.11.2544.0_x64__qbz5n2kfra8p0",
            True,
        ),
        ("C:\\Users\\me\\AppData\\Local\\Programs\\Python\\Python311", False),
        # The newer Python install manager comes from the Store, but installs outside its sandbox.
        ("C:\\Users\\me\\AppData\\Local\\Python\\pythoncore-3.13-64", False),
        ("/usr", False),
    ],
)
def test_the_microsoft_stores_python_is_refused(prefix, refused):
    fault = interpreter_fault(64, prefix)
    assert (fault is not None) == refused
    assert fault is None or "Microsoft Store" in fault


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("chunks/000000/matte.mkv", True),
        ("matte.mkv", True),
        ("../matte.mkv", False),
        ("chunks/../../matte.mkv", False),
        (os.path.abspath("/matte.mkv"), False),
        ("", False),
        ("chunks/\0", False),
    ],
)
def test_names_stay_inside_a_folder(tmp_path, name, inside):
    assert is_inside(tmp_path, name) == inside


def test_a_link_leads_out_of_a_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    try:
        (folder / "chunks").symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("links need a right that is missing")
    assert not is_inside(folder, "chunks/matte.mkv")
