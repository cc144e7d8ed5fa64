r"""Differences between Linux, macOS and Windows: signals, files, paths, memory, cores, console.

No other module asks which system it runs on. The layer below everything: it imports only the
standard library, platformdirs and psutil.

Windows differs where it matters to a run in these points:

- A file that another program holds open (a virus scanner, the search index, a sync client) can be
  neither renamed nor deleted for a moment; `replace_file` and `remove_file` try again.
- Directories can't be flushed; NTFS keeps renames in its journal.
- Paths beyond 259 characters need the prefix `\\?\`, unless the machine was set up otherwise;
  `reachable_path` adds it.
- A console event arrives as SIGINT (Ctrl-C) or SIGBREAK (Ctrl-Break, a closed window).
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import io
import ntpath
import os
import re
import signal
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import TypeVar

import platformdirs
import psutil

IS_WINDOWS = sys.platform == "win32"

MALLOC_ARENAS = 2
"""For all threads. Each chunk opens threads of its own, and glibc gives a new thread a new arena
until there are eight for each core; all of them keep what was freed in them. Measured over 30
chunks of 30 frames on two cores: with sixteen arenas memory rises from 440 to 498 MB, with two it
stays at 400."""

SHARING_RETRY_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 2.0)
"""Waits between tries on a file that another program holds; 4.9 s in all. Scanners let go of a new
file within a second; a file open in an editor or player stays held, and is reported."""

MAX_PLAIN_PATH = 247
"""Longest path that every call of Windows takes without the prefix: 259 characters for files, 247
for directories, so that a file name of 8.3 still fits (Microsoft, "Maximum Path Length
Limitation")."""

_M_ARENA_MAX = -8
"""glibc's name of that limit, from malloc.h."""
_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION = 5, 32, 33
"""Windows error codes of a file in use; 5 is also that of a file being deleted."""
_EXTENDED, _EXTENDED_UNC = "\\\\?\\", "\\\\?\\UNC\\"
_MOUNT_POINT_TAG = 0xA0000003
"""IO_REPARSE_TAG_MOUNT_POINT: a junction, the link to a directory that needs no rights."""

_T = TypeVar("_T")


def _stop_signals() -> tuple[signal.Signals, ...]:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


STOP_SIGNALS = _stop_signals()
"""Signals that ask a process to end: Ctrl-C, a request to end, a closed terminal (SIGHUP on Linux
and macOS, SIGBREAK on Windows)."""


def handled_stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to answer: all but a SIGHUP that `nohup` has switched off."""
    hangup = getattr(signal, "SIGHUP", None)
    return tuple(
        number
        for number in STOP_SIGNALS
        if number != hangup or signal.getsignal(number) is not signal.SIG_IGN
    )


def wake_main_thread(number: int) -> None:
    """Run the Python handler of a signal in the main thread soon.

    Linux and macOS send a real signal, which also ends waits for other threads. Windows has none;
    there the main thread answers when it next runs Python code.
    """
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def retry_while_shared(action: Callable[[], _T], sleep: Callable[[float], object]) -> _T:
    """Return the result of `action`, trying again while another program holds its file.

    Only Windows raises such errors; elsewhere the first error is final.

    Args:
        action: a rename or deletion; safe to repeat.
        sleep: waits that many seconds.

    Raises:
        OSError: the last try failed, or an error has another cause.
    """
    for seconds in SHARING_RETRY_SECONDS:
        try:
            return action()
        except OSError as error:
            code = getattr(error, "winerror", None)
            if code not in (_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION):
                raise
            sleep(seconds)
    return action()


def replace_file(source: Path, target: Path) -> None:
    """Rename a file over another, or a directory to a free name, in one step.

    Raises:
        OSError: the system refuses.
    """
    retry_while_shared(lambda: os.replace(source, target), time.sleep)


def remove_file(path: Path) -> None:
    """Delete a file or link; a missing one is fine.

    Raises:
        OSError: the system refuses.
    """
    retry_while_shared(lambda: path.unlink(missing_ok=True), time.sleep)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power cut, where the system offers that."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # NTFS keeps renames in its journal
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_link(path: str | Path) -> bool:
    """Return True for a symbolic link, and for a junction of Windows."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    tag = getattr(status, "st_reparse_tag", 0)
    return stat.S_ISLNK(status.st_mode) or tag == _MOUNT_POINT_TAG


def name_length(name: str) -> int:
    """Return the length of a file name as its limit counts: bytes, or UTF-16 units on Windows."""
    return len(name.encode("utf-16-le")) // 2 if IS_WINDOWS else len(os.fsencode(name))


def is_inside(folder: Path, name: str) -> bool:
    """Return True if the relative path `name` stays inside a folder, with no link on the way.

    The path need not exist. `Path.resolve` is avoided: Wine refuses it above 260 characters.
    """
    parts = PurePath(name).parts
    if not parts or PurePath(name).anchor or ".." in parts or "\0" in name:
        return False
    return not any(is_link(folder.joinpath(*parts[: end + 1])) for end in range(len(parts)))


def reachable_path(path: Path, below: int = 0) -> Path:
    r"""Return `path` in a form that every call of the system takes.

    Windows needs the prefix `\\?\` for long paths; other systems get `path` back unchanged.

    Args:
        path: of a file or directory.
        below: characters that names inside a directory will add.
    """
    if not IS_WINDOWS:
        return path
    extended = extended_path(os.path.abspath(path), below)
    return Path(extended) if extended.startswith(_EXTENDED) else path


def extended_path(path: str, below: int = 0) -> str:
    r"""Return an absolute Windows path, with `\\?\` before it where it is long.

    Windows takes a path with the prefix literally, so slashes, `.` and `..` are resolved first.
    """
    if path.startswith(_EXTENDED) or len(path) + below <= MAX_PLAIN_PATH:
        return path
    plain = ntpath.normpath(path)
    if plain.startswith("\\\\"):
        return _EXTENDED_UNC + plain[2:]
    return _EXTENDED + plain


def without_path_prefix(text: str) -> str:
    r"""Return text for users, in which paths have lost their `\\?\`."""
    return text.replace(_EXTENDED_UNC, "\\\\").replace(_EXTENDED, "")


def cache_folder() -> Path:
    """Return the folder for fetched weights; it may not exist yet.

    VRMATTE_CACHE_DIR names another one than the system's; the installers keep it in their folder.
    """
    folder = os.environ.get("VRMATTE_CACHE_DIR")
    return Path(folder) if folder else platformdirs.user_cache_path("vrmatte", appauthor=False)


def synced_folder(path: Path, environment: Mapping[str, str], home: Path) -> str | None:
    """Return the name of the cloud service that syncs `path`, or None.

    A sync client uploads every chunk of a run and holds files while it does.

    Args:
        path: absolute.
        environment: as `os.environ`; OneDrive names its folders there, on Windows.
        home: of the user; macOS keeps the folders of all services below it.
    """
    for variable in ("OneDrive", "OneDriveConsumer", "OneDriveCommercial"):
        folder = environment.get(variable)
        if folder and path.is_relative_to(folder):
            return "OneDrive"
    library = home / "Library"
    if path.is_relative_to(library / "Mobile Documents"):
        return "iCloud Drive"
    if path.is_relative_to(library / "CloudStorage") and path != library / "CloudStorage":
        return path.relative_to(library / "CloudStorage").parts[0].partition("-")[0]
    return None


def limit_malloc_arenas() -> None:
    """Let threads share arenas of the heap from now on, where the C library is glibc."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MALLOC_ARENAS)


def release_freed_memory() -> None:
    """Return freed memory to the system, where the C library is glibc, which keeps it.

    Windows and macOS return large blocks when they are freed.
    """
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)


def usable_cores() -> int:
    """Return the number of logical cores this process may use."""
    try:
        return len(psutil.Process().cpu_affinity() or ()) or os.cpu_count() or 1
    except (AttributeError, psutil.Error, OSError):  # macOS pins no process to cores
        return os.cpu_count() or 1


def use_utf8_output() -> None:
    """Write UTF-8 to stdout and stderr, whatever the code page of the console.

    Windows takes cp1252 for pipes and files, which has no Japanese names and no box characters. A
    name that isn't valid Unicode is written with escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def interpreter_fault(
    pointer_bits: int = 8 * struct.calcsize("P"), base_prefix: str = sys.base_prefix
) -> str | None:
    """Return why vrmatte cannot run on a Python, by default on this one; None if it can.

    Args:
        pointer_bits: size of a pointer.
        base_prefix: `sys.base_prefix`, the same inside and outside a virtual environment.
    """
    if pointer_bits < 64:
        return (
            f"this Python is a {pointer_bits}-bit build, for which there is no ONNX Runtime, PyAV "
            "or OpenCV: install a 64-bit Python 3.11 to 3.13 from python.org"
        )
    # The Store's sandbox redirects the cache folder and hides installed libraries from the loader.
    if re.search(r"[\\/]WindowsApps[\\/]PythonSoftwareFoundation\.Python\.", base_prefix):
        return (
            "this Python comes from the Microsoft Store, which redirects the folders vrmatte "
            "writes to: install Python 3.11 to 3.13 from python.org, and make a new environment"
        )
    return None
