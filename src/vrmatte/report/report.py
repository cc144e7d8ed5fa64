"""The report of a run: plain values, written as JSON beside the files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from vrmatte.files import replace_text, write_atomically
from vrmatte.jobs.failures import Failure, seconds_of
from vrmatte.jobs.manifest import Manifest, Product
from vrmatte.matting.base import Downgrade, Precision
from vrmatte.matting.stereo_matting import rules_of
from vrmatte.media.damage import damage_report
from vrmatte.outputs import piece_name
from vrmatte.plan import Plan, key_of
from vrmatte.profiling.run_profile import RunProfile, load_profile
from vrmatte.quality.frame_scores import load_scores
from vrmatte.quality.stereo_findings import load_findings, summed_up
from vrmatte.quality.summary import ScoreSummary
from vrmatte.quality.summary import summed_up as scores_summed_up
from vrmatte.report.page.plots import profile_png
from vrmatte.stereo.agreement import StereoFinding

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
class FailureReport:
    """A piece of a chunk that was skipped after several failed tries."""

    chunk: int
    piece: str
    """"matte", or the id of a deliverable."""
    frames: tuple[int, int]
    """First frame and one past the last, counted in the whole source."""
    seconds: tuple[float, float]
    """Start and end of these frames in the source."""
    tries: int
    error: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """The results of a run and of its verification.

    Example:
        >>> report = vrmatte.matte_video("clip_LR_180.mp4", "out")
        >>> for file in report.files:
        ...     print(file.path, file.checks["frames"])
        out/clip_LR_180_FISHEYE190_alpha.mp4 1800
    """

    source: str
    frames: int
    rate: str
    size: tuple[int, int]
    engine: str
    weights: Mapping[str, object]
    precision: Precision
    """Precision of the network's inner layers."""
    downgraded: tuple[Downgrade, ...]
    """Smaller network inputs forced by a lack of memory, and the first chunk of each."""
    chunks: int
    files: tuple[FileReport, ...]
    notices: tuple[str, ...]
    seconds: float
    """Wall time of this run, without earlier, interrupted runs."""
    stage_seconds: Mapping[str, float]
    """Wall time by stage over all runs that processed chunks here."""
    stereo: Mapping[str, object] | None
    """Agreement of the eyes for each person; None if they weren't compared."""
    quality: ScoreSummary | None
    """Quality of the mattes, as far as it can be measured without truth; None: not scored."""
    profile: RunProfile | None
    """Time and memory of each chunk; None if profiling is off."""
    damage: Mapping[str, object] | None
    """Damaged frames of the source and their substitutes; None: no damage, or not checked."""
    failures: tuple[FailureReport, ...]
    """Pieces that failed; `files` leaves out every file that needs one of them."""
    settings: Mapping[str, object]

    @classmethod
    def of(
        cls,
        plan: Plan,
        products: Sequence[Product],
        manifest: Manifest,
        findings: Sequence[StereoFinding],
        notices: Sequence[str],
        seconds: float,
        failures: Sequence[Failure] = (),
    ) -> RunReport:
        """Gather the report of a run that is finished except for its failures.

        Args:
            plan: the run's plan.
            products: its finished files.
            manifest: the record of its chunks.
            findings: the agreement of the eyes, as `read_findings` returns it.
            notices: messages of the run.
            seconds: its wall time.
            failures: the pieces that failed.
        """
        encoders = {d.id: d.label for d in plan.deliverables}
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
            precision=plan.engine.precision,
            downgraded=plan.engine.downgraded,
            chunks=len(plan.chunks),
            files=tuple(
                FileReport(
                    p.name, str(p.shown_path), p.all_bytes, p.sha256, encoders[p.name], p.checks
                )
                for p in products
            ),
            notices=tuple(notices),
            seconds=round(seconds, 3),
            stage_seconds=manifest.stage_seconds(),
            stereo=_stereo(plan, findings),
            quality=_quality(plan, manifest, findings),
            profile=_profile(plan, manifest),
            damage=_damage(plan),
            failures=tuple(_failure(plan, failure) for failure in failures),
            settings=plan.config.model_dump(mode="json"),
        )

    def as_json(self) -> str:
        """Return the report as JSON text."""
        facts = {"report_version": REPORT_VERSION, "vrmatte": version("vrmatte"), **asdict(self)}
        return json.dumps(facts, indent=1, ensure_ascii=False)


def _failure(plan: Plan, failure: Failure) -> FailureReport:
    pieces = {"matte": "matte", **{piece_name(d): d.id for d in plan.deliverables}}
    return FailureReport(
        failure.chunk,
        pieces[failure.piece],
        failure.frames,
        seconds_of(plan, failure),
        failure.tries,
        failure.error,
    )


def _damage(plan: Plan) -> Mapping[str, object] | None:
    if not plan.timeline.held:
        return None
    return damage_report(plan.timeline, plan.config.input.on_damage)


def _stereo(plan: Plan, findings: Sequence[StereoFinding]) -> Mapping[str, object] | None:
    rules = rules_of(plan.config)
    if rules is None:
        return None
    lenses = plan.subjects.lenses
    return {
        **asdict(rules),
        "lenses": None if lenses is None else asdict(lenses),
        "people": [asdict(person) for person in summed_up(findings)],
    }


def read_findings(plan: Plan, manifest: Manifest) -> list[StereoFinding]:
    """Read the agreement of the eyes, over all chunks."""
    pieces = _pieces(plan, manifest, "stereo")
    return [finding for _, path in pieces for finding in load_findings(path)]


def _quality(
    plan: Plan, manifest: Manifest, findings: Sequence[StereoFinding]
) -> ScoreSummary | None:
    pieces = _pieces(plan, manifest, "scores")
    summary = scores_summed_up((s for _, path in pieces for s in load_scores(path)), findings)
    return summary if summary.frames else None


def _profile(plan: Plan, manifest: Manifest) -> RunProfile | None:
    if not plan.config.performance.profile_enabled:
        return None
    pieces = _pieces(plan, manifest, "profile")
    by_chunk = {chunk: load_profile(path) for chunk, path in pieces}
    return RunProfile.of(by_chunk) if by_chunk else None


def _pieces(plan: Plan, manifest: Manifest, name: str) -> Iterator[tuple[int, Path]]:
    """Yield the number and file of each chunk that has this piece; an earlier run may lack some."""
    for chunk, key in zip(plan.chunks, map(key_of, plan.matte_parameters()), strict=True):
        path = manifest.piece(chunk.index, name, key)
        if path is not None:
            yield chunk.index, path


def write_report(report: RunReport, path: Path) -> None:
    """Write the report atomically, and the chart of its profile beside it.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    if report.profile is not None:
        stem = path.stem.removesuffix("_report")
        _write_chart(report.profile, path.with_name(f"{stem}_profile.png"))
    replace_text(path, report.as_json() + "\n")


def _write_chart(profile: RunProfile, path: Path) -> None:
    with write_atomically(path) as draft:
        draft.write_bytes(profile_png(profile))
