"""A picture of a profile: each chunk's stages stacked, its wall time, and the memory over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import Rgb
from vrmatte.profiling.run_profile import Profile, RunProfile, summed_up

_SIZE = (1280, 640)
_LEFT, _TOP, _RIGHT, _BOTTOM = 90, 70, 850, 575
"""Where the bars stand; the legend is to their right."""
_LEGEND_LEFT, _LEGEND_RIGHT = 940, 1256
_LINE_PX = 24
_MOST_BARS = 150
_WIDEST_BAR_PX = 80
_MOST_STAGES = 14
"""As many as the legend has room for; further ones are drawn, not named."""
_MB = 1_000_000

_PAPER, _INK, _GRID, _MEMORY = (255, 255, 255), (30, 30, 30), (225, 225, 225), (200, 0, 110)
_KNOWN = {
    "state": (120, 120, 120),
    "open files": (165, 165, 165),
    "decode": (66, 122, 189),
    "matte": (240, 150, 50),
    "stereo": (80, 165, 80),
    "matte store": (140, 105, 190),
    "close files": (205, 205, 205),
}
_FILES = ((205, 70, 65), (60, 185, 200), (190, 185, 50), (145, 95, 80), (235, 140, 195))

Colour = tuple[int, int, int]
Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Bar:
    """One chunk, or several neighbours where there are too many to draw."""

    first_chunk: int
    profile: Profile


def profile_picture(title: str, profile: RunProfile) -> Rgb:
    """Draw a run's profile; shape (640, 1280, 3)."""
    picture: Rgb = np.full((_SIZE[1], _SIZE[0], 3), _PAPER, np.uint8)
    colours = _colours(profile.in_all)
    bars = _bars(profile)
    _write(picture, _cut(title, _LEGEND_RIGHT - _LEFT, 0.65), (_LEFT, 28), scale=0.65)
    highest = max(max(_stacked_ms(bar.profile), _wall_ms(bar.profile)) for bar in bars)
    memory = max(bar.profile.rss_peak_bytes for bar in bars) / _MB
    top, top_mb = _draw_scales(picture, highest, memory)
    _draw_bars(picture, bars, colours, top)
    _draw_memory(picture, bars, top_mb)
    _draw_chunk_numbers(picture, bars)
    _draw_legend(picture, profile.in_all, colours)
    return picture


def _colours(profile: Profile) -> dict[str, Colour]:
    """A colour for each stage that works; waiting is not drawn."""
    colours: dict[str, Colour] = {}
    files = 0
    for name, stage in profile.stages.items():
        if name in _KNOWN:
            colours[name] = _KNOWN[name]
        elif stage.wall_ms > 0:
            colours[name] = _FILES[files % len(_FILES)]
            files += 1
    return colours


def _bars(profile: RunProfile) -> list[_Bar]:
    chunks = sorted(profile.by_chunk.items())
    together = math.ceil(len(chunks) / _MOST_BARS)
    groups = [chunks[at : at + together] for at in range(0, len(chunks), together)]
    return [
        _Bar(group[0][0], summed_up([p for _, p in group], sum(p.frames for _, p in group)))
        for group in groups
    ]


def _wall_ms(profile: Profile) -> float:
    return profile.per_frame(profile.wall_ms)


def _stacked_ms(profile: Profile) -> float:
    return profile.per_frame(sum(stage.wall_ms for stage in profile.stages.values()))


def _draw_scales(picture: Rgb, highest_ms: float, highest_mb: float) -> tuple[float, float]:
    """Lines and numbers for milliseconds (left) and megabytes (right); returns both tops."""
    step, step_mb = _step(highest_ms), _step(highest_mb)
    lines = max(math.ceil(highest_ms / step), math.ceil(highest_mb / step_mb), 1)
    for line in range(lines + 1):
        y = _height(line / lines)
        cv2.line(picture, (_LEFT, y), (_RIGHT, y), _GRID, 1)
        _write(picture, f"{line * step:g}", (_LEFT - 8, y + 5), align=1)
        _write(picture, f"{line * step_mb:g}", (_RIGHT + 8, y + 5), _MEMORY)
    _write(picture, "ms per frame", (_LEFT - 60, _TOP - 16))
    _write(picture, "MB", (_RIGHT + 8, _TOP - 16), _MEMORY)
    return lines * step, lines * step_mb


def _step(highest: float) -> float:
    """A round distance between lines, so that about five reach the highest value."""
    rough = max(highest, 1e-3) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _height(share: float) -> int:
    return round(_BOTTOM - share * (_BOTTOM - _TOP))


def _place(bars: Sequence[_Bar], at: int) -> tuple[int, int]:
    """Left and right end of a bar."""
    slot = (_RIGHT - _LEFT) / len(bars)
    width = min(0.72 * slot, _WIDEST_BAR_PX)
    middle = _LEFT + (at + 0.5) * slot
    left = round(middle - width / 2)
    return left, max(left, round(middle + width / 2) - 1)


