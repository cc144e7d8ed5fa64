"""One side of a comparison: an earlier run by its directory, or any file that holds a matte."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vrmatte.errors import InputError
from vrmatte.jobs.matte_files import read_mattes
from vrmatte.jobs.workplace import WORK_FOLDER, job_stems
from vrmatte.outputs import MATTE_FILE
from vrmatte.quality.gradient_error import Alpha

_LONGEST_REPORT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """Where its mattes are, and what its report says."""

    path: Path
    mattes: tuple[Path, ...]
    """Files that hold them, one after the other."""
    report: Mapping[str, Any] | None
    """None: of a file nothing else is known."""

    def read(self) -> Generator[Alpha]:
        """All its mattes, in order."""
        for file in self.mattes:
            yield from read_mattes(file)


def compared_run(path: Path) -> ComparedRun:
    """What a directory of a run, a video or a folder of pictures is.

    Raises:
        InputError: a directory without finished mattes, or with those of several videos.
    """
    stems = job_stems(path) if path.is_dir() else []
    if not stems:
        return ComparedRun(path, (path,), None)
    if len(stems) > 1:
        raise InputError(
            f"{path}: holds the mattes of {len(stems)} videos ({', '.join(stems[:3])}); accepted "
            "is a directory of one, or a matte video"
        )
    report = _report(path / f"{stems[0]}_report.json")
    chunks = path / WORK_FOLDER / stems[0] / "chunks"
    mattes = sorted(chunks.glob(f"*/{MATTE_FILE}"))[: report["chunks"]]
    if len(mattes) < report["chunks"]:
        raise InputError(
            f"{path}: {len(mattes)} of {report['chunks']} chunks have mattes; run `vrmatte run` "
            "there again, or compare matte videos"
        )
    return ComparedRun(path, tuple(mattes), report)


def _report(path: Path) -> Mapping[str, Any]:
    """A finished run's report.

    Raises:
        InputError: it isn't there, or can't be read.
    """
    try:
        if path.stat().st_size > _LONGEST_REPORT_BYTES:
            raise ValueError("it is too long")
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or not isinstance(told.get("chunks"), int):
            raise ValueError("it doesn't tell of chunks")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is no report of a finished run ({error}); run `vrmatte run` there again, or "
            "compare matte videos"
        ) from error
    return cast(Mapping[str, Any], told)
