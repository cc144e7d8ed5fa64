"""Tasks that are measured in a process of their own, and what such a process answers.

Plain values, which travel as JSON: a worker is told by a file and answers by a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vrmatte.settings.config import Config

TaskKind = Literal["job", "transcode", "decode", "scan", "network"]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to measure.

    `job` makes everything the settings ask for, `transcode` decodes `read` and encodes it as the
    first deliverable of a job would be, `decode` decodes `read`, `scan` lists its frames as a job
    does first, `network` runs the networks of a job alone, on still pictures of the right sizes.
    """

    kind: TaskKind
    video: Path
    """The clip of the job."""
    out: Path
    """Directory of the job; a finished job's people are found there."""
    settings: Mapping[str, Any]
    """All settings of the job."""
    read: Path | None = None
    """What is decoded, where that isn't the clip."""
    cores: tuple[int, ...] = ()
    """Processors the worker keeps to; empty: all."""

    def as_json(self) -> str:
        """The task as JSON text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def of_json(cls, text: str) -> Task:
        """The task of such a text."""
        facts: dict[str, Any] = json.loads(text)
        for name in ("video", "out", "read"):
            facts[name] = None if facts[name] is None else Path(facts[name])
        facts["cores"] = tuple(facts["cores"])
        return cls(**facts)

    @property
    def config(self) -> Config:
        """Its settings."""
        return Config.model_validate_json(json.dumps(self.settings))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker measured about its own work; starting Python and loading code are not in it."""

    frames: int
    wall_seconds: float
    cpu_seconds: float
    """Of all its threads."""
    stage_seconds: Mapping[str, float]
    """Wall time by stage of making chunks, as the job's report tells."""
    step_seconds: Mapping[str, float]
    """Wall time of the job's steps: scan, scout, matte, join, verify."""
    resident: tuple[tuple[int, int], ...]
    """Frames matted so far, and bytes of memory held then."""
    files: tuple[str, ...]
    """What was made."""
    peak_bytes: int | None
    """The most memory it held, where the system tells."""

    def as_json(self) -> str:
        """The answer as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Answer:
        """The answer of such a text."""
        facts: dict[str, Any] = json.loads(text)
        facts["resident"] = tuple((int(at), int(held)) for at, held in facts["resident"])
        facts["files"] = tuple(facts["files"])
        return cls(**facts)
