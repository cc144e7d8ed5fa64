"""What the manifest remembers of the last run: its video, its settings, its engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vrmatte.config import Config
from vrmatte.errors import OutputError
from vrmatte.jobs.store import Manifest
from vrmatte.matting.base import EngineChoice


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run that got as far as a plan."""

    video: Path
    config: Config
    engine: EngineChoice
    """The one that made the mattes; its weights need not be here any more."""


def earlier_run(manifest: Manifest, file: str | None = None) -> EarlierRun:
    """The last run; with `file`, an id of a deliverable, the last that promised that file.

    Raises:
        OutputError: nothing was run here.
    """
    video, engine = manifest.fact("video"), manifest.fact("engine")
    settings = manifest.fact("config" if file is None else f"config:{file}")
    if not isinstance(video, str) or not isinstance(engine, dict) or settings is None:
        raise OutputError("the manifest remembers no run; run `vrmatte run` first")
    try:
        choice = TypeAdapter(EngineChoice).validate_python(engine)
        return EarlierRun(Path(video), Config.model_validate(settings), choice)
    except ValidationError as error:
        raise OutputError(
            "the manifest remembers a run that no version of vrmatte can have made; start over "
            "with --fresh"
        ) from error
