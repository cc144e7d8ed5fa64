"""What a run did, as plain values and as JSON beside the files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from vrmatte.errors import output_error
from vrmatte.files import replace_text
from vrmatte.jobs.failures import Failure, seconds_of
from vrmatte.jobs.manifest import Manifest, Product
from vrmatte.matting.base import Downgrade, Precision
from vrmatte.matting.stereo_matting import rules_of
from vrmatte.media.damage import damage_report
from vrmatte.outputs import piece_name
from vrmatte.plan import Plan, key_of
from vrmatte.platform_support import remove_file, replace_file
from vrmatte.profiling.run_profile import Profile, RunProfile, load_profile
from vrmatte.quality.frame_scores import load_scores
from vrmatte.quality.stereo_findings import load_findings, summed_up
from vrmatte.quality.summary import ScoreSummary
from vrmatte.quality.summary import summed_up as scores_summed_up
from vrmatte.report.page.profile_picture import profile_picture
from vrmatte.sheets.picture import write_png
from vrmatte.stereo.agreement import Finding

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
    """One piece of a chunk that was left out after so many tries."""

    chunk: int
    piece: str
    """"matte", or the id of a deliverable."""
    frames: tuple[int, int]
    """First frame and one past the last, counted in the whole source."""
    seconds: tuple[float, float]
    """Where they begin and end in the source."""
    tries: int
    error: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did and what was verified."""

    source: str
    frames: int
    rate: str
    size: tuple[int, int]
    engine: str
    weights: Mapping[str, object]
    precision: Precision
    """Of the network's inside."""
    downgraded: tuple[Downgrade, ...]
    """What memory forced on the network, from which chunk on."""
    chunks: int
    files: tuple[FileReport, ...]
    notices: tuple[str, ...]
    seconds: float
    """Wall time of this run; an earlier, interrupted run's is not in it."""
    stage_seconds: Mapping[str, float]
    """Wall time by stage over all runs that made chunks here."""
    stereo: Mapping[str, object] | None
    """How the eyes agreed, person by person; None where they weren't compared."""
    quality: ScoreSummary | None
    """How good the mattes are, as far as that can be told without truth; None: nobody scored."""
    profile: RunProfile | None
    """Where the chunks' time went; None where it wasn't asked for."""
    damage: Mapping[str, object] | None
    """Damaged frames of the source and what stands in for them; None: none, or not looked for."""
    failures: tuple[FailureReport, ...]
    """What could not be made; the files that need it are not among `files`."""
    settings: Mapping[str, object]

    @classmethod
    def of(
        cls,
        plan: Plan,
        products: Sequence[Product],
        manifest: Manifest,
        notices: Sequence[str],
        seconds: float,
        failures: Sequence[Failure] = (),
    ) -> RunReport:
        """Gather the report of a run, finished but for what failed."""
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
            stereo=_stereo(plan, manifest),
            quality=_quality(plan, manifest),
            profile=_profile(plan, manifest),
            damage=_damage(plan),
            failures=tuple(_failure(plan, failure) for failure in failures),
            settings=plan.config.model_dump(mode="json"),
        )

    def as_json(self) -> str:
        """The report as JSON text."""
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


def _stereo(plan: Plan, manifest: Manifest) -> Mapping[str, object] | None:
    rules = rules_of(plan.config)
    if rules is None:
        return None
    lenses = plan.subjects.lenses
    return {
        **asdict(rules),
        "lenses": None if lenses is None else asdict(lenses),
        "people": [asdict(person) for person in summed_up(findings_of(plan, manifest))],
    }


def findings_of(plan: Plan, manifest: Manifest) -> list[Finding]:
    """How the eyes agreed, over all chunks."""
    return [f for path in _pieces(plan, manifest, "stereo") for f in load_findings(path)]


def _quality(plan: Plan, manifest: Manifest) -> ScoreSummary | None:
    scores = (s for path in _pieces(plan, manifest, "scores") for s in load_scores(path))
    summary = scores_summed_up(scores, findings_of(plan, manifest))
    return summary if summary.frames else None


def _pieces(plan: Plan, manifest: Manifest, name: str) -> Iterator[Path]:
    """The chunks' files of one name that are there; an earlier run may have left some out."""
    for chunk, key in zip(plan.chunks, map(key_of, plan.matte_parameters()), strict=True):
        path = manifest.piece(chunk.index, name, key)
        if path is not None:
            yield path


def _profile(plan: Plan, manifest: Manifest) -> RunProfile | None:
    if not plan.config.performance.profile_enabled:
        return None
    by_chunk: dict[int, Profile] = {}
    for chunk, key in zip(plan.chunks, map(key_of, plan.matte_parameters()), strict=True):
        path = manifest.piece(chunk.index, "profile", key)
        if path is not None:  # chunks of an earlier run may have been made without
            by_chunk[chunk.index] = load_profile(path)
    return RunProfile.of(by_chunk) if by_chunk else None


def write_report(report: RunReport, path: Path) -> None:
    """Write the report whole or not at all; beside it the picture of its profile.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    if report.profile is not None:
        _draw_profile(report.profile, path)
    replace_text(path, report.as_json() + "\n")


def _draw_profile(profile: RunProfile, report: Path) -> None:
    stem = report.stem.removesuffix("_report")
    path = report.with_name(f"{stem}_profile.png")
    part = path.with_name(path.name + ".part")
    try:
        remove_file(part)
        write_png(profile_picture(f"{stem}: where the time of a frame goes", profile), part)
        replace_file(part, path)
    except OSError as error:
        raise output_error(error, path) from error
