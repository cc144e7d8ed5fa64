"""What a run did, as plain values and as JSON beside the files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from vrmatte.errors import output_error
from vrmatte.jobs.store import Manifest, Product
from vrmatte.plan import Plan

REPORT_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileReport:
    """One finished file."""

    deliverable: str
    path: str
    bytes: int
    sha256: str
    encoder: str
    checks: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did and what was verified."""

    source: str
    frames: int
    rate: str
    size: tuple[int, int]
    engine: str
    weights: Mapping[str, object]
    chunks: int
    files: tuple[FileReport, ...]
    notices: tuple[str, ...]
    seconds: float
    """Wall time of this run; an earlier, interrupted run's is not in it."""
    stage_seconds: Mapping[str, float]
    """Wall time by stage over all runs that made chunks here."""
    settings: Mapping[str, object]

    @classmethod
    def of(
        cls,
        plan: Plan,
        products: Sequence[Product],
        manifest: Manifest,
        notices: Sequence[str],
        seconds: float,
    ) -> RunReport:
        """Gather the report of a finished run."""
        encoders = {d.name: d.encoder.label for d in plan.deliverables}
        return cls(
            source=str(plan.source.path),
            frames=len(plan.selected),
            rate=str(plan.rate),
            size=(plan.source.width, plan.source.height),
            engine=plan.engine.name,
            weights={
                "file": plan.engine.weights_name,
                "sha256": plan.engine.weights_sha256,
                "licence": plan.engine.licence,
                "verified": plan.engine.verified,
            },
            chunks=len(plan.chunks),
            files=tuple(
                FileReport(p.name, str(p.path), p.bytes, p.sha256, encoders[p.name], p.checks)
                for p in products
            ),
            notices=tuple(notices),
            seconds=round(seconds, 3),
            stage_seconds=manifest.stage_seconds(),
            settings=plan.config.model_dump(mode="json"),
        )

    def as_json(self) -> str:
        """The report as JSON text."""
        facts = {"report_version": REPORT_VERSION, "vrmatte": version("vrmatte"), **asdict(self)}
        return json.dumps(facts, indent=1, ensure_ascii=False)


def write_report(report: RunReport, path: Path) -> None:
    """Write the report whole or not at all.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(report.as_json() + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise output_error(error, path) from error
