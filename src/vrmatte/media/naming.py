"""Tags in file names from which players take layout and projection: reading and removing them.

Tags form runs such as `_180x180_3dh_LR` or `_FISHEYE190_alpha`. A tag that is also an ordinary word
or number counts only next to other tags or at the end of the name.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vrmatte.errors import InputError

FISHEYE_FOV_DEG = {
    "fisheye": 180,
    "fisheye180": 180,
    "fisheye190": 190,
    "fisheye200": 200,
    "rf52": 190,
    "mkx200": 200,
    "mkx220": 220,
    "vrca220": 220,
}
"""Field of view of the full circle, by the names of fisheyes that cameras and players use."""
_EYES: dict[str, Literal["side_by_side", "top_bottom"]] = {
    "lr": "side_by_side",
    "rl": "side_by_side",
    "sbs": "side_by_side",
    "3dh": "side_by_side",
    "tb": "top_bottom",
    "bt": "top_bottom",
    "ou": "top_bottom",
    "3dv": "top_bottom",
}
_SWAPPED = frozenset({"rl", "bt"})
_SPANS: dict[str, Literal["half_equirect", "equirect"]] = {
    "180": "half_equirect",
    "180x180": "half_equirect",
    "vr180": "half_equirect",
    "360": "equirect",
}
_PACKED = frozenset({"alpha", "alphapacked"})

_CLEAR = frozenset({"180x180", "vr180", "alphapacked"}) | (FISHEYE_FOV_DEG.keys() - {"fisheye"})
"""Tags that are not ordinary words and count anywhere."""
_CLEAR_AT_END = frozenset({"fisheye", "lr", "sbs", "3dh"})
"""Tags that count alone, but only at the end of a name."""
_TAGS = FISHEYE_FOV_DEG.keys() | _EYES.keys() | _SPANS.keys() | _PACKED

_FISHEYE_DEGREES = re.compile(r"f(\d{3})|(\d{3})f")
_SMALLEST_FOV_DEG, _LARGEST_FOV_DEG = 120, 280
_TOKEN = re.compile(r"[^\W_]+")
_JOINTS = frozenset(" _-.")
_EMPTY_BRACKETS = re.compile(r"[ _.-]*(\([ _.-]*\)|\[[ _.-]*\])")
_FALLBACK_STEM = "video"
_DIRECTION_MARKS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Invisible characters by which a name can look like another one."""


def check_video_name(video: Path) -> None:
    """Refuse a name that other files and reports can't be named after; checked before any work.

    Raises:
        InputError: it contains bytes that are no text, control characters, or characters that
            reverse the direction of text.
    """
    for character in video.name:
        if unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTION_MARKS:
            raise InputError(
                f"{video}: its name contains the character {character!a}, which names of "
                "files and reports can't contain. Rename the video"
            )


@dataclass(frozen=True, slots=True)
class NameHint:
    """Layout and projection by a file name; None where it has no tag."""

    stereo: Literal["side_by_side", "top_bottom"] | None = None
    projection: Literal["half_equirect", "fisheye", "equirect"] | None = None
    fov_deg: float | None = None
    """Field of view of the full fisheye circle."""
    lens: str | None = None
    """The key of `FISHEYE_FOV_DEG` in the name."""
    eyes_swapped: bool = False
    """The right eye comes first."""
    alpha_packed: bool = False


def projection_from_name(stem: str) -> NameHint:
    """Read the tags of a file name without its suffix; the last of each kind counts."""
    tags = [tag for run in _tag_runs(stem) for tag in run.tags]
    stereo: Literal["side_by_side", "top_bottom"] | None = None
    projection: Literal["half_equirect", "fisheye", "equirect"] | None = None
    lens: str | None = None
    fov_deg: float | None = None
    for tag in tags:
        if tag in _EYES:
            stereo = _EYES[tag]
        if tag in _SPANS and projection != "fisheye":
            projection = _SPANS[tag]
        if tag in FISHEYE_FOV_DEG:
            projection, lens, fov_deg = "fisheye", tag, float(FISHEYE_FOV_DEG[tag])
        elif (degrees := _degrees_of(tag)) is not None:
            named = f"fisheye{degrees}"
            projection, fov_deg = "fisheye", float(degrees)
            lens = named if named in FISHEYE_FOV_DEG else None
    return NameHint(
        stereo=stereo,
        projection=projection,
        fov_deg=fov_deg,
        lens=lens,
        eyes_swapped=any(tag in _SWAPPED for tag in tags),
        alpha_packed=any(tag in _PACKED for tag in tags),
    )


def strip_projection_tags(stem: str) -> str:
    """Remove all projection tags, so that new ones can be appended; never empty, idempotent."""
    while True:
        shorter = _strip_once(stem)
        if shorter == stem:
            return stem
        stem = shorter


@dataclass(frozen=True, slots=True)
class _TagRun:
    """Neighbouring tags and their position in the name."""

    start: int
    end: int
    tags: tuple[str, ...]


def _tag_runs(stem: str) -> list[_TagRun]:
    """Return all runs of neighbouring tags that describe a projection."""
    runs: list[_TagRun] = []
    for match in _TOKEN.finditer(stem):
        tag = match.group().lower()
        if tag not in _TAGS and _degrees_of(tag) is None:
            continue
        last = runs[-1] if runs else None
        if last and _JOINTS.issuperset(stem[last.end : match.start()]):
            runs[-1] = _TagRun(last.start, match.end(), (*last.tags, tag))
        else:
            runs.append(_TagRun(match.start(), match.end(), (tag,)))
    return [run for run in runs if _means_projection(run, stem)]


def _degrees_of(tag: str) -> int | None:
    """Return the field of view in a tag such as F180 or 180F; None: it is another word."""
    match = _FISHEYE_DEGREES.fullmatch(tag)
    degrees = int(match[1] or match[2]) if match else 0
    return degrees if _SMALLEST_FOV_DEG <= degrees <= _LARGEST_FOV_DEG else None


def _means_projection(run: _TagRun, stem: str) -> bool:
    tags = frozenset(run.tags)
    at_end = not _TOKEN.search(stem, run.end)
    if tags & _CLEAR:
        return True
    has_degrees = any(_degrees_of(tag) is not None for tag in tags)
    if has_degrees and (at_end or tags & _EYES.keys()):
        return True
    if tags & _EYES.keys() and tags & (_SPANS.keys() | FISHEYE_FOV_DEG.keys()):
        return True
    if at_end and tags & _CLEAR_AT_END:
        return True
    return at_end and run.tags[-1] == "alpha" and stem[max(run.end - 6, 0)] == "_"


def _strip_once(stem: str) -> str:
    result = stem
    for run in reversed(_tag_runs(stem)):
        before = result[: run.start].rstrip(" _-.")
        joint = result[len(before) : run.start][:1]
        after = result[run.end :].lstrip(" _-.")
        result = before + joint + after if before and after else before + after
    if result == stem:
        return stem or _FALLBACK_STEM
    result = _EMPTY_BRACKETS.sub("", result).rstrip(" _-.")
    return result if _TOKEN.search(result) else _FALLBACK_STEM
