"""Tasks that are measured in a separate process, and its answers.

Both are plain values, which travel as JSON files.
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
    """A task to measure.

    `job` makes every file in the settings, `transcode` decodes `read` and encodes it as the first
    deliverable of a job, `decode` decodes `read`, `scan` lists its frames as a job does first,
    `network` runs the networks of a job alone, on still images of the right sizes.
    """

    kind: TaskKind
    video: Path
    """The clip of the job."""
    out: Path
    """Directory of the job; it holds the people of a finished job."""
    settings: Mapping[str, Any]
    """All settings of the job."""
    read: Path | None = None
    """The file to decode; None: the clip."""
    cores: tuple[int, ...] = ()
    """Cores of the worker; empty: all."""

    def as_json(self) -> str:
        """Return the task as JSON text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def of_json(cls, text: str) -> Task:
        """Read a task from JSON text."""
        facts: dict[str, Any] = json.loads(text)
        for name in ("video", "out", "read"):
            facts[name] = None if facts[name] is None else Path(facts[name])
        facts["cores"] = tuple(facts["cores"])
        return cls(**facts)

    @property
    def config(self) -> Config:
        """The settings of the job."""
        return Config.model_validate_json(json.dumps(self.settings))


@dataclass(frozen=True, slots=True)
class Answer:
    """Measurements of a worker's work, without the start of Python and imports."""

    frames: int
    wall_seconds: float
    cpu_seconds: float
    """Of all its threads."""
    stage_seconds: Mapping[str, float]
    """Wall time by stage of the chunks, as in the job's report."""
    step_seconds: Mapping[str, float]
    """Wall time of the job's steps: scan, scout, matte, join, verify."""
    resident: tuple[tuple[int, int], ...]
    """Numbers of matted frames, with the bytes of memory held then."""
    files: tuple[str, ...]
    """Paths of the finished files."""
    peak_bytes: int | None
    """Peak memory; None where the system doesn't report it."""

    def as_json(self) -> str:
        """Return the answer as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Answer:
        """Read an answer from JSON text."""
        facts: dict[str, Any] = json.loads(text)
        facts["resident"] = tuple((int(at), int(held)) for at, held in facts["resident"])
        facts["files"] = tuple(facts["files"])
        return cls(**facts)
