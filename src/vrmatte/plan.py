"""The plan of a run: frames, chunks, files, encoders and keys, decided before anything is made.

A plan consists of plain values. The key of each piece is a digest of everything that shapes it, so
a piece is made again exactly when one of these has changed. No frame is read here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, replace
from fractions import Fraction

from vrmatte.compose.view import SourceView
from vrmatte.deliverables.decide import (
    Deliverable,
    Parameters,
    decide_deliverables,
    source_view,
)
from vrmatte.errors import ConfigError
from vrmatte.frames import Eye, Timeline
from vrmatte.geometry.projection import EyeProjection, Fisheye
from vrmatte.matting.base import EngineChoice
from vrmatte.matting.build import sized_paths, smaller_paths
from vrmatte.matting.engines.choose import network_scale
from vrmatte.matting.engines.masked import MASKED_VERSION
from vrmatte.matting.stereo_matting import stereo_parameters
from vrmatte.matting.viewport_matting import SizedPath
from vrmatte.media.containers.constant_rate import at_exact_rate
from vrmatte.media.containers.copied_streams import Window
from vrmatte.media.probe import SourceInfo
from vrmatte.media.source import source_notices
from vrmatte.settings.config import Config
from vrmatte.subjects import Person, Subjects

MATTE_VERSION = 2
"""Incremented whenever the same input and settings would give another matte."""
COMPOSE_VERSION = 1
"""Incremented whenever the same matte would give other frames in a deliverable."""

CHUNK_SECONDS = 4
"""Default length of a chunk: the most that a killed run can lose."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of frames that is processed as a unit."""

    index: int
    first: int
    """First frame, counted in the whole source."""
    last: int
    """One past the last frame."""
    warmup: int
    """Frames before `first` to run first if there is no saved state."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run is going to do."""

    source: SourceInfo
    fingerprint: str
    """Identity of the source's content."""
    timeline: Timeline
    """All frames of the source."""
    rate: Fraction
    """Nominal frame rate; times never derive from it."""
    window: Window | None
    """Times of the source that finished files cover, from 0 on; None: all, with the source's own
    times."""
    chunks: tuple[Chunk, ...]
    viewports: tuple[SizedPath, ...] | None
    """Viewports with their network sizes; None: whole eyes."""
    subjects: Subjects
    engine: EngineChoice
    deliverables: tuple[Deliverable, ...]
    config: Config
    notices: tuple[str, ...]
    cold_starts: frozenset[str] = frozenset()
    """Keys of mattes that failed, so that the chunks after them start without a saved state."""

    @property
    def eye_px(self) -> int:
        """Size of one eye."""
        return self.source.height

    @property
    def eye(self) -> EyeProjection:
        """Projection of each eye of the source."""
        return self.source.eye_projection

    @property
    def source_view(self) -> SourceView:
        """View of source frames, and of the images composed from them."""
        return source_view(self.source, self.config)

    @property
    def selected(self) -> Timeline:
        """The frames to process, with their times in the source."""
        return self.timeline.slice(self.chunks[0].first, self.chunks[-1].last)

    @property
    def promised(self) -> Timeline:
        """The frames of a finished file, with their times in it."""
        line = self.selected
        begin = round(self.window[0] / line.time_base) if self.window else 0
        own = Timeline(line.pts - begin, line.time_base, line.end_pts - begin)
        return at_exact_rate(own, self.rate)

    def matte_parameters(self) -> list[Parameters]:
        """Return what shapes each chunk's matte, including the state after the chunk before."""
        result: list[Parameters] = []
        previous: str | None = None
        excluded = self._excluded()
        for chunk in self.chunks:
            goes_on = previous and previous not in self.cold_starts and self.goes_on(chunk)
            start = {"after": previous} if goes_on else {"warmup": chunk.warmup}
            parameters = {
                "version": MATTE_VERSION,
                "input": self.fingerprint,
                "frames": [chunk.first, chunk.last],
                "engine": self.engine.name,
                "weights": self.engine.weights_sha256,
                "views": self._views(chunk),
                "excluded": excluded,
                "start": start,
                **self._precision(chunk),
                **self._lens(),
                **self._stereo(),
                **self._masks(),
                **self._held(chunk),
            }
            previous = key_of(parameters)
            result.append(parameters)
        return result

    def goes_on(self, chunk: Chunk) -> bool:
        """Return True if the state after the previous chunk fits: the network has the same size."""
        downgrade = self.engine.downgrade
        return chunk.index > 0 and downgrade(chunk.index).scale == downgrade(chunk.index - 1).scale

    def downgraded_for(self, chunk: Chunk) -> Plan:
        """Return the plan with the network's size and precision in this chunk."""
        downgrade = self.engine.downgrade(chunk.index)
        engine = replace(self.engine, precision=downgrade.precision)
        if downgrade.scale == 1:
            return replace(self, engine=engine)
        viewports, config = self.viewports, self.config
        if viewports is not None:
            viewports = smaller_paths(viewports, downgrade.scale)
        else:
            scale = network_scale(config, self.eye_px) * downgrade.scale
            processing = config.processing.model_copy(update={"scale_factor": scale})
            config = config.model_copy(update={"processing": processing})
        return replace(self, engine=engine, viewports=viewports, config=config)

    def _precision(self, chunk: Chunk) -> Parameters:
        """Omit full precision, so that keys of earlier versions stay valid."""
        precision = self.engine.downgrade(chunk.index).precision
        return {} if precision == "fp32" else {"precision": precision}

    def _lens(self) -> Parameters:
        """Return the field of view of fisheyes; half-equirectangular eyes have none."""
        if isinstance(self.eye, Fisheye):
            return {"fisheye_deg": self.eye.fov_deg}
        return {}

    def _stereo(self) -> Parameters:
        """Return the stereo correction and the boxes it uses; nothing for independent eyes.

        Boxes decide which pixels are judged as one person, so they shape what is corrected.
        """
        stereo = stereo_parameters(self.config, self.subjects.lenses)
        if stereo is None:
            return {}
        return {"stereo": stereo, "people": key_of({"boxes": _boxes_of(self.subjects)})}

    def _masks(self) -> Parameters:
        """Return the mask source and its prompts; nothing for engines without one."""
        engine = self.engine
        if engine.masks is None:
            return {}
        return {
            "masks": {
                "version": MASKED_VERSION,
                "weights": engine.masks.sha256,
                "refiner": engine.refiner,
                "interval": self.config.detection.interval_frames,
            },
            "prompts": key_of(
                {"people": _boxes_of(self.subjects), "by_hand": _prompts_by_hand(self.subjects)}
            ),
        }

    def _held(self, chunk: Chunk) -> Parameters:
        """Return the frames that replace damaged ones; nothing for a chunk without damage."""
        held = [
            [span.first, span.last, span.shown]
            for span in self.timeline.held
            if span.first < chunk.last and span.last > chunk.first - chunk.warmup
        ]
        return {"held": held} if held else {}

    def _views(self, chunk: Chunk) -> object:
        """Return the views that the engine sees during a chunk, as plain values."""
        plan = self.downgraded_for(chunk)
        if plan.viewports is None:
            return {"whole_eyes": network_scale(plan.config, self.eye_px)}
        return [
            asdict(sized)
            for sized in plan.viewports
            if sized.path.first < chunk.last and sized.path.last > chunk.first - chunk.warmup
        ]

    def _excluded(self) -> str | None:
        """Return a digest of people and exclusions; None if nothing is excluded."""
        if not self.subjects.anything_leaves:
            return None
        regions = [
            {"bounds": astuple(r.box), "eye": "both", "first": r.first, "last": r.last}
            for r in self.subjects.regions
        ]
        return key_of({"viewports": None, "people": _boxes_of(self.subjects), "regions": regions})

    def of(self, subjects: Subjects) -> Plan:
        """Return the same plan for other subjects."""
        viewports = _sized(subjects, self.config, self.eye)
        return replace(self, subjects=subjects, viewports=viewports)


