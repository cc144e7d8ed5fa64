"""Robust Video Matting's own converter against ours, on the same clip with the same outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.clips import RATE, ClipMaker
from benchmarks.measure import Outcome, ProcessUsage, in_turns, row_of, run_task, speed_goal
from benchmarks.peer_copy import (
    ANSWER,
    CHECKPOINT,
    NOTES,
    copy_peer,
    missing_libraries,
    run_peer,
)
from benchmarks.scope import Scope
from benchmarks.tasks import Task, TaskKind
from benchmarks.values import BenchResult, Goal
from vrmatte.media.encoders import choose_encoder
from vrmatte.outputs import MATTE_FILE
from vrmatte.progress import Observer

NAME = "peer"
END_TO_END_AT_LEAST = 4.0
OUTSIDE_CODEC_AT_LEAST = 12.0
_JUDGED_FROM_PX = 6144
"""The bounds are for frames at least this wide: the peer's waste grows with the frame size."""
_NETWORK_PX = 512
"""Width of the network's input for a whole frame: the peer's automatic choice."""
_ONLY_WHAT_BOTH_DO = {
    "matting.use_disparity_mapping": False,
    "quality.scores": False,
    "output.report": "json",
}
"""The peer doesn't compare eyes, score mattes, or write a page."""


@dataclass(frozen=True, slots=True)
class _Converted:
    """The peer's time and files."""

    wall_seconds: float
    cpu_seconds: float
    usage: ProcessUsage
    files: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Codec:
    """CPU seconds of the codecs in a run."""

    all: float
    encoding: float
    """Encoding of its files alone."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One clip, our settings, and the peer's copy."""

    scope: Scope
    clip: Path
    settings: Mapping[str, object]
    plain_settings: Mapping[str, object]
    """The same without work that the peer doesn't do."""
    ratio: float
    copy: Path
    checkpoint: Path | None

    @property
    def place(self) -> Path:
        """The directory of our job."""
        return self.scope.out / "runs" / NAME

    def ours(self) -> Outcome:
        """Run our job: whole eyes, green screen and matte."""
        return run_task(self.scope, Task("job", self.clip, self.place, self.settings))

    def plain(self) -> Outcome:
        """Run our job without work that the peer doesn't do."""
        place = self.place.with_name(f"{NAME}-plain")
        return run_task(self.scope, Task("job", self.clip, place, self.plain_settings))

    def theirs(self) -> _Converted:
        """Run the peer's converter: composition and alpha.

        Raises:
            VrmatteError: it failed.
        """
        com, pha = (str(self.copy / f"{name}.mp4") for name in ("com", "pha"))
        facts = {
            "video": str(self.clip.absolute()),
            "ratio": self.ratio,
            "com": com,
            "pha": pha,
            "checkpoint": str(self.checkpoint.absolute()) if self.checkpoint else None,
            "device": self.scope.device,
        }
        (self.copy / "task.json").write_text(json.dumps(facts), "utf-8")
        command = (self.scope.peer_python, "measured.py", "task.json", ANSWER)
        wall, cpu, usage = run_peer(command, self.copy, "the peer's converter")
        return _Converted(wall, cpu, usage, (com, pha))

    def our_codec(self, files: tuple[str, ...]) -> _Codec:
        """Measure the CPU time of the codecs in our job, by its files."""
        coded = [self._coded(Path(name)) for name in files]
        # Each is encoded once and decoded once: files to be verified, mattes to make the files.
        both = sum(both for both, _ in coded)
        both += sum(self._measured("transcode", store) for store in self._stores())
        # The scan decodes the start and the end of the source.
        scanning = self._measured("scan", self.clip)
        encoding = sum(both - alone for both, alone in coded)
        return _Codec(scanning + self._decoded(self.clip) + both, encoding)

    def their_codec(self, files: tuple[str, ...]) -> _Codec:
        """Measure the same of the peer, which doesn't decode its files."""
        encoding = sum(both - alone for both, alone in map(self._coded, map(Path, files)))
        return _Codec(self._decoded(self.clip) + encoding, encoding)

    def _stores(self) -> list[Path]:
        return sorted(self.place.glob(f".vrmatte/*/chunks/*/{MATTE_FILE}"))

    def _coded(self, path: Path) -> tuple[float, float]:
        """Return CPU seconds of decoding and re-encoding a file, and of decoding alone."""
        return self._measured("transcode", path), self._decoded(path)

    def _decoded(self, path: Path) -> float:
        return self._measured("decode", path)

    def _measured(self, kind: TaskKind, path: Path) -> float:
        settings = dict(self.settings)
        if path.name == MATTE_FILE:
            output = cast(Mapping[str, object], settings["output"])
            settings["output"] = {**output, "deliver": ["matte-lossless"]}
        place = self.scope.out / "runs" / f"{NAME}-codec"
        return run_task(self.scope, Task(kind, self.clip, place, settings, read=path)).cpu_seconds


