"""The page's drawings: who is there when, measures over time, time and memory of the stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmatte.frames import EYES, Eye
from vrmatte.report.page.svg import PALETTE, add_axes, as_svg, colour, drawing
from vrmatte.report.page.wording import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PX = 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 26
"""Margins with room for letters that a phone draws larger."""
_LANE_PX = 22
_LEAST_SLOTS = 6
"""So that a single chunk makes a bar, not a wall."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time all drawings cover, and where shots begin in it."""

    first_seconds: float
    last_seconds: float
    cuts: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One measure over time."""

    seconds: Sequence[float]
    values: Sequence[float]
    colour: str
    """One of the page's."""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """When one person is there, seen by each eye."""

    label: str
    is_kept: bool
    there: dict[Eye, Sequence[tuple[float, float]]]
    """Spans of seconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A length with its name."""

    label: str
    value: float
    told: str
    """The value as it is written beside the bar."""


def measure_plot(
    name: str, label: str, lines: Sequence[Line], span: Span, limit: float | None, unit: str
) -> str:
    """One measure over time; `limit` is drawn where it lies near the values."""
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
        _lay_time(axes, span)
        return as_svg(figure, name, label)


def people_plot(name: str, label: str, lanes: Sequence[Lane], span: Span) -> str:
    """A lane for each person, with a bar for each eye."""
    height = _TOP + _BOTTOM + _LANE_PX * max(len(lanes), 1)
    with drawing(WIDTH_PX * 2, height) as figure:
        axes = add_axes(figure, 86, _TOP, _RIGHT, _BOTTOM)
        for place, lane in enumerate(lanes):
            for row, eye in enumerate(EYES):
                bars = [(a, max(b - a, 0.0)) for a, b in lane.there[eye]]
                tint = colour(("left", "right")[row] if lane.is_kept else "out")
                axes.broken_barh(
                    bars, (place - 0.34 + 0.35 * row, 0.31), facecolors=tint, linewidth=0
                )
        axes.set_yticks(range(len(lanes)), [lane.label for lane in lanes], parse_math=False)
        axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
        axes.grid(False)
        _lay_time(axes, span)
        return as_svg(figure, name, label)


def bars_plot(name: str, label: str, bars: Sequence[Bar]) -> str:
    """Bars below each other, each with its name before and its value behind."""
    height = _LANE_PX * max(len(bars), 1) + 8
    most = max((bar.value for bar in bars), default=0) or 1
    with drawing(WIDTH_PX, height) as figure:
        axes = add_axes(figure, 138, 4, 76, 4)
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        for place, bar in enumerate(bars):
            axes.barh(place, bar.value, height=0.56, color=colour("kept"))
            axes.annotate(
                bar.told, (bar.value, place), (5, 0), textcoords="offset points",
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
    """Milliseconds per frame of each stage, chunk by chunk, stacked; the page has the legend."""
    with drawing(WIDTH_PX, 210) as figure:
        axes = add_axes(figure, _LEFT, _TOP, _RIGHT, _BOTTOM)
        below = [0.0] * len(chunks)
        for number, (_, values) in enumerate(stages):
            axes.bar(
                range(len(chunks)), values, 0.8, bottom=below, color=colour(f"c{number % PALETTE}")
            )
            below = [a + b for a, b in zip(below, values, strict=True)]
        axes.set_xlim(-0.5, max(len(chunks), _LEAST_SLOTS) - 0.5)
        every = max(1, math.ceil(len(chunks) / 8))
        axes.set_xticks(range(0, len(chunks), every), [str(c) for c in chunks[::every]])
        _few_values(axes)
        return as_svg(figure, name, label)


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


def _lay_time(axes: Axes, span: Span) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    length = span.last_seconds - span.first_seconds
    axes.set_xlim(span.first_seconds, span.first_seconds + (length or 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2))
    digits = 0 if length > 12 else 1 if length > 1.2 else 2
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock(float(at), digits)))
    for cut in span.cuts:
        axes.axvline(cut, color=colour("muted"), linewidth=0.8, linestyle=(0, (1, 2)))
