"""`vrmatte run --sample`: short pieces of a video made as a run makes all of it, and an estimate.

Everything lies in OUT/sample, so a later run finds its directory as it was.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from vrmatte.commands.estimate import Estimate, SampleCost, WholeRun, estimate
from vrmatte.commands.run import matte_video
from vrmatte.errors import output_error
from vrmatte.files import replace_text
from vrmatte.frames import Timeline
from vrmatte.jobs.job_folder import ASIDE_FOLDER, WORK_FOLDER
from vrmatte.matting.engines.choose import choose_engine
from vrmatte.media.damage import read_timeline
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.scan import fingerprint
from vrmatte.outputs import MATTE_FILE
from vrmatte.people.document import write_people
from vrmatte.people.viewports import viewports_for
from vrmatte.people.yolox import open_detector
from vrmatte.plan import Plan, check_source, make_plan
from vrmatte.profiling.run_profile import CLOSE_FILES, OPEN_FILES, STATE
from vrmatte.progress import Advanced, Event, Finished, Notice, Observer, Started, ignore
from vrmatte.quality.summary import score_lines
from vrmatte.report.report import RunReport
from vrmatte.scout import people_file, scout
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES, LensAlignment, People, Person, Shot, SourceIdentity


def scout_samples(
    plan: Plan,
    spans: Sequence[tuple[int, int]],
    output: Path,
    folder: Path,
    config: Config,
    observer: Observer,
) -> tuple[Path | None, float]:
    """The document of people that samples are made by, and how long scouting all would take.

    A document that is there is used as it is: the one named by `people.file`, or that of a scout
    or run in `output`.

    Args:
        plan: of the whole.
        spans: frames of each sample.
        output: the run's directory.
        folder: where the samples' own document is written.
        config: for detector and people.
        observer: receives progress.

    Returns:
        None for the document where nobody is to be looked for, or no detector can be had.
    """
    if config.processing.projection != "viewport":
        return None, 0.0
    known = config.people.file or people_file(plan.source.path, output)
    if config.people.file is not None or known.exists():
        return known, 0.0
    detector = open_detector(config, observer)
    if detector is None:
        return None, 0.0
    began = time.monotonic()
    found = [
        (first, scout(plan.source, plan.timeline.slice(first, last), detector, config, observer))
        for first, last in spans
    ]
    taken = time.monotonic() - began
    looked_at = sum(last - first for first, last in spans)
    path = people_file(plan.source.path, folder)
    write_people(_put_together(plan, found), path)
    return path, taken * len(plan.timeline) / looked_at


def _put_together(plan: Plan, found: Sequence[tuple[int, People]]) -> People:
    """One document of the whole video: each sample's shots where they lie, nobody in between."""
    people: list[Person] = []
    cuts = {0}
    for first, sample in found:
        cuts |= {first + shot.first for shot in sample.shots}
        cuts.add(first + sample.shots[-1].last)
        people += [
            _moved(person, first, len(people) + n) for n, person in enumerate(sample.people, 1)
        ]
    frames = len(plan.timeline)
    edges = [*sorted(cut for cut in cuts if cut < frames), frames]
    shots = tuple(Shot(a, b) for a, b in pairwise(edges))
    source = plan.source
    whole = SourceIdentity(plan.fingerprint, frames, source.width, source.height, plan.rate)
    viewports = viewports_for(people, shots, plan.rate)
    return People(whole, shots, tuple(people), viewports, lenses=_lenses(found))


def _moved(person: Person, frames: int, number: int) -> Person:
    boxes = tuple(replace(box, frame=box.frame + frames) for box in person.boxes)
    return replace(person, id=number, boxes=boxes)


