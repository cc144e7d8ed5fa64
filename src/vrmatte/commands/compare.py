"""`vrmatte compare A B`: how two runs differ, in their mattes and in all their reports tell."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from vrmatte.commands.read_mattes import read_mattes
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
from vrmatte.threads import Prefetcher

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


SHOWN_FRAMES = 4
_APART_SHARE = 1 / 20
"""Frames that are shown lie at least this share of the video apart: neighbours look alike."""
_PANEL_PX = 640
_LOCAL_SETTINGS = frozenset({"output.path", "input.video_path"})

Pair = tuple[object, object]


@dataclass(frozen=True, slots=True)
class MatteFigures:
    """What one side's mattes are like by themselves."""

    area: float
    """Mean share of the frame that is matted."""
    motion: float
    """Mean |a_t - a_(t-1)|, x 1000: people's motion and flicker together."""


@dataclass(frozen=True, slots=True)
class FrameDifference:
    """A frame in which both differ."""

    frame: int
    mad: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two runs differ."""

    a: Path
    b: Path
    between: TruthReport
    """As of `vrmatte score A B`, B standing in for the truth; Conn and MESSDdt aren't told."""
    figures: tuple[MatteFigures, MatteFigures]
    most_different: tuple[FrameDifference, ...]
    """Largest difference first, spread over the video."""
    settings: Mapping[str, Pair]
    """Those that differ, of A and of B."""
    facts: Mapping[str, Pair]
    """Engine, speed, sizes, agreement of the eyes; None where a side doesn't tell."""


def compare_runs(
    a: Path | str, b: Path | str, picture: Path | str | None = None, observer: Observer = ignore
) -> Comparison:
    """Compare two runs' directories, or two files that hold mattes.

    Args:
        a: directory of a run, matte video, file with alpha, or folder of PNG files.
        b: the same, of the same frames.
        picture: PNG file to draw the frames into that differ most.
        observer: receives progress events.

    Raises:
        InputError: a side can't be read, or frames differ in number or size.
        OutputError: the picture can't be written.
    """
    sides = compared_run(Path(a)), compared_run(Path(b))
    scorer = TruthScorer(every=0)
    gathered = _Gathered(), _Gathered()
    differences: list[float] = []
    observer(Started("score", _frames(sides)))
    for mattes in _in_step(sides):
        scorer.add(*mattes)
        for matte, figures in zip(mattes, gathered, strict=True):
            figures.add(matte)
        differences.append(1e3 * float(np.mean(np.abs(mattes[0] - mattes[1]))))
        observer(Advanced("score", len(differences)))
    observer(Finished("score"))
    shown = _spread_worst(differences)
    if picture is not None:
        write_png(_sheet(sides, shown), Path(picture))
    return Comparison(
        a=sides[0].path,
        b=sides[1].path,
        between=scorer.result(),
        figures=(gathered[0].figures(), gathered[1].figures()),
        most_different=tuple(shown),
        settings=_settings(sides),
        facts=_facts(sides),
    )


class _Gathered:
    """Sums up one side."""

    def __init__(self) -> None:
        self._frames, self._area, self._motion = 0, 0.0, 0.0
        self._before: Alpha | None = None

    def add(self, matte: Alpha) -> None:
        """The next frame."""
        if self._before is not None:
            self._motion += float(np.mean(np.abs(matte - self._before)))
        self._area += float(np.mean(matte))
        self._frames += 1
        self._before = matte

    def figures(self) -> MatteFigures:
        """Means over all frames."""
        steps = max(1, self._frames - 1)
        return MatteFigures(
            round(self._area / max(1, self._frames), 6), round(1e3 * self._motion / steps, 4)
        )


def _in_step(sides: tuple[ComparedRun, ComparedRun]) -> Iterator[tuple[Alpha, Alpha]]:
    with (
        closing(sides[0].read()) as of_a,
        closing(sides[1].read()) as of_b,
        Prefetcher(of_a, 1, "A") as ahead_a,
        Prefetcher(of_b, 1, "B") as ahead_b,
    ):
        for at, (a, b) in enumerate(_longest(iter(ahead_a), iter(ahead_b))):
            if a is None or b is None:
                short = sides[0 if a is None else 1]
                raise InputError(
                    f"{short.path}: ends after {at} frames and the other goes on; only runs of the "
                    "same frames can be compared"
                )
            yield a, b


def _longest(a: Iterator[Alpha], b: Iterator[Alpha]) -> Iterator[tuple[Alpha | None, Alpha | None]]:
    while True:
        pair = next(a, None), next(b, None)
        if pair[0] is None and pair[1] is None:
            return
        yield pair


def _spread_worst(differences: Sequence[float]) -> list[FrameDifference]:
    """The frames that differ most, none too near to another."""
    apart = len(differences) * _APART_SHARE
    chosen: list[int] = []
    for at in np.argsort(differences)[::-1].tolist():
        if len(chosen) < SHOWN_FRAMES and all(abs(at - other) > apart for other in chosen):
            chosen.append(at)
    return [FrameDifference(at, round(differences[at], 4)) for at in chosen]


def _sheet(sides: tuple[ComparedRun, ComparedRun], shown: Sequence[FrameDifference]) -> Rgb:
    """Those frames in the order of time."""
    wanted = {each.frame: each.mad for each in shown}
    frames: list[DifferentFrame] = []
    for at, (a, b) in enumerate(islice(_in_step(sides), max(wanted, default=-1) + 1)):
        if at in wanted:
            frames.append(DifferentFrame(f"frame {at}: differs by {wanted[at]:.2f} / 1000", a, b))
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
    """What the reports tell; left out where neither does."""
    told = [{} if side.report is None else _told(side.report) for side in sides]
    names = list(dict.fromkeys(name for facts in told for name in facts))
    return {name: (told[0].get(name), told[1].get(name)) for name in names}


def _told(report: Mapping[str, Any]) -> dict[str, object]:
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
        "eyes agree, mean": round(total / seen, 4),
        "eyes agree, worst": min(p["worst"] for p in people),
        "flagged frames": flagged,
    }
