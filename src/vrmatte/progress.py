"""What the library says while it works: plain events, sent to whoever listens.

The library never prints. Command line, web page and logs are observers; an observer must return
quickly and must not raise.
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
    """How many steps it has (frames, packets or bytes), where that is known."""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Advanced:
    """A stage made progress."""

    stage: Stage
    done: int
    """Steps done since the stage began, skipped ones included."""
    skipped: int = 0
    """Steps of `done` that an earlier run had done already (they don't count for speed)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage ended."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know; it also stands in the report."""

    text: str
    level: Literal["info", "warning"] = "warning"


Event = Started | Advanced | Finished | Notice
Observer = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Observer that listens to nothing: the default of the library API."""
