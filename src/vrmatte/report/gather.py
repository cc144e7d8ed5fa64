"""Writes the report's page beside its JSON; a page that fails costs a notice, never the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vrmatte.errors import ConfigError, DiskFullError
from vrmatte.files import replace_text
from vrmatte.jobs.job_folder import JobFolder
from vrmatte.jobs.manifest import Manifest
from vrmatte.people.read_document import read_people
from vrmatte.plan import Plan
from vrmatte.progress import Notice, Observer
from vrmatte.quality.series import thinned
from vrmatte.quality.summary import summed_up
from vrmatte.report.frames import look_at, samples, wanted_of
from vrmatte.report.page.content import AgreementLine, PageContent, WorstLook
from vrmatte.report.page.page import render_page
from vrmatte.report.page.pictures import encoded
from vrmatte.report.report import RunReport, findings_of
from vrmatte.scout import people_file
from vrmatte.settings.config import Config
from vrmatte.stereo.agreement import Finding
from vrmatte.subjects import Shot

WORST_FRAMES = 8


def page_path(plan: Plan, place: JobFolder) -> Path:
    """Where the page of a run lies."""
    return place.output / f"{plan.source.path.stem}_report.html"


def write_page(
    report: RunReport, plan: Plan, place: JobFolder, manifest: Manifest, observer: Observer
) -> None:
    """Write the page, if settings ask for one; where that fails, say so and go on.

    Raises:
        DiskFullError: there is no space for it.
    """
    if plan.config.output.report != "html":
        return
    path = page_path(plan, place)
    try:
        replace_text(path, render_page(page_content(report, plan, place, manifest)))
    except DiskFullError:
        raise
    except Exception as error:  # noqa: BLE001  all files are finished; a page is worth no failed run
        observer(Notice(f"{path}: can't be made ({error}); the JSON report beside it is complete"))


def page_content(
    report: RunReport, plan: Plan, place: JobFolder, manifest: Manifest
) -> PageContent:
    """All that the page shows, pictures decoded."""
    findings = findings_of(plan, manifest)
    summary = report.quality or summed_up((), findings)
    worst = sorted(summary.worst_frames(WORST_FRAMES), key=lambda each: not each.beyond)
    wanted = {each.frame: wanted_of(plan, each) for each in worst}
    even = samples(plan)
    looks = look_at(plan, place, [*even, *wanted.values()])
    seen = [looks[each] for each in even if each in looks]
    urgent = [looks[each] for each in wanted.values() if each in looks]
    pictures = encoded([*seen, *urgent])
    shown = {each.frame: each for each in pictures[len(seen) :] if each.layers}
    return PageContent(
        facts=json.loads(report.as_json()),
        defaults=Config().model_dump(mode="json"),
        first=plan.chunks[0].first,
        last=plan.chunks[-1].last,
        seconds=plan.timeline.seconds,
        people=plan.subjects.people,
        shots=_shots(plan, place),
        scores=summary if summary.series else None,
        agreement=_agreement(findings),
        worst=[WorstLook(each, shown.get(each.frame)) for each in worst],
        samples=pictures[: len(seen)],
    )


def _shots(plan: Plan, place: JobFolder) -> Sequence[Shot]:
    """The shots people were looked for in; the whole where nobody was."""
    path = plan.config.people.file or people_file(plan.source.path, place.output)
    whole = [Shot(0, len(plan.timeline))]
    if not plan.subjects.people or not path.is_file():
        return whole
    try:
        people, _ = read_people(path)
    except ConfigError:
        return whole
    return people.shots


def _agreement(findings: Sequence[Finding]) -> list[AgreementLine]:
    ids = sorted({f.person for f in findings}, key=lambda i: -1 if i is None else i)
    lines: list[AgreementLine] = []
    for person in ids:
        of_person = [(f.frame, f.agreement.score) for f in findings if f.person == person]
        of_person.sort()
        frames = np.array([frame for frame, _ in of_person], np.int64)
        scores = np.array([score for _, score in of_person], np.float64)
        lines.append(AgreementLine(person, *thinned(frames, scores)))
    return lines
