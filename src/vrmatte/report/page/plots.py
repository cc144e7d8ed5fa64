"""Drawings of a report: people over time, measures over time, time and memory of the stages."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmatte.frames import EYES, Eye
from vrmatte.profiling.run_profile import Profile, RunProfile
from vrmatte.report.page.svg import PALETTE, add_axes, as_svg, colour, drawing
from vrmatte.report.page.wording import clock, stage_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PX = 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 26
"""Margins with room for the larger letters that a phone draws."""
_LANE_PX = 22
_LEAST_SLOTS = 6
"""With fewer slots a single chunk would fill the whole width."""
_PROFILE_PX = (1280, 640)
_MOST_LEGEND_LINES = 22
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """The time that all drawings cover, and the starts of shots in it."""

    first_seconds: float
    last_seconds: float
    cuts: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One measure over time."""

    seconds: Sequence[float]
    values: Sequence[float]
    colour: str
    """The name of a page colour."""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """The times at which each eye sees one person."""

    label: str
    is_kept: bool
    seen: dict[Eye, Sequence[tuple[float, float]]]
    """Spans of seconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A length with its name."""

    label: str
    value: float
    text: str
    """The value as it is written beside the bar."""


def measure_plot(
    name: str, label: str, lines: Sequence[Line], span: TimeSpan, limit: float | None, unit: str
) -> str:
    """Draw one measure over time, with a line at its limit."""
    with drawing(WIDTH_PX, 170) as figure:
        axes = add_axes(figure, _LEFT, _TOP, _RIGHT, _BOTTOM)
        for line in lines:
            axes.plot(
                [float(s) for s in line.seconds],
                [float(v) for v in line.values],
                color=colour(line.colour),
                linestyle=(0, (4, 2)) if line.is_dashed else "-",
                linewidth=1.6,
                marker="o" if len(line.values) < 3 else None,
                markersize=3,
                solid_joinstyle="round",
            )
        _scale_values(axes, lines, limit, unit)
        if limit is not None:
            axes.axhline(limit, color=colour("bad"), linewidth=1.2, linestyle=(0, (2, 3)))
        _set_time_axis(axes, span)
        return as_svg(figure, name, label)


def people_plot(name: str, label: str, lanes: Sequence[Lane], span: TimeSpan) -> str:
    """Draw a lane for each person, with a bar for each eye."""
    height = _TOP + _BOTTOM + _LANE_PX * max(len(lanes), 1)
    with drawing(WIDTH_PX * 2, height) as figure:
        axes = add_axes(figure, 86, _TOP, _RIGHT, _BOTTOM)
        for place, lane in enumerate(lanes):
            for row, eye in enumerate(EYES):
                bars = [(a, max(b - a, 0.0)) for a, b in lane.seen[eye]]
                tint = colour(("left", "right")[row] if lane.is_kept else "out")
                axes.broken_barh(
                    bars, (place - 0.34 + 0.35 * row, 0.31), facecolors=tint, linewidth=0
                )
        axes.set_yticks(range(len(lanes)), [lane.label for lane in lanes], parse_math=False)
        axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
        axes.grid(False)
        _set_time_axis(axes, span)
        return as_svg(figure, name, label)


def bars_plot(name: str, label: str, bars: Sequence[Bar]) -> str:
    """Draw bars below each other, each between its name and its value."""
    height = _LANE_PX * max(len(bars), 1) + 8
    most = max((bar.value for bar in bars), default=0) or 1
    with drawing(WIDTH_PX, height) as figure:
        axes = add_axes(figure, 138, 4, 76, 4)
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        for place, bar in enumerate(bars):
            axes.barh(place, bar.value, height=0.56, color=colour("kept"))
            axes.annotate(
                bar.text, (bar.value, place), (5, 0), textcoords="offset points",
                va="center", color=colour("ink"), parse_math=False,
            )  # fmt: skip
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars], parse_math=False)
        axes.tick_params(axis="y", colors=colour("ink"))
        axes.set_xticks([])
        axes.set_xlim(0, most)
        axes.set_ylim(max(len(bars), 1) - 0.5, -0.5)
        return as_svg(figure, name, label)


def chunks_plot(
    name: str, label: str, chunks: Sequence[int], stages: Sequence[tuple[str, Sequence[float]]]
) -> str:
    """Draw the milliseconds per frame of each stage, stacked by chunk; the page has the legend."""
    with drawing(WIDTH_PX, 210) as figure:
        axes = add_axes(figure, _LEFT, _TOP, _RIGHT, _BOTTOM)
        _stack(axes, stages, [colour(f"c{number % PALETTE}") for number in range(len(stages))])
        _set_chunk_axis(axes, chunks)
        _few_values(axes)
        return as_svg(figure, name, label)


