"""Every error vrmatte raises on purpose, with the exit code the command line gives it.

VrmatteError                       1   base class; an error without a class of its own
├── ConfigError                    2   a setting, option or configuration file is wrong
├── InputError                     3   the source video can't be used
│   └── DamagedInputError          3   the source video is truncated or corrupt
├── ChunkError                     4   a chunk could not be processed; the others are kept
├── DiskFullError                  5   no space left; free some and run again to continue
├── OutputLockedError              6   another run is writing to the same output
├── OutputError                    7   the output can't be written
├── WeightsError                   8   network weights are missing or have the wrong digest
├── VerificationError              9   a finished file failed verification
├── StalledError                  75   no progress for a long time; run again to continue
└── StoppedError                 130   the run was stopped on request

The text of an error is one line for the user: what happened, to which file, chunk or frame, what
is accepted, and what to do. Errors of other libraries are converted where those are called.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar


class VrmatteError(Exception):
    """Base class of all errors that vrmatte raises on purpose.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.VrmatteError as error:
        ...     sys.exit(error.exit_code)
    """

    exit_code: ClassVar[int] = 1


class ConfigError(VrmatteError):
    """A setting, option or configuration file is wrong.

    Example:
        >>> try:
        ...     vrmatte.load_config(assignments=["output.qualty=17"])
        ... except vrmatte.ConfigError as error:
        ...     print(error)
        --set: unknown key output.qualty, did you mean output.quality?
    """

    exit_code = 2


class InputError(VrmatteError):
    """The source video can't be used.

    Example:
        >>> try:
        ...     vrmatte.probe("missing.mp4")
        ... except vrmatte.InputError as error:
        ...     print(error)
        missing.mp4: no such file. Check the path of the source video
    """

    exit_code = 3


class DamagedInputError(InputError):
    """The source video is truncated or corrupt.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.DamagedInputError:
        ...     config = vrmatte.load_config(assignments=["input.on_damage=hold"]).config
    """


class ChunkError(VrmatteError):
    """A chunk could not be processed; finished chunks are kept.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.ChunkError:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out", retry_failed=True)
    """

    exit_code = 4


class DiskFullError(VrmatteError):
    """No space is left on the disk of the output.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.DiskFullError:
        ...     ask_user_to_free_space()
    """

    exit_code = 5


class OutputLockedError(VrmatteError):
    """Another run is writing to the same output.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.OutputLockedError:
        ...     time.sleep(60)
    """

    exit_code = 6


class OutputError(VrmatteError):
    """The output can't be written.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.OutputError:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "another-directory")
    """

    exit_code = 7


class WeightsError(VrmatteError):
    """Network weights are missing, can't be fetched, or have the wrong digest.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.WeightsError:
        ...     subprocess.run(["vrmatte", "models", "pull"], check=True)
    """

    exit_code = 8


class VerificationError(VrmatteError):
    """A finished file differs from the source or the stored mattes.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.VerificationError as error:
        ...     print(f"{error}; check the disk")
    """

    exit_code = 9


class StalledError(VrmatteError):
    """The run made no progress for a long time; finished chunks are kept.

    A library call raises it at the next chunk or file. The command line ends its process instead:
    a thread that hangs in native code can't be resumed.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")
        ... except vrmatte.StalledError:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out")  # continues
    """

    exit_code = 75


class StoppedError(VrmatteError):
    """The run was stopped on request; finished work is kept.

    Example:
        >>> try:
        ...     vrmatte.matte_video("clip_LR_180.mp4", "out", stop=button.is_pressed)
        ... except vrmatte.StoppedError:
        ...     print("continue with the same call")
    """

    exit_code = 130


EXIT_CODES: dict[int, str] = {
    0: "done, everything verified",
    1: "an unexpected error (please report it)",
    2: "a setting, option or configuration file is wrong",
    3: "the source video can't be used",
    4: "chunks failed, the rest is kept; run the same command with --retry-failed to try again",
    5: "disk full; free space and run the same command to continue",
    6: "another run is writing to this output",
    7: "the output can't be written",
    8: "network weights are missing or have the wrong digest",
    9: "a finished file failed verification",
    75: "no progress for a long time; run the same command again to continue",
    129: "the terminal was closed (SIGHUP); run the same command to continue",
    130: "stopped by the user; run the same command to continue",
    143: "stopped by the system (SIGTERM); run the same command to continue",
    149: "stopped by Ctrl-Break or a closed window (Windows); run the same command to continue",
}
"""Meaning of each exit code of the command line, as in `vrmatte --help` and docs/errors.md."""


def one_line(text: str) -> str:
    """Replace unprintable characters, such as line breaks and escapes in names of files."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


_HANDLE_DISK_FULL = 39
"""A Windows error code that Python maps to no errno; the other one, 112, becomes ENOSPC."""


def output_error(error: OSError, path: Path) -> VrmatteError:
    """Convert an error of the operating system while writing `path` into one for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (
        getattr(error, "winerror", None) == _HANDLE_DISK_FULL
    ):
        return DiskFullError(
            f"disk full while writing {path}: free some space and run the same command again, "
            "finished chunks are kept"
        )
    reason = error.strerror or str(error)
    return OutputError(f"can't write {path}: {reason}. Choose another --out or fix its permissions")
