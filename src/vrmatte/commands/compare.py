"""`vrmatte compare A B`: differences between the mattes and the reports of two runs."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from vrmatte.commands.read_mattes import read_in_step, read_mattes
from vrmatte.errors import InputError
from vrmatte.frames import Rgb
from vrmatte.jobs.job_folder import WORK_FOLDER, job_stems
from vrmatte.outputs import MATTE_FILE
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore
from vrmatte.quality.summary import score_lines
from vrmatte.quality.truth.field_metrics import Alpha
from vrmatte.quality.truth.truth_metrics import TruthReport, TruthScorer
from vrmatte.sheets.difference_sheet import DifferentFrame, difference_sheet
from vrmatte.sheets.picture import write_png

_LONGEST_REPORT_BYTES = 64 << 20
SHOWN_FRAMES = 4
_APART_SHARE = 1 / 20
"""Least distance of drawn frames, as a share of the video: neighbours look alike."""
_PANEL_PX = 640
_LOCAL_SETTINGS = frozenset({"output.path", "input.video_path"})

Pair = tuple[object, object]
"""Values of A and of B."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One side of a comparison: files of mattes, and the report of their run."""

    path: Path
    mattes: tuple[Path, ...]
    """Files, in order."""
    report: Mapping[str, Any] | None
    """None for a video or a folder of images."""

    def read(self) -> Generator[Alpha]:
        """Yield all mattes in order."""
        for file in self.mattes:
            yield from read_mattes(file)


def compared_run(path: Path) -> ComparedRun:
    """Return the mattes and the report of a run's directory, a video or a folder of images.

    Raises:
        InputError: a directory without finished mattes, or with those of several videos.
    """
    stems = job_stems(path) if path.is_dir() else []
    if not stems:
        return ComparedRun(path, (path,), None)
    if len(stems) > 1:
        raise InputError(
            f"{path}: holds the mattes of {len(stems)} videos ({', '.join(stems[:3])}); accepted "
            "are the directory of one video, or a matte video"
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
    """Read the report of a finished run.

    Raises:
        InputError: the report is missing, or can't be read.
    """
    try:
        if path.stat().st_size > _LONGEST_REPORT_BYTES:
            raise ValueError("the file is too long")
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report, dict) or not isinstance(report.get("chunks"), int):
            raise ValueError("the number of chunks is missing")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is not the report of a finished run ({error}); run `vrmatte run` there "
            "again, or compare matte videos"
        ) from error
    return cast(Mapping[str, Any], report)


@dataclass(frozen=True, slots=True)
class MatteFigures:
    """Figures of the mattes of one side."""

    area: float
    """Mean alpha, as a share of the frame."""
    motion: float
    """Mean |a_t - a_(t-1)|, x 1000: people's motion and flicker together."""


