"""`vrmatte run --sample`: process short samples of a video, and estimate the whole run.

Everything is written to OUT/sample, so a later run finds its own directory unchanged.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from vrmatte.commands.estimate import Estimate, SampleCost, WholeRun, estimate
from vrmatte.commands.run import matte_video
from vrmatte.files import make_folder, replace_text
from vrmatte.frames import Timeline
from vrmatte.jobs.job_folder import ASIDE_FOLDER, WORK_FOLDER, job_name
from vrmatte.jobs.stall import OnStall
from vrmatte.matting.engines.choose import choose_engine
from vrmatte.media.damage import read_timeline
from vrmatte.media.naming import check_video_name
from vrmatte.media.probe import SourceInfo
from vrmatte.media.scan import fingerprint
from vrmatte.media.source import open_source
from vrmatte.outputs import MATTE_FILE
from vrmatte.people.document import write_people
from vrmatte.people.viewports import viewports_for
from vrmatte.people.yolox import open_detector
from vrmatte.plan import Plan, make_plan
from vrmatte.profiling.run_profile import CLOSE_FILES, OPEN_FILES, STATE
from vrmatte.progress import Advanced, Event, Finished, Notice, Observer, Started, ignore
from vrmatte.quality.summary import score_lines
from vrmatte.report.report import RunReport
from vrmatte.scout import people_file, scout
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES, LensAlignment, People, Person, Shot, SourceIdentity

SAMPLE_FOLDER = "sample"
SAMPLE_FILE = "sample.json"
MOST_SAMPLES = 5
LEAST_SAMPLE_SECONDS = 0.5
"""Fewer samples are taken rather than shorter ones: their start would outweigh the rest."""

FrameSpan = tuple[int, int]
"""Frames first..last-1 of the source."""


@dataclass(frozen=True, slots=True)
class ProcessedSample:
    """One sample, with its files, cost and report."""

    first: int
    last: int
    at_seconds: float
    folder: Path
    cost: SampleCost
    report: RunReport


@dataclass(frozen=True, slots=True)
class SampleReport:
    """All samples, and the estimate for the whole run."""

    video: Path
    folder: Path
    samples: tuple[ProcessedSample, ...]
    whole: Estimate
    free_bytes: int
    """Free space on the disk of the output."""
    quality: Mapping[str, object]

    def as_json(self) -> str:
        """Return the report as JSON."""
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
    on_stall: OnStall | None = None,
) -> SampleReport:
    """Process evenly spread samples of a video, and estimate time and sizes of the whole run.

    Args:
        video: as for `matte_video`.
        output: directory of the run; everything is written to its folder `sample`.
        seconds: total length of the samples.
        config: settings of the run; defaults where None.
        observer: receives progress events and notices.
        on_stall: as for `matte_video`.

    Raises:
        VrmatteError: see `vrmatte.errors` for the subclasses and their exit codes.
    """
    video, output, config = Path(video), Path(output), config or Config()
    check_video_name(video)
    folder, observer = output / SAMPLE_FOLDER, _each_notice_once(observer)
    source = open_source(video, config.input)
    began = time.monotonic()
    timeline = read_timeline(source, config.input.on_damage, observer)
    scan_seconds = time.monotonic() - began
    plan = make_plan(
        source, fingerprint(video), timeline, WHOLE_EYES, choose_engine(config), config
    )
    spans = sample_spans(plan.chunks[0].first, plan.chunks[-1].last, plan.rate, seconds)
    make_folder(folder)
    people, scout_seconds = scout_samples(plan, spans, output, folder, config, observer)
    config = config.model_copy(update={"people": config.people.model_copy(update={"file": people})})
    samples = tuple(
        _process(source, timeline, span, folder / f"{number:02d}", config, observer, on_stall)
        for number, span in enumerate(spans, 1)
    )
    known = WholeRun(len(plan.selected), len(plan.chunks), scan_seconds, scout_seconds)
    whole = estimate([sample.cost for sample in samples], known)
    free = shutil.disk_usage(folder).free
    report = SampleReport(video, folder, samples, whole, free, quality_of(samples))
    for text in space_notices(video, whole.peak_bytes, free):
        observer(Notice(text))
    replace_text(folder / SAMPLE_FILE, report.as_json() + "\n")
    return report


def space_notices(video: Path, needed_bytes: int, free_bytes: int) -> Iterator[str]:
    """Warn if the whole run needs more disk space than is free."""
    if needed_bytes > free_bytes:
        yield (
            f"{video}: the whole run needs about {needed_bytes >> 20} MB on disk, and "
            f"{free_bytes >> 20} MB are free"
        )


def scout_samples(
    plan: Plan,
    spans: Sequence[tuple[int, int]],
    output: Path,
    folder: Path,
    config: Config,
    observer: Observer,
) -> tuple[Path | None, float]:
    """Return the document of people for the samples, and the time to scout the whole video.

    An existing document is used as it is: the one named by `people.file`, or that of an earlier
    scout or run in `output`.

    Args:
        plan: of the whole video.
        spans: frames of each sample.
        output: directory of the run.
        folder: directory for the document of the samples.
        config: settings of the detector and of people.
        observer: receives progress events.

    Returns:
        None instead of a document if no people are detected, or no detector is available.
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
    scouted = [
        (first, scout(plan.source, plan.timeline.slice(first, last), detector, config, observer))
        for first, last in spans
    ]
    seconds = time.monotonic() - began
    frames = sum(last - first for first, last in spans)
    path = people_file(plan.source.path, folder)
    write_people(_combine(plan, scouted), path)
    return path, seconds * len(plan.timeline) / frames


