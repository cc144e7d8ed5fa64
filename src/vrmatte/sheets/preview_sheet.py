"""What a run would make of one frame, as one picture: people found, matte, people cut out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import EYES, Eye, Matte, PlanarFrame, Rgb
from vrmatte.geometry.projection import EyeProjection
from vrmatte.sheets.people_sheet import SheetFrame, people_sheet
from vrmatte.sheets.picture import to_rgb

_CHECKER_PX = 12
_CHECKER_GREYS = (90, 140)
_TITLE_PX = 24
_MARGIN = 0.06
"""Around people in close-ups, as a share of their size."""


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """A frame and all that is shown of it."""

    found: SheetFrame
    """With boxes and viewports."""
    matte: Matte
    on_colour: PlanarFrame
    """The people over the green-screen's colour."""
    on_black: PlanarFrame


def preview_sheet(shown: PreviewFrame, eye_px: int, projection: EyeProjection) -> Rgb:
    """Both eyes four times, two by two, `eye_px` wide each; below them both eyes close up."""
    width = 2 * eye_px
    found = people_sheet([shown.found], eye_px, projection)
    size = found.shape[1], found.shape[0] - _TITLE_PX
    alpha = cast(Matte, cv2.resize(shown.matte, size, interpolation=cv2.INTER_AREA))
    panels = [
        found,
        titled("matte", np.repeat(alpha[..., None], 3, axis=2)),
        titled("people on the green-screen's colour", to_rgb(shown.on_colour, width)),
        titled("people on a checker", _on_checker(to_rgb(shown.on_black, width), alpha)),
    ]
    rows = [np.hstack(panels[:2]), np.hstack(panels[2:]), _close_ups(shown, eye_px)]
    return np.vstack(rows)


def titled(title: str, picture: npt.NDArray[np.uint8]) -> Rgb:
    """A picture with a line of text above."""
    bar = np.full((_TITLE_PX, picture.shape[1], 3), 32, np.uint8)
    at, light = (8, _TITLE_PX - 8), (235, 235, 235)
    cv2.putText(bar, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, light, 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def _close_ups(shown: PreviewFrame, eye_px: int) -> Rgb:
    """Each eye's people as they are and on the checker, as large as fits into a panel."""
    panels = [panel for eye in EYES for panel in _close_up(shown, eye, eye_px)]
    return titled("close up: left eye, right eye", np.hstack(panels))


def _close_up(shown: PreviewFrame, eye: Eye, eye_px: int) -> list[Rgb]:
    middle = shown.matte.shape[1] // 2
    start = 0 if eye is Eye.LEFT else middle
    rows, columns = _place(shown.matte[:, start : start + middle], start)
    alpha = shown.matte[rows, columns]
    panels: list[Rgb] = []
    for picture, is_cut_out in ((shown.found.frame, False), (shown.on_black, True)):
        rgb = to_rgb(_cropped(picture, rows, columns), alpha.shape[1])
        fitted = _on_checker(rgb, alpha) if is_cut_out else rgb
        panels.append(_fitted(fitted, eye_px))
    return panels


def _place(matte: Matte, offset: int) -> tuple[slice, slice]:
    """The even rows and columns, of the whole frame, that hold one eye's people."""
    solid = matte > 127
    spans: list[slice] = []
    for axis, size in ((1, matte.shape[0]), (0, matte.shape[1])):
        at = np.flatnonzero(solid.any(axis=axis))
        first, last = (int(at[0]), int(at[-1])) if at.size else (0, size - 1)
        margin = int(_MARGIN * (last - first)) + 4
        spans.append(slice(max(0, first - margin) // 2 * 2, min(size, last + margin) // 2 * 2))
    return spans[0], slice(spans[1].start + offset, spans[1].stop + offset)


def _cropped(frame: PlanarFrame, rows: slice, columns: slice) -> PlanarFrame:
    sx, sy = frame.layout.chroma_shift_x, frame.layout.chroma_shift_y
    coarse = (
        slice(rows.start >> sy, -(-rows.stop >> sy)),
        slice(columns.start >> sx, -(-columns.stop >> sx)),
    )
    return PlanarFrame(
        frame.y[rows, columns], frame.u[coarse], frame.v[coarse], frame.layout, frame.color
    )


def _fitted(picture: Rgb, side_px: int) -> Rgb:
    """As large as fits into a square, in its middle."""
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    square = np.full((side_px, side_px, 3), 32, np.uint8)
    top, left = (side_px - size[1]) // 2, (side_px - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(
        picture, size, interpolation=how
    )
    return square


def _on_checker(over_black: Rgb, alpha: npt.NDArray[np.uint8]) -> Rgb:
    """What is cut out over black, over a checker instead."""
    rows, columns = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    checker = np.array(_CHECKER_GREYS, np.float32)[
        (rows // _CHECKER_PX + columns // _CHECKER_PX) % 2
    ]
    ground = (1 - alpha.astype(np.float32) / 255) * checker
    return np.clip(over_black + ground[..., None] + 0.5, 0, 255).astype(np.uint8)
