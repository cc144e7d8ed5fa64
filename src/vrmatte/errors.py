"""Every error vrmatte raises on purpose, with the exit code the command line gives it.

VrmatteError                       1   something went wrong that has no better name
├── ConfigError                    2   a setting, option or configuration file is wrong
├── InputError                     3   the source video can't be used
│   └── DamagedInputError          3   the source video is truncated or corrupt
├── ChunkError                     4   a chunk could not be made; the others are kept
├── DiskFullError                  5   no space left; free some and run again to continue
├── OutputLockedError              6   another run is writing to the same output
├── OutputError                    7   the output can't be written
├── WeightsError                   8   network weights are missing or have the wrong digest
├── VerificationError              9   a finished file differs from what was promised
├── StalledError                  75   nothing moved for long; run again to continue
└── StoppedError                 130   whoever asked for the run asked it to stop

The text of an error is one line for the user: what happened, to which file, chunk or frame, what
was accepted, and what to do. Errors of other libraries are mapped where they enter.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar


class VrmatteError(Exception):
    """Base of all errors that vrmatte raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(VrmatteError):
    """A setting, option or configuration file is wrong."""

    exit_code = 2


class InputError(VrmatteError):
    """The source video can't be used."""

    exit_code = 3


class DamagedInputError(InputError):
    """The source video is truncated or corrupt."""


class ChunkError(VrmatteError):
    """A chunk could not be made; finished chunks are kept."""

    exit_code = 4


class DiskFullError(VrmatteError):
    """There is no space left where the output goes."""

    exit_code = 5


class OutputLockedError(VrmatteError):
    """Another run is writing to the same output."""

    exit_code = 6


class OutputError(VrmatteError):
    """The output can't be written."""

    exit_code = 7


class WeightsError(VrmatteError):
    """Network weights are missing, can't be fetched, or have the wrong digest."""

    exit_code = 8


class VerificationError(VrmatteError):
    """A finished file differs from what was promised."""

    exit_code = 9


class StalledError(VrmatteError):
    """Nothing moved for long; never raised, since the thread that hangs can't be made to go on."""

    exit_code = 75


class StoppedError(VrmatteError):
    """Whoever asked for the run asked it to stop; what is finished is kept."""

    exit_code = 130


EXIT_CODES: dict[int, str] = {
    0: "done, everything verified",
    1: "an unexpected error (please report it)",
    2: "a setting, option or configuration file is wrong",
    3: "the source video can't be used",
    4: "chunks failed; all else is kept, the same command with --retry-failed tries them again",
    5: "disk full; free space and run the same command to continue",
    6: "another run is writing to this output",
    7: "the output can't be written",
    8: "network weights are missing or have the wrong digest",
    9: "a finished file differs from what was promised",
    75: "nothing moved for long; run the same command again to continue",
    129: "the terminal was closed (SIGHUP); run the same command to continue",
    130: "stopped by the user; run the same command to continue",
    143: "stopped by the system (SIGTERM); run the same command to continue",
    149: "stopped by Ctrl-Break or a closed window (Windows); run the same command to continue",
}
"""What each exit code of the command line means; `vrmatte --help` and docs/errors.md print this."""


def one_line(text: str) -> str:
    """Text fit for a terminal: names of files and tracks may hold line breaks and escape codes."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


_HANDLE_DISK_FULL = 39
"""A Windows error code that Python maps to no errno; the other one, 112, becomes ENOSPC."""


def output_error(error: OSError, path: Path) -> VrmatteError:
    """Name an operating-system error met while writing `path` in the user's words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (
        getattr(error, "winerror", None) == _HANDLE_DISK_FULL
    ):
        return DiskFullError(
            f"disk full while writing {path}: free some space and run the same command again, "
            "finished chunks are kept"
        )
    reason = error.strerror or str(error)
    return OutputError(f"can't write {path}: {reason}. Choose another --out or fix its permissions")