def _draw_bars(
    picture: Rgb, bars: Sequence[_Bar], colours: dict[str, Colour], top_ms: float
) -> None:
    for at, bar in enumerate(bars):
        left, right = _place(bars, at)
        below = 0.0
        for name, colour in colours.items():
            stage = bar.profile.stages.get(name)
            if stage is None:
                continue
            above = below + bar.profile.per_frame(stage.wall_ms)
            low, high = _height(below / top_ms), _height(above / top_ms)
            if high < low:
                cv2.rectangle(picture, (left, high), (right, low - 1), colour, cv2.FILLED)
            below = above
        y = _height(_wall_ms(bar.profile) / top_ms)
        cv2.line(picture, (left - 2, y), (right + 2, y), _INK, 2)


def _draw_memory(picture: Rgb, bars: Sequence[_Bar], top_mb: float) -> None:
    points: list[Point] = [
        (sum(_place(bars, at)) // 2, _height(bar.profile.rss_peak_bytes / _MB / top_mb))
        for at, bar in enumerate(bars)
    ]
    line: npt.NDArray[np.int32] = np.array(points, np.int32)
    cv2.polylines(picture, [line], False, _PAPER, 4, cv2.LINE_AA)  # apart from bars of any colour
    cv2.polylines(picture, [line], False, _MEMORY, 2, cv2.LINE_AA)
    if len(points) <= _MOST_BARS // 3:
        for point in points:
            cv2.circle(picture, point, 5, _PAPER, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(picture, point, 4, _MEMORY, cv2.FILLED, cv2.LINE_AA)


def _draw_chunk_numbers(picture: Rgb, bars: Sequence[_Bar]) -> None:
    every = math.ceil(len(bars) / 15)
    for at in range(0, len(bars), every):
        middle = sum(_place(bars, at)) // 2
        _write(picture, str(bars[at].first_chunk), (middle, _BOTTOM + 20), align=0.5)
    _write(picture, "chunk", ((_LEFT + _RIGHT) // 2, _BOTTOM + 46), align=0.5)


def _draw_legend(picture: Rgb, profile: Profile, colours: dict[str, Colour]) -> None:
    """Stages from the top of the bars down, then the lines, then figures of the whole."""
    y = _TOP + 6
    _write(picture, "in all, ms per frame", (_LEGEND_RIGHT, _TOP - 16), align=1)
    y += 10
    for name in list(reversed(colours))[:_MOST_STAGES]:
        cv2.rectangle(
            picture, (_LEGEND_LEFT, y - 11), (_LEGEND_LEFT + 14, y + 2), colours[name], cv2.FILLED
        )
        ms = profile.per_frame(profile.stages[name].wall_ms)
        y = _row(picture, y, name.removeprefix("file:"), f"{ms:.1f}")
    y += 6
    cv2.line(picture, (_LEGEND_LEFT, y - 5), (_LEGEND_LEFT + 14, y - 5), _INK, 2)
    y = _row(picture, y, "wall time", f"{_wall_ms(profile):.1f}")
    y = _row(picture, y, "processor, all threads", f"{profile.per_frame(profile.cpu_ms):.1f}")
    if profile.gpu_ms is not None:
        y = _row(picture, y, "graphics card", f"{profile.per_frame(profile.gpu_ms):.1f}")
    y += 6
    cv2.line(picture, (_LEGEND_LEFT, y - 5), (_LEGEND_LEFT + 14, y - 5), _MEMORY, 2, cv2.LINE_AA)
    y = _row(picture, y, "memory, highest", f"{profile.rss_peak_bytes / _MB:.0f} MB")
    _row(picture, y, "frames per second", f"{profile.frames_per_second:.2f}")


def _row(picture: Rgb, y: int, words: str, figure: str) -> int:
    """One line of the legend; returns where the next one goes."""
    left = _LEGEND_LEFT + 24
    _write(picture, _cut(words, _LEGEND_RIGHT - left - 90), (left, y))
    _write(picture, figure, (_LEGEND_RIGHT, y), align=1)
    return y + _LINE_PX


def _write(
    picture: Rgb,
    text: str,
    at: Point,
    colour: Colour = _INK,
    *,
    align: float = 0,
    scale: float = 0.5,
) -> None:
    """Text from a point on; `align` 1 ends it there, 0.5 puts its middle there."""
    x = round(at[0] - align * _width(text, scale))
    cv2.putText(picture, text, (x, at[1]), _FONT, scale, colour, 1, cv2.LINE_AA)


_FONT = cv2.FONT_HERSHEY_SIMPLEX


def _width(text: str, scale: float) -> int:
    return cv2.getTextSize(text, _FONT, scale, 1)[0][0]


def _cut(text: str, room_px: int, scale: float = 0.5) -> str:
    """What of a text has room, in letters that can be drawn."""
    text = text.encode("ascii", "replace").decode()
    if _width(text, scale) <= room_px:
        return text
    while text and _width(text + "...", scale) > room_px:
        text = text[:-1]
    return text + "..."