def _lenses(found: Sequence[tuple[int, People]]) -> LensAlignment | None:
    """As the middle sample has it: lenses stand still."""
    told = [sample.lenses for _, sample in found if sample.lenses is not None]
    return told[len(told) // 2] if told else None


SAMPLE_FOLDER = "sample"
SAMPLE_FILE = "sample.json"
MOST_SAMPLES = 5
LEAST_SAMPLE_SECONDS = 0.5
"""Shorter pieces tell more of beginnings than of a video; then there are fewer."""

Span = tuple[int, int]
"""Frames first..last-1 of the source."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One piece that was made."""

    first: int
    last: int
    at_seconds: float
    folder: Path
    cost: SampleCost
    report: RunReport


@dataclass(frozen=True, slots=True)
class SampleReport:
    """All pieces, and what they say of the whole."""

    video: Path
    folder: Path
    samples: tuple[Sample, ...]
    whole: Estimate
    free_bytes: int
    """On the disk they lie on, now."""
    quality: Mapping[str, object]

    def as_json(self) -> str:
        """As JSON text."""
        rows = [
            {
                "frames": [sample.first, sample.last],
                "at_seconds": round(sample.at_seconds, 3),
                "folder": str(sample.folder),
                "cost": asdict(sample.cost),
                "report": json.loads(sample.report.as_json()),
            }
            for sample in self.samples
        ]
        facts = {
            "video": str(self.video),
            "estimate": {
                **asdict(self.whole),
                "frames_per_second": round(self.whole.frames_per_second, 4),
            },
            "free_bytes": self.free_bytes,
            "quality": self.quality,
            "samples": rows,
        }
        return json.dumps(facts, indent=1, ensure_ascii=False)


def sample_video(
    video: Path | str,
    output: Path | str,
    seconds: float,
    config: Config | None = None,
    observer: Observer = ignore,
) -> SampleReport:
    """Make evenly spread samples of a run and say what all of it will take.

    Args:
        video: as of `matte_video`.
        output: the run's own directory; everything goes into `sample` below it.
        seconds: length of all samples together.
        config: the run's settings; defaults where None.
        observer: receives progress events and notices.

    Raises:
        VrmatteError: see `vrmatte.errors` for the tree and the exit codes.
    """
    video, output, config = Path(video), Path(output), config or Config()
    folder, observer = output / SAMPLE_FOLDER, _telling_once(observer)
    told = config.input
    source = probe(video, layout=told.layout, projection=told.projection, lens=told.lens)
    check_source(source)
    began = time.monotonic()
    timeline = read_timeline(source, told.on_damage, observer)
    scan_seconds = time.monotonic() - began
    plan = make_plan(
        source, fingerprint(video), timeline, WHOLE_EYES, choose_engine(config), config
    )
    spans = sample_spans(plan.chunks[0].first, plan.chunks[-1].last, plan.rate, seconds)
    _make_folder(folder)
    people, scout_seconds = scout_samples(plan, spans, output, folder, config, observer)
    config = config.model_copy(update={"people": config.people.model_copy(update={"file": people})})
    samples = tuple(
        _made(source, timeline, span, folder / f"{number:02d}", config, observer)
        for number, span in enumerate(spans, 1)
    )
    known = WholeRun(len(plan.selected), len(plan.chunks), scan_seconds, scout_seconds)
    whole = estimate([sample.cost for sample in samples], known)
    free = shutil.disk_usage(folder).free
    report = SampleReport(video, folder, samples, whole, free, quality_of(samples))
    _say_what_is_scarce(plan, report, observer)
    replace_text(folder / SAMPLE_FILE, report.as_json() + "\n")
    return report


def sample_spans(first: int, last: int, rate: Fraction, seconds: float) -> list[Span]:
    """Spans of equal length, evenly spread over frames first..last-1; all of them if that few."""
    frames, wanted = last - first, max(2, round(seconds * float(rate)))
    if wanted >= frames:
        return [(first, last)]
    count = max(1, min(MOST_SAMPLES, int(seconds / LEAST_SAMPLE_SECONDS)))
    length = max(2, wanted // count)
    starts = [first + round((i + 0.5) * frames / count - length / 2) for i in range(count)]
    return [(start, min(start + length, last)) for start in starts]


def quality_of(samples: Sequence[Sample]) -> dict[str, object]:
    """What the samples' own reports say, all together."""
    summaries = [s.report.quality for s in samples if s.report.quality is not None]
    figures = [asdict(figure) for summary in summaries for figure in summary.figures]
    return {
        "stereo": _stereo_of(samples),
        "scores": [asdict(line) for line in score_lines(figures)],
    }


def _stereo_of(samples: Sequence[Sample]) -> dict[str, object] | None:
    people = [(person, sample) for sample in samples for person in _people(sample.report.stereo)]
    frames = sum(person["frames"] for person, _ in people)
    if not frames:
        return None
    worst, where = min(people, key=lambda each: each[0]["worst"])
    flagged = sum(b - a + 1 for person, _ in people for a, b in person["flagged"])
    return {
        "mean": round(sum(p["mean"] * p["frames"] for p, _ in people) / frames, 4),
        "worst": worst["worst"],
        "worst_frame": worst["worst_frame"],
        "worst_sample": str(where.folder),
        "flagged_share": round(flagged / frames, 4),
    }


def _people(stereo: Mapping[str, object] | None) -> list[dict[str, Any]]:
    return [] if stereo is None else cast(list[dict[str, Any]], stereo["people"])


def _telling_once(observer: Observer) -> Observer:
    """Each sample has the same to say of weights and settings."""
    told: set[str] = set()

    def tell(event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in told:
                return
            told.add(event.text)
        observer(event)

    return tell


class _Clock:
    """Passes events on and keeps when they came."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._began: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        """By stage, all times it ran together."""
        self.mattes: list[float] = []
        """When each matte was made."""

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Started):
            self._began[event.stage] = now
        elif isinstance(event, Finished):
            taken = now - self._began.pop(event.stage, now)
            self.seconds[event.stage] = self.seconds.get(event.stage, 0.0) + taken
        elif isinstance(event, Advanced) and event.stage == "matte":
            self.mattes.append(now)
        self._observer(event)

    def of(self, *stages: str) -> float:
        """Seconds of some stages together."""
        return sum(self.seconds.get(stage, 0.0) for stage in stages)


def _made(
    source: SourceInfo,
    timeline: Timeline,
    span: Span,
    folder: Path,
    config: Config,
    observer: Observer,
) -> Sample:
    """One sample, made anew."""
    first, last = span
    window = {
        "start": timeline.seconds(first) if first else None,
        "end": timeline.seconds(last) if last < len(timeline) else None,
    }
    config = config.model_copy(update={"input": config.input.model_copy(update=window)})
    clock = _Clock(observer)
    began = time.monotonic()
    report = matte_video(source.path, folder, config, fresh=True, observer=clock)
    taken = time.monotonic() - began
    shutil.rmtree(folder / WORK_FOLDER / ASIDE_FOLDER, ignore_errors=True)
    cost = _cost(report, clock, taken, folder / WORK_FOLDER / source.path.stem / "chunks")
    return Sample(first, last, timeline.seconds(first), folder, cost, report)


def _cost(report: RunReport, clock: _Clock, taken: float, chunks: Path) -> SampleCost:
    sizes = [(path.name, path.stat().st_size) for path in chunks.rglob("*") if path.is_file()]
    of_chunks = sum(
        report.stage_seconds.get(name, 0.0) for name in (OPEN_FILES, CLOSE_FILES, STATE)
    )
    between = clock.mattes[-1] - clock.mattes[0] if clock.mattes else 0.0
    # What lies between the mattes of two chunks is counted with the chunks.
    inner = of_chunks * (report.chunks - 1) / report.chunks
    return SampleCost(
        frames=report.frames,
        chunks=report.chunks,
        seconds=taken - clock.of("scan", "scout"),
        frame_seconds=max(0.0, between - inner),
        chunk_seconds=of_chunks,
        finish_seconds=clock.of("join", "verify"),
        file_bytes={file.deliverable: file.bytes for file in report.files},
        store_bytes=sum(size for name, size in sizes if name == MATTE_FILE),
        chunk_bytes=sum(size for name, size in sizes if name != MATTE_FILE),
    )


def _say_what_is_scarce(plan: Plan, report: SampleReport, observer: Observer) -> None:
    if report.whole.peak_bytes > report.free_bytes:
        observer(
            Notice(
                f"{plan.source.path}: the whole run needs about {report.whole.peak_bytes >> 20} MB "
                f"on disk, and {report.free_bytes >> 20} MB are free"
            )
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error