def _combine(plan: Plan, scouted: Sequence[tuple[int, People]]) -> People:
    """Return one document of the whole video, with no people between the samples."""
    people: list[Person] = []
    cuts = {0}
    for first, sample in scouted:
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
    return People(whole, shots, tuple(people), viewports, lenses=_lenses(scouted))


def _moved(person: Person, frames: int, number: int) -> Person:
    boxes = tuple(replace(box, frame=box.frame + frames) for box in person.boxes)
    return replace(person, id=number, boxes=boxes)


def _lenses(scouted: Sequence[tuple[int, People]]) -> LensAlignment | None:
    """Return the alignment of the middle sample: lenses don't move."""
    alignments = [sample.lenses for _, sample in scouted if sample.lenses is not None]
    return alignments[len(alignments) // 2] if alignments else None


def sample_spans(first: int, last: int, rate: Fraction, seconds: float) -> list[FrameSpan]:
    """Return evenly spread spans of frames first..last-1; one span if the samples cover all."""
    frames, wanted = last - first, max(2, round(seconds * float(rate)))
    if wanted >= frames:
        return [(first, last)]
    count = max(1, min(MOST_SAMPLES, int(seconds / LEAST_SAMPLE_SECONDS)))
    length = max(2, wanted // count)
    starts = [first + round((i + 0.5) * frames / count - length / 2) for i in range(count)]
    return [(start, min(start + length, last)) for start in starts]


def quality_of(samples: Sequence[ProcessedSample]) -> dict[str, object]:
    """Return the stereo agreement and the scores of all samples together."""
    summaries = [s.report.quality for s in samples if s.report.quality is not None]
    figures = [asdict(figure) for summary in summaries for figure in summary.figures]
    return {
        "stereo": _stereo_of(samples),
        "scores": [asdict(line) for line in score_lines(figures)],
    }


def _stereo_of(samples: Sequence[ProcessedSample]) -> dict[str, object] | None:
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


def _each_notice_once(observer: Observer) -> Observer:
    """Return an observer that drops repeated notices: all samples have the same about weights."""
    texts: set[str] = set()

    def observe(event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in texts:
                return
            texts.add(event.text)
        observer(event)

    return observe


class _StageClock:
    """Observer that passes events on, and measures the time of each stage."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._began: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        """Total time by stage."""
        self.mattes: list[float] = []
        """Time at which each matte was finished."""

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Started):
            self._began[event.stage] = now
        elif isinstance(event, Finished):
            seconds = now - self._began.pop(event.stage, now)
            self.seconds[event.stage] = self.seconds.get(event.stage, 0.0) + seconds
        elif isinstance(event, Advanced) and event.stage == "matte":
            self.mattes.append(now)
        self._observer(event)

    def of(self, *stages: str) -> float:
        """Return the total time of some stages, in seconds."""
        return sum(self.seconds.get(stage, 0.0) for stage in stages)


def _process(
    source: SourceInfo,
    timeline: Timeline,
    span: FrameSpan,
    folder: Path,
    config: Config,
    observer: Observer,
    on_stall: OnStall | None,
) -> ProcessedSample:
    """Process one sample from scratch."""
    first, last = span
    window = {
        "start": timeline.seconds(first) if first else None,
        "end": timeline.seconds(last) if last < len(timeline) else None,
    }
    config = config.model_copy(update={"input": config.input.model_copy(update=window)})
    clock = _StageClock(observer)
    began = time.monotonic()
    report = matte_video(source.path, folder, config, fresh=True, observer=clock, on_stall=on_stall)
    seconds = time.monotonic() - began
    shutil.rmtree(folder / WORK_FOLDER / ASIDE_FOLDER, ignore_errors=True)
    cost = _cost(
        report, clock, seconds, folder / WORK_FOLDER / job_name(source.path.stem) / "chunks"
    )
    return ProcessedSample(first, last, timeline.seconds(first), folder, cost, report)


def _cost(report: RunReport, clock: _StageClock, seconds: float, chunks: Path) -> SampleCost:
    sizes = [(path.name, path.stat().st_size) for path in chunks.rglob("*") if path.is_file()]
    of_chunks = sum(
        report.stage_seconds.get(name, 0.0) for name in (OPEN_FILES, CLOSE_FILES, STATE)
    )
    between = clock.mattes[-1] - clock.mattes[0] if clock.mattes else 0.0
    # The time between the mattes of two chunks is counted with the chunks.
    inner = of_chunks * (report.chunks - 1) / report.chunks
    return SampleCost(
        frames=report.frames,
        chunks=report.chunks,
        seconds=seconds - clock.of("scan", "scout"),
        frame_seconds=max(0.0, between - inner),
        chunk_seconds=of_chunks,
        finish_seconds=clock.of("join", "verify"),
        file_bytes={file.deliverable: file.bytes for file in report.files},
        store_bytes=sum(size for name, size in sizes if name == MATTE_FILE),
        chunk_bytes=sum(size for name, size in sizes if name != MATTE_FILE),
    )
