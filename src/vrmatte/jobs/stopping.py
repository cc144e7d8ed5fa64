"""Stopping a run at a place where nothing is lost: between chunks, and before a file is joined."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from vrmatte.errors import StoppedError
from vrmatte.platform_support import remove_file

Stop = Callable[[], bool]
"""Whether the run is to stop; asked often, so it must answer quickly."""


def never() -> bool:
    """The run goes on to its end: the default of the library API."""
    return False


def stop_if_asked(stop: Stop, done: str) -> None:
    """End the run if that is asked for; `done` tells what is finished.

    Raises:
        StoppedError: it is.
    """
    if stop():
        raise StoppedError(f"stopped: {done}; run the same command again to continue")


@contextmanager
def dropped_if_stopped(part: Path) -> Generator[None]:
    """Leave no half-written file where work is stopped in its middle; after errors it stays."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if part.is_file():  # of a folder of pictures each is whole, and worth keeping
            remove_file(part)
        raise
