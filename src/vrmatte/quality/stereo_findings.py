"""Agreement of the eyes: stored with each chunk, summed up for the report."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vrmatte.errors import OutputError
from vrmatte.files import ChunkFile, commit_text
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.stereo.score import Agreement

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class PersonAgreement:
    """Agreement of the eyes on one person, before any repair."""

    person: int | None
    """Id as in people.json; None: everybody, without detection of people."""
    frames: int
    """Number of frames in which both eyes could be compared."""
    mean: float
    """Mean score."""
    worst: float
    """Least score."""
    worst_frame: int
    flagged: tuple[tuple[int, int], ...]
    """Spans of frames, first and last, below the warning threshold."""
    corrected: tuple[tuple[int, int], ...]
    """Spans in which one eye's matte was repaired from the other's."""


def save_findings(findings: Sequence[StereoFinding], path: Path) -> ChunkFile:
    """Commit a chunk's findings as JSON.

    Raises:
        OutputError, DiskFullError: the file can't be written.
    """
    text = json.dumps([_row(f) for f in findings])
    return commit_text(path, text, len({f.frame for f in findings}))


def load_findings(path: Path) -> list[StereoFinding]:
    """Read the findings that `save_findings` wrote.

    Raises:
        OutputError: the file is missing or damaged.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [
            StereoFinding(
                r["frame"], r["person"], Agreement(**r["agreement"]), r["done"], r["flagged"]
            )
            for r in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"{path}: is missing or damaged; delete it and run again") from error


def summed_up(findings: Iterable[StereoFinding]) -> list[PersonAgreement]:
    """Sum up the findings of each person, by rising id."""
    of_person: defaultdict[int | None, list[StereoFinding]] = defaultdict(list)
    for finding in findings:
        of_person[finding.person].append(finding)
    return [
        _person(person, of_person[person])
        for person in sorted(of_person, key=lambda person: -1 if person is None else person)
    ]


def _person(person: int | None, findings: list[StereoFinding]) -> PersonAgreement:
    findings.sort(key=lambda finding: finding.frame)
    worst = min(findings, key=lambda finding: finding.agreement.score)
    scores = [finding.agreement.score for finding in findings]
    return PersonAgreement(
        person=person,
        frames=len(findings),
        mean=round(sum(scores) / len(scores), _DIGITS),
        worst=round(worst.agreement.score, _DIGITS),
        worst_frame=worst.frame,
        flagged=_spans(f.frame for f in findings if f.flagged),
        corrected=_spans(f.frame for f in findings if f.done == "corrected"),
    )


def _spans(frames: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Join rising frame numbers into spans of neighbours."""
    spans: list[tuple[int, int]] = []
    for frame in frames:
        if spans and frame == spans[-1][1] + 1:
            spans[-1] = spans[-1][0], frame
        else:
            spans.append((frame, frame))
    return tuple(spans)


def _row(finding: StereoFinding) -> dict[str, object]:
    row = asdict(finding)
    row["agreement"] = {
        name: round(float(value), _DIGITS) for name, value in asdict(finding.agreement).items()
    }
    return row