@dataclass(frozen=True, slots=True)
class FrameDifference:
    """Difference between both mattes of a frame."""

    frame: int
    mad: float


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Differences between two runs."""

    a: Path
    b: Path
    between: TruthReport
    """As of `vrmatte score A B`, with B as ground truth; without Conn and MESSDdt."""
    figures: tuple[MatteFigures, MatteFigures]
    most_different: tuple[FrameDifference, ...]
    """Largest difference first, spread over the video."""
    settings: Mapping[str, Pair]
    """Settings that differ."""
    facts: Mapping[str, Pair]
    """Engine, speed, sizes, stereo agreement; None where a side has no such figure."""


def compare_runs(
    a: Path | str, b: Path | str, picture: Path | str | None = None, observer: Observer = ignore
) -> RunComparison:
    """Compare two runs' directories, or two files that hold mattes.

    Args:
        a: directory of a run, matte video, file with alpha, or folder of PNG files.
        b: the same, of the same frames.
        picture: PNG file to draw the most different frames into.
        observer: receives progress events.

    Raises:
        InputError: a side can't be read, or the frames differ in number or size.
        OutputError: the picture can't be written.
    """
    sides = compared_run(Path(a)), compared_run(Path(b))
    scorer = TruthScorer(every=0)
    sums = _FigureSums(), _FigureSums()
    differences: list[float] = []
    observer(Started("score", _frames(sides)))
    for mattes in _in_step(sides):
        scorer.add(*mattes)
        for matte, side_sums in zip(mattes, sums, strict=True):
            side_sums.add(matte)
        differences.append(1e3 * float(np.mean(np.abs(mattes[0] - mattes[1]))))
        observer(Advanced("score", len(differences)))
    observer(Finished("score"))
    shown = _spread_worst(differences)
    if picture is not None:
        write_png(_sheet(sides, shown), Path(picture))
    return RunComparison(
        a=sides[0].path,
        b=sides[1].path,
        between=scorer.result(),
        figures=(sums[0].figures(), sums[1].figures()),
        most_different=tuple(shown),
        settings=_settings(sides),
        facts=_facts(sides),
    )


def _in_step(sides: tuple[ComparedRun, ComparedRun]) -> Iterator[tuple[Alpha, ...]]:
    return read_in_step([(side.path, side.read()) for side in sides])


class _FigureSums:
    """Sums over the mattes of one side."""

    def __init__(self) -> None:
        self._frames, self._area, self._motion = 0, 0.0, 0.0
        self._before: Alpha | None = None

    def add(self, matte: Alpha) -> None:
        """Add the next matte."""
        if self._before is not None:
            self._motion += float(np.mean(np.abs(matte - self._before)))
        self._area += float(np.mean(matte))
        self._frames += 1
        self._before = matte

    def figures(self) -> MatteFigures:
        """Return the means over all frames."""
        steps = max(1, self._frames - 1)
        return MatteFigures(
            round(self._area / max(1, self._frames), 6), round(1e3 * self._motion / steps, 4)
        )


def _spread_worst(differences: Sequence[float]) -> list[FrameDifference]:
    """Return the frames that differ most, none too close to another."""
    apart = len(differences) * _APART_SHARE
    chosen: list[int] = []
    for at in np.argsort(differences)[::-1].tolist():
        if len(chosen) < SHOWN_FRAMES and all(abs(at - other) > apart for other in chosen):
            chosen.append(at)
    return [FrameDifference(at, round(differences[at], 4)) for at in chosen]


def _sheet(sides: tuple[ComparedRun, ComparedRun], shown: Sequence[FrameDifference]) -> Rgb:
    """Draw those frames, sorted by time."""
    wanted = {each.frame: each.mad for each in shown}
    frames: list[DifferentFrame] = []
    for at, (a, b) in enumerate(islice(_in_step(sides), max(wanted, default=-1) + 1)):
        if at in wanted:
            frames.append(DifferentFrame(f"frame {at}: difference {wanted[at]:.2f} / 1000", a, b))
    names = sides[0].path.name, sides[1].path.name
    return difference_sheet(frames, names, _PANEL_PX)


def _frames(sides: tuple[ComparedRun, ComparedRun]) -> int | None:
    report = sides[0].report or sides[1].report
    return None if report is None else report.get("frames")


def _settings(sides: tuple[ComparedRun, ComparedRun]) -> dict[str, Pair]:
    if sides[0].report is None or sides[1].report is None:
        return {}
    a, b = (dict(_flat(side.report["settings"])) for side in sides if side.report)
    names = [name for name in {**a, **b} if name not in _LOCAL_SETTINGS]
    return {n: (a.get(n), b.get(n)) for n in names if a.get(n) != b.get(n)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _facts(sides: tuple[ComparedRun, ComparedRun]) -> dict[str, Pair]:
    """Return the figures of both reports, by name."""
    a, b = ({} if side.report is None else _report_facts(side.report) for side in sides)
    return {name: (a.get(name), b.get(name)) for name in {**a, **b}}


def _report_facts(report: Mapping[str, Any]) -> dict[str, object]:
    frames = max(1, report["frames"])
    facts: dict[str, object] = {
        "engine": report["engine"],
        "weights": report["weights"]["file"],
        "frames": report["frames"],
        "seconds": report["seconds"],
    }
    for stage, seconds in report["stage_seconds"].items():
        facts[f"{stage} ms per frame"] = round(1e3 * seconds / frames, 2)
    for file in report["files"]:
        facts[f"{file['deliverable']} bytes"] = file["bytes"]
    quality = report.get("quality") or {}
    for line in score_lines(quality.get("figures", ())):
        facts[f"{line.label}, median"] = line.median
    return facts | _stereo(report.get("stereo"))


def _stereo(stereo: Mapping[str, Any] | None) -> dict[str, object]:
    people = stereo["people"] if stereo else []
    seen: int = sum(person["frames"] for person in people)
    if not seen:
        return {}
    total: float = sum(person["mean"] * person["frames"] for person in people)
    flagged = sum(last - first + 1 for p in people for first, last in p["flagged"])
    return {
        "stereo agreement, mean": round(total / seen, 4),
        "stereo agreement, worst": min(p["worst"] for p in people),
        "flagged frames": flagged,
    }
