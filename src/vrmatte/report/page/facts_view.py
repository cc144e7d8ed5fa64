"""View of the report's facts: files and their checks, settings, damage, stereo, time, memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, cast

from vrmatte.report.page.content import PageContent
from vrmatte.report.page.plots import Bar, Line, bars_plot, chunks_plot, measure_plot
from vrmatte.report.page.svg import PALETTE
from vrmatte.report.page.wording import (
    clock,
    duration,
    grouped,
    person_words,
    size,
    stage_words,
)

_MOST_CHUNKS = 120
_MOST_BARS = 16
_WAITS = frozenset({"wait for frames", "wait for files"})


@dataclass(frozen=True, slots=True)
class FileView:
    """One finished file with its checks."""

    deliverable: str
    name: str
    size: str
    encoder: str
    sha256: str
    checks: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StereoRow:
    """The agreement of the eyes on one person."""

    person: str
    frames: int
    mean: float
    worst: float
    worst_frame: int
    flagged: int
    corrected: int
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class StereoView:
    """The agreement of the eyes."""

    rows: Sequence[StereoRow]
    plot: str
    warn_below: str
    correct_below: str
    method: str


@dataclass(frozen=True, slots=True)
class TimeView:
    """Seconds by stage; time per chunk and memory where a profile was kept."""

    stages: str
    """SVG."""
    chunks: str
    """SVG; empty without a profile."""
    legend: Sequence[tuple[str, str]]
    """Colours and names of the stages in it."""
    memory: Sequence[tuple[str, str]]
    """Names and figures of the profile."""


def file_views(facts: Mapping[str, Any]) -> list[FileView]:
    """Return all finished files."""
    return [
        FileView(
            deliverable=file["deliverable"],
            name=PurePath(file["path"]).name,
            size=size(file["bytes"]),
            encoder=file["encoder"],
            sha256=file["sha256"],
            checks=list(_checks(file["checks"])),
        )
        for file in facts["files"]
    ]


def _checks(checks: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "frames" in checks:
        yield "frames", f"{grouped(int(checks['frames']))} decoded"
        yield "timestamps", "match the source"
    else:
        yield "frames", "not checked (debugging.frame_count_validation is off)"
    for name, words in (("packed_alpha", "packed alpha"), ("straight_alpha", "alpha")):
        if name in checks:
            error = checks[name]
            yield (
                f"{words} error",
                f"mean {error['mean']:.2f}/255, {error['edge_mean']:.1f}/255 along edges, "
                f"{error['worst_mean']:.2f}/255 in the worst of {error['sampled_frames']} "
                "sampled frames",
            )
    streams = cast(Sequence[Mapping[str, Any]], checks.get("streams", ()))
    if streams:
        packets = sum(int(stream["packets"]) for stream in streams)
        yield "audio and subtitles", f"identical ({grouped(packets)} packets)"


def changed_settings(content: PageContent) -> list[tuple[str, str, str]]:
    """Return the settings that differ from the defaults: name, value, default."""
    now, usual = dict(_flat(content.facts["settings"])), dict(_flat(content.defaults))
    return [
        (name, _value(value), _value(usual.get(name)))
        for name, value in now.items()
        if value != usual.get(name)
    ]


def all_settings(content: PageContent) -> list[tuple[str, str]]:
    """Return every setting with its value."""
    return [(name, _value(value)) for name, value in _flat(content.facts["settings"])]


def stereo_view(content: PageContent) -> StereoView | None:
    """Return the agreement of the eyes; None if they weren't compared."""
    stereo = content.facts.get("stereo")
    if not stereo or not stereo["people"]:
        return None
    rows = [
        StereoRow(
            person=person_words(person["person"]),
            frames=person["frames"],
            mean=person["mean"],
            worst=person["worst"],
            worst_frame=person["worst_frame"],
            flagged=sum(b - a + 1 for a, b in person["flagged"]),
            corrected=sum(b - a + 1 for a, b in person["corrected"]),
            is_flagged=bool(person["flagged"]),
        )
        for person in stereo["people"]
    ]
    warn, correct = stereo["warn_below"], stereo["correct_below"]
    lines = [
        Line([content.seconds(f) for f in line.frames], line.scores, f"c{number % PALETTE}")
        for number, line in enumerate(content.agreement[:PALETTE])
    ]
    label = "agreement of the eyes over time"
    plot = measure_plot("stereo", label, lines, content.span, warn, "") if lines else ""
    return StereoView(rows, plot, f"{warn:g}", f"{correct:g}", str(stereo["method"]))


def time_view(facts: Mapping[str, Any]) -> TimeView:
    """Return the seconds by stage, and the profile if there is one."""
    stages = sorted(facts["stage_seconds"].items(), key=lambda item: -item[1])
    bars = [Bar(stage_words(name), value, duration(value)) for name, value in stages[:_MOST_BARS]]
    profile = facts.get("profile")
    plot = bars_plot("stages", "seconds by stage", bars) if bars else ""
    if not profile:
        return TimeView(plot, "", (), ())
    whole = profile["in_all"]
    names = [n for n, s in whole["stages"].items() if s["wall_ms"] > 0 and n not in _WAITS]
    legend = [(f"c{at % PALETTE}", stage_words(name)) for at, name in enumerate(names)]
    return TimeView(plot, _chunks(profile, names), legend, list(_memory(whole)))


def _chunks(profile: Mapping[str, Any], names: Sequence[str]) -> str:
    numbered = sorted((int(number), chunk) for number, chunk in profile["by_chunk"].items())
    step = -(-len(numbered) // _MOST_CHUNKS)
    numbered = numbered[::step]
    stages = [
        (
            name,
            [
                chunk["stages"].get(name, {"wall_ms": 0})["wall_ms"] / max(chunk["frames"], 1)
                for _, chunk in numbered
            ],
        )
        for name in names
    ]
    label = "milliseconds per frame by stage and chunk"
    return chunks_plot("chunks", label, [number for number, _ in numbered], stages)


def _memory(whole: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    frames = max(whole["frames"], 1)
    yield "peak memory", size(whole["rss_peak_bytes"])
    yield "CPU, all threads", f"{whole['cpu_ms'] / frames:.1f} ms per frame"
    yield "wall time", f"{whole['wall_ms'] / frames:.1f} ms per frame"
    if whole["gpu_ms"] is not None:
        yield "GPU busy", f"{whole['gpu_ms'] / frames:.1f} ms per frame"
    if whole["vram_peak_bytes"] is not None:
        yield "peak GPU memory", size(whole["vram_peak_bytes"])
    yield "read", size(whole["read_bytes"])
    yield "written", size(whole["written_bytes"])


def damage_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the damaged spans of the source, and the frame shown instead."""
    damage = facts.get("damage")
    if not damage:
        return []
    return [
        (
            f"frames {span['first_frame']} to {span['last_frame']}, "
            f"{clock(span['start_seconds'])} to {clock(span['end_seconds'])}",
            f"frame {span['frame_shown']} is shown",
        )
        for span in damage["ranges"]
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(cast(Mapping[str, Any], value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