def measure(scope: Scope, observer: Observer) -> BenchResult:
    """Compare composition and alpha files of one clip, with the same network input and encoder."""
    if scope.peer is None:
        return BenchResult((), missing=(f"{NAME}: pass --peer, a checkout of RobustVideoMatting",))
    lacking = missing_libraries(scope.peer_python)
    if lacking:
        return BenchResult(
            (),
            missing=(
                f"{NAME}: {scope.peer_python} lacks {', '.join(lacking)}; install them there, or "
                "name another interpreter with --peer-python",
            ),
        )
    case = _prepare(scope, scope.peer, observer)
    cases = {"ours": case.ours, "plain": case.plain, "theirs": case.theirs}
    outcomes = in_turns(cases, scope.repeats, NAME, observer)
    ours, plain = ([o for o in outcomes[n] if isinstance(o, Outcome)] for n in ("ours", "plain"))
    theirs = [one for one in outcomes["theirs"] if isinstance(one, _Converted)]
    our_codec = case.our_codec(ours[-1].answer.files)
    their_codec = case.their_codec(theirs[-1].files)
    figures = _figures(ours, plain, theirs, our_codec, their_codec)
    size = scope.overhead_size
    name = f"{size[0]}x{size[1]}, ratio {case.ratio:.4f}"
    weights = "its own weights" if case.checkpoint else "random weights (no .pth in the checkout)"
    notes = (*NOTES, f"the peer runs with {weights}")
    row = row_of(NAME, name, figures, [one.usage for one in (*ours, *plain, *theirs)], notes)
    if size[0] < _JUDGED_FROM_PX:
        return BenchResult((row,))
    # Judged by equal work; the cost of our additional work is in the other figures.
    outside = "plain_outside_codec_cpu_ratio"
    ratio = row.figures[outside].median
    goals = (
        speed_goal(row, "plain_wall_ratio", "plain_cpu_ratio", at_least=END_TO_END_AT_LEAST),
        Goal(NAME, name, outside, ratio, at_least=OUTSIDE_CODEC_AT_LEAST),
    )
    return BenchResult((row,), goals)


def _figures(
    ours: Sequence[Outcome],
    plain: Sequence[Outcome],
    theirs: Sequence[_Converted],
    our_codec: _Codec,
    their_codec: _Codec,
) -> dict[str, list[float]]:
    rounds = list(zip(ours, theirs, strict=True))
    per_frame = 1000 / ours[0].answer.frames
    return {
        **_ratios(ours, theirs, our_codec, their_codec),
        **{
            f"plain_{name}": values
            for name, values in _ratios(plain, theirs, our_codec, their_codec).items()
        },
        "outside_encoding_cpu_ratio": [
            (t.cpu_seconds - their_codec.encoding) / (o.cpu_seconds - our_codec.encoding)
            for o, t in rounds
        ],
        "ours_wall_ms_per_frame": [o.wall_seconds * per_frame for o in ours],
        "ours_cpu_ms_per_frame": [o.cpu_seconds * per_frame for o in ours],
        "plain_cpu_ms_per_frame": [o.cpu_seconds * per_frame for o in plain],
        "ours_codec_cpu_ms_per_frame": [our_codec.all * per_frame],
        "ours_encoding_cpu_ms_per_frame": [our_codec.encoding * per_frame],
        "ours_peak_rss_mb": [o.peak_bytes / 1e6 for o in ours],
        "peer_wall_ms_per_frame": [t.wall_seconds * per_frame for t in theirs],
        "peer_cpu_ms_per_frame": [t.cpu_seconds * per_frame for t in theirs],
        "peer_codec_cpu_ms_per_frame": [their_codec.all * per_frame],
        "peer_encoding_cpu_ms_per_frame": [their_codec.encoding * per_frame],
        "peer_peak_rss_mb": [t.usage.peak_bytes / 1e6 for t in theirs],
    }


def _ratios(
    ours: Sequence[Outcome], theirs: Sequence[_Converted], our_codec: _Codec, their_codec: _Codec
) -> dict[str, list[float]]:
    rounds = list(zip(ours, theirs, strict=True))
    return {
        "wall_ratio": [t.wall_seconds / o.wall_seconds for o, t in rounds],
        "cpu_ratio": [t.cpu_seconds / o.cpu_seconds for o, t in rounds],
        "outside_codec_cpu_ratio": [
            (t.cpu_seconds - their_codec.all) / (o.cpu_seconds - our_codec.all) for o, t in rounds
        ],
    }


def _prepare(scope: Scope, checkout: Path, observer: Observer) -> _Case:
    size = scope.overhead_size
    ratio = min(1.0, _NETWORK_PX / size[0])
    asked = {
        "processing.projection": "half_equirect",
        "processing.scale_factor": ratio,
        "output.deliver": ["greenscreen", "matte"],
        "output.codec": "h264",
        "output.encoder": "software",
    }
    config = scope.settings(asked)
    spec = choose_encoder(config.output, *size, 8, RATE).spec
    copy = scope.out / "peer"
    copy_peer(checkout, copy, spec.encoder, dict(spec.options))
    checkpoint = checkout / CHECKPOINT
    return _Case(
        scope=scope,
        clip=ClipMaker(scope, observer).clip(size, scope.frames),
        settings=config.model_dump(mode="json"),
        plain_settings=scope.settings(asked | _ONLY_WHAT_BOTH_DO).model_dump(mode="json"),
        ratio=ratio,
        copy=copy.absolute(),
        checkpoint=checkpoint if checkpoint.exists() else None,
    )
