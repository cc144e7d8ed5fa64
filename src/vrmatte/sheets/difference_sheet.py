"""A picture to look at: frames in which two mattes differ, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vrmatte.frames import Rgb
from vrmatte.quality.truth.field_metrics import Alpha

_ONLY_A = (255, 90, 40)
_ONLY_B = (60, 150, 255)
_TITLE_PX = 24
_GAP_PX = 4
_SEEN = 0.05


@dataclass(frozen=True, slots=True)
class DifferentFrame:
    """One frame of two mattes."""

    title: str
    a: Alpha
    b: Alpha


def difference_sheet(frames: Sequence[DifferentFrame], names: tuple[str, str], width: int) -> Rgb:
    """Each frame as A, B and their difference, both eyes in each, `width` pixels wide each.

    Of each eye that part is shown in which either matte has anything, in either eye.
    The difference is orange where A is more opaque, blue where B is.
    """
    words = (f"A: {names[0]}", f"B: {names[1]}", "orange: more in A; blue: more in B")
    rows = [_bar(words, width), *(_row(frame, width) for frame in frames)]
    return np.concatenate(rows, axis=0)


def _row(frame: DifferentFrame, width: int) -> Rgb:
    box = _around(np.maximum(frame.a, frame.b))
    a, b = (_small(_cropped(alpha, box), width) for alpha in (frame.a, frame.b))
    panels = [np.repeat((255 * each)[..., None], 3, axis=2) for each in (a, b)]
    panels.append(_difference(a, b))
    gap = np.full((a.shape[0], _GAP_PX, 3), 96, np.float32)
    joined = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    picture = (np.clip(joined, 0, 255) + 0.5).astype(np.uint8)
    return np.concatenate([_bar((frame.title, "", ""), width), picture], axis=0)


def _difference(a: Alpha, b: Alpha) -> Alpha:
    """Colours on what both have in common, dimmed."""
    common = 70 * np.minimum(a, b)[..., None]
    only_a, only_b = np.maximum(a - b, 0)[..., None], np.maximum(b - a, 0)[..., None]
    return (common + only_a * np.array(_ONLY_A) + only_b * np.array(_ONLY_B)).astype(np.float32)


def _around(alpha: Alpha) -> tuple[slice, slice]:
    """Rows and columns of an eye that hold what either eye shows, with a margin."""
    middle = alpha.shape[1] // 2
    seen = np.maximum(alpha[:, :middle], alpha[:, middle : 2 * middle]) > _SEEN
    spans: list[slice] = []
    for axis in (1, 0):
        at = np.flatnonzero(seen.any(axis=axis))
        first, last = (int(at[0]), int(at[-1]) + 1) if at.size else (0, seen.shape[1 - axis])
        margin = (last - first) // 10 + 2
        spans.append(slice(max(0, first - margin), min(seen.shape[1 - axis], last + margin)))
    return spans[0], spans[1]


def _cropped(alpha: Alpha, box: tuple[slice, slice]) -> Alpha:
    """The same part of both eyes, side by side."""
    middle = alpha.shape[1] // 2
    return np.concatenate([alpha[:, :middle][box], alpha[:, middle:][box]], axis=1)


def _small(alpha: Alpha, width: int) -> Alpha:
    size = width, max(1, round(alpha.shape[0] * width / alpha.shape[1]))
    how = cv2.INTER_AREA if alpha.shape[1] > width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(alpha, size, interpolation=how), np.float32)


def _bar(words: Sequence[str], width: int) -> Rgb:
    bar = np.full((_TITLE_PX, 3 * width + 2 * _GAP_PX, 3), 32, np.uint8)
    for number, word in enumerate(words):
        at = (number * (width + _GAP_PX) + 8, _TITLE_PX - 8)
        fitting = word[: max(1, width // 9)]
        cv2.putText(
            bar, fitting, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
        )
    return bar