def profile_png(profile: RunProfile) -> bytes:
    """Draw a run's profile: time per frame by stage and memory, chunk by chunk.

    Returns:
        A PNG file of 1280 x 640 pixels.
    """
    chunks = sorted(profile.by_chunk)
    each = [profile.by_chunk[chunk] for chunk in chunks]
    names = [name for name, stage in profile.in_all.stages.items() if stage.wall_ms > 0]
    stages = [(name, [_ms(chunk, name) for chunk in each]) for name in names]
    with drawing(*_PROFILE_PX) as figure:
        figure.patch.set_visible(True)
        axes = figure.add_axes((0.06, 0.1, 0.61, 0.8))
        axes.set_title("Time per frame by stage, and memory", loc="left")
        _stack(axes, stages, [f"C{number}" for number in range(len(stages))])
        walls = [chunk.per_frame(chunk.wall_ms) for chunk in each]
        axes.hlines(walls, *_slots(len(walls)), colors="black", label="wall time")
        _set_chunk_axis(axes, chunks)
        axes.set(xlabel="chunk", ylabel="ms per frame")
        axes.margins(y=0.05)
        memory = axes.twinx()
        held = [chunk.rss_peak_bytes / _MB for chunk in each]
        memory.plot(range(len(held)), held, color="deeppink", marker="o", markersize=3)
        memory.set_ylim(bottom=0)
        memory.set_ylabel("peak memory, MB", color="deeppink")
        _add_legend(axes, profile.in_all, names)
        image = io.BytesIO()
        figure.savefig(image, format="png")
        return image.getvalue()


def _add_legend(axes: Axes, whole: Profile, names: Sequence[str]) -> None:
    """Name the stages, the topmost first, with figures of the whole run."""
    handles, _ = axes.get_legend_handles_labels()
    texts = [f"{stage_words(name)[:40]}: {_ms(whole, name):.1f} ms" for name in names]
    texts.append(f"wall time: {whole.per_frame(whole.wall_ms):.1f} ms")
    pairs = list(zip(handles, texts, strict=True))[::-1][:_MOST_LEGEND_LINES]
    title = (
        f"{whole.frames_per_second:.2f} fps, CPU {whole.per_frame(whole.cpu_ms):.1f} ms per frame"
    )
    if whole.gpu_ms is not None:
        title += f"\nGPU {whole.per_frame(whole.gpu_ms):.1f} ms per frame"
    title += f"\npeak memory {whole.rss_peak_bytes / _MB:.0f} MB"
    legend = axes.legend(
        [handle for handle, _ in pairs], [text for _, text in pairs], title=title,
        alignment="left", loc="upper left", bbox_to_anchor=(1.1, 1.0), frameon=False,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _ms(profile: Profile, stage: str) -> float:
    """Return the wall time of a stage per frame; 0 if the profile lacks it."""
    return profile.per_frame(profile.stages[stage].wall_ms) if stage in profile.stages else 0.0


def _stack(
    axes: Axes, stages: Sequence[tuple[str, Sequence[float]]], colours: Sequence[str]
) -> None:
    """Stack the chunks' values, stage upon stage; any number of chunks is one shape per stage."""
    below = [0.0] * max((len(values) for _, values in stages), default=0)
    for (name, values), tint in zip(stages, colours, strict=True):
        above = [a + b for a, b in zip(below, values, strict=True)]
        edges = [at - 0.5 for at in range(len(values) + 1)]
        axes.stairs(above, edges, baseline=below, fill=True, color=tint, label=name)
        below = above


def _slots(count: int) -> tuple[list[float], list[float]]:
    """Return the left and right ends of so many bars."""
    return [at - 0.5 for at in range(count)], [at + 0.5 for at in range(count)]


def _set_chunk_axis(axes: Axes, chunks: Sequence[int]) -> None:
    axes.set_xlim(-0.5, max(len(chunks), _LEAST_SLOTS) - 0.5)
    every = max(1, math.ceil(len(chunks) / 8))
    axes.set_xticks(range(0, len(chunks), every), [str(chunk) for chunk in chunks[::every]])


def _scale_values(axes: Axes, lines: Sequence[Line], limit: float | None, unit: str) -> None:
    from matplotlib.ticker import FuncFormatter

    values = [float(v) for line in lines for v in line.values]
    values += [] if limit is None else [limit]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low) * 0.12 or 0.1
    bottom = 0.0 if 0 <= low < 0.6 * high else low - room
    axes.set_ylim(bottom, high + room)
    if unit == "%":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    _few_values(axes)


def _few_values(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(4))


def _set_time_axis(axes: Axes, span: TimeSpan) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    length = span.last_seconds - span.first_seconds
    axes.set_xlim(span.first_seconds, span.first_seconds + (length or 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2))
    digits = 0 if length > 12 else 1 if length > 1.2 else 2
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock(float(at), digits)))
    for cut in span.cuts:
        axes.axvline(cut, color=colour("muted"), linewidth=0.8, linestyle=(0, (1, 2)))
