"""Progress events and notices, sent to an observer while the library works.

The library never prints. The command line, the web page and logs are observers; an observer must
return quickly and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["render", "download", "scan", "scout", "matte", "join", "verify", "bench", "score"]


@dataclass(frozen=True, slots=True)
class Started:
    """A stage begins."""

    stage: Stage
    total: int | None
    """Number of steps (frames, packets or bytes); None where it is unknown."""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Advanced:
    """A stage made progress."""

    stage: Stage
    done: int
    """Steps completed since the stage began, including skipped ones."""
    skipped: int = 0
    """Steps of `done` that an earlier run completed; they don't count towards the speed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage ended."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the user, also kept in the report."""

    text: str
    level: Literal["info", "warning"] = "warning"


Event = Started | Advanced | Finished | Notice
Observer = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Discard an event: the default observer of the library."""
