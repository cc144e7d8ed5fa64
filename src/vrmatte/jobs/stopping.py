"""Stop a run where no work is lost: between chunks, and before a file is joined."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from vrmatte.errors import StoppedError
from vrmatte.platform_support import remove_file

Stop = Callable[[], bool]
"""Returns true to stop the run; called often, so it must be fast."""


def never() -> bool:
    """Return False: let the run continue to its end, as the library API does by default."""
    return False


def stop_if_asked(stop: Stop, done: str) -> None:
    """Raise StoppedError if `stop` returns true; `done` describes the finished work."""
    if stop():
        raise StoppedError(f"stopped: {done}; run the same command again to continue")


@contextmanager
def remove_if_stopped(part: Path) -> Generator[None]:
    """Delete a half-written file if the work on it is stopped; after an error it stays."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if part.is_file():  # in a folder of images each one is complete, and worth keeping
            remove_file(part)
        raise