def _boxes_of(subjects: Subjects) -> list[Parameters]:
    """Return what shapes mattes of each person; scores and kinds don't.

    The layout is that of earlier versions, so that their mattes stay valid.
    """

    def sides(person: Person, eye: Eye) -> list[tuple[float, ...] | None]:
        boxes = [timed.eye(eye) for timed in person.boxes]
        return [None if box is None else astuple(box) for box in boxes]

    return [
        {
            "id": person.id,
            "keep": person.keep,
            "first": person.first,
            "last": person.last,
            "frames": person.frames,
            "left": sides(person, Eye.LEFT),
            "right": sides(person, Eye.RIGHT),
        }
        for person in subjects.people
    ]


def _prompts_by_hand(subjects: Subjects) -> list[Parameters]:
    """Return the frames with boxes or points set by hand, and their points."""
    return [
        {
            "person": person.id,
            "frame": frame,
            "points": [
                (p.eye, p.yaw_deg, p.pitch_deg, p.is_person)
                for p in person.points
                if p.frame == frame
            ],
        }
        for person in subjects.people
        for frame in person.frames_by_hand
    ]


def key_of(parameters: Parameters) -> str:
    """Return a digest of plain values, independent of their order."""
    text = json.dumps(parameters, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def make_plan(
    source: SourceInfo,
    fingerprint: str,
    timeline: Timeline,
    subjects: Subjects,
    engine: EngineChoice,
    config: Config,
    chunk_frames: int | None = None,
) -> Plan:
    """Lay out a run. `chunk_frames` keeps the chunk length of an earlier run.

    Raises:
        ConfigError: settings that can't be met.
    """
    rate = _nominal_rate(source, timeline)
    first, last = _selection(timeline, config)
    deliverables, notices = decide_deliverables(source, timeline.time_base, rate, config)
    notices = (*source_notices(source), *notices)
    return Plan(
        source=source,
        fingerprint=fingerprint,
        timeline=timeline,
        rate=rate,
        window=_window(timeline, first, last),
        chunks=_chunks(first, last, chunk_frames or _chunk_frames(rate, config), config),
        viewports=_sized(subjects, config, source.eye_projection),
        subjects=subjects,
        engine=engine,
        deliverables=deliverables,
        config=config,
        notices=notices,
    )


def _sized(subjects: Subjects, config: Config, eye: EyeProjection) -> tuple[SizedPath, ...] | None:
    if subjects.viewports is None:
        return None
    return sized_paths(subjects.viewports, config, eye)


def _nominal_rate(source: SourceInfo, timeline: Timeline) -> Fraction:
    if source.average_rate:
        return source.average_rate
    seconds = (timeline.end_pts - int(timeline.pts[0])) * timeline.time_base
    return (len(timeline) / seconds).limit_denominator(1001)


def _selection(timeline: Timeline, config: Config) -> tuple[int, int]:
    start, end = config.input.start, config.input.end
    first = 0 if start is None else timeline.index_at(start)
    last = len(timeline) if end is None else timeline.index_at(end)
    if first >= last:
        raise ConfigError(
            f"input.start={start} and input.end={end} select no frames; the video lasts "
            f"{timeline.end_seconds:.3f} s"
        )
    return first, last


def _window(timeline: Timeline, first: int, last: int) -> Window | None:
    if (first, last) == (0, len(timeline)):
        return (timeline.origin_pts * timeline.time_base, None) if timeline.origin_pts else None
    end = int(timeline.pts[last]) if last < len(timeline) else timeline.end_pts
    return int(timeline.pts[first]) * timeline.time_base, end * timeline.time_base


def _chunk_frames(rate: Fraction, config: Config) -> int:
    return config.processing.chunk_size or max(1, round(CHUNK_SECONDS * rate))


def _chunks(first: int, last: int, frames: int, config: Config) -> tuple[Chunk, ...]:
    warmup = config.processing.overlap_frames
    return tuple(
        Chunk(index, start, min(start + frames, last), warmup)
        for index, start in enumerate(range(first, last, frames))
    )


def deliverable_parameters(plan: Plan, deliverable: Deliverable, matte_key: str) -> Parameters:
    """Return what shapes one chunk of a deliverable."""
    return {
        "version": COMPOSE_VERSION,
        "matte": matte_key,
        "pictures": deliverable.parameters,
        "encoder": asdict(deliverable.sequence or deliverable.encoder),
        "color": asdict(deliverable.color),
        "size": list(deliverable.size),
        **({"found": key_of(asdict(plan.subjects))} if deliverable.kind.shows_subjects else {}),
    }


def changed_parameters(old: Parameters, new: Parameters) -> list[str]:
    """Describe how two parameter sets differ, for people: "encoder.options: a -> b"."""
    before, after = _flat(old), _flat(new)
    names = [n for n in after | before if before.get(n) != after.get(n)]
    own = [n for n in names if n not in ("matte", "start.after")]
    return [f"{n}: {before.get(n)} -> {after.get(n)}" for n in own] or [
        "the chunk before it changed" if "start.after" in names else "its matte changed"
    ]


def _flat(parameters: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    result: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            result |= _flat(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = json.loads(json.dumps(value, default=str))
    return result
