"""A picture to look at: some frames, both eyes, with outlines drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from vrmatte.frames import EYES, Eye, PlanarFrame, Rgb, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.outlines import box_outline, viewport_outline
from vrmatte.geometry.projection import EyeProjection, HalfEquirect
from vrmatte.geometry.viewport import Viewport
from vrmatte.sheets.picture import to_rgb

_COLOURS = ((255, 196, 0), (0, 220, 255), (255, 90, 180), (130, 255, 90), (190, 150, 255))
_GREY = (150, 150, 150)
_TITLE_PX = 24


@dataclass(frozen=True, slots=True)
class BoxMark:
    """A person's box in one eye."""

    id: int
    yaw_deg: tuple[float, float]
    pitch_deg: tuple[float, float]
    kept: bool = True


@dataclass(frozen=True, slots=True)
class SheetFrame:
    """One frame of the sheet and what is drawn on it."""

    title: str
    frame: PlanarFrame
    boxes: dict[Eye, Sequence[BoxMark]]
    viewports: Sequence[tuple[int, Viewport]] = field(default_factory=tuple)
    """Each with the number that says its colour."""


def people_sheet(
    frames: Sequence[SheetFrame], eye_px: int = 480, projection: EyeProjection | None = None
) -> Rgb:
    """The frames one below the other, each with both eyes, `eye_px` wide each.

    `projection` is what an eye shows, at whatever size; None: it is half-equirectangular.
    """
    eye = (projection or HalfEquirect(eye_px)).resized(eye_px)
    return np.concatenate([_strip(frame, eye) for frame in frames], axis=0)


def _strip(shown: SheetFrame, eye_projection: EyeProjection) -> Rgb:
    rgb = np.ascontiguousarray(to_rgb(shown.frame, 2 * eye_projection.size))
    for eye in EYES:
        # Drawing on the half draws on the whole: the view shares its memory.
        picture = half_of(rgb, eye)
        drawn = np.ascontiguousarray(picture)
        for number, viewport in shown.viewports:
            parts = viewport_outline(eye_projection, viewport)
            cv2.polylines(drawn, parts, False, _colour(number), 1, cv2.LINE_AA)
        for mark in shown.boxes.get(eye, ()):
            _draw_box(drawn, eye_projection, mark)
        picture[:] = drawn
    title = np.full((_TITLE_PX, rgb.shape[1], 3), 32, np.uint8)
    _write(title, shown.title, (8, _TITLE_PX - 8), (235, 235, 235))
    return np.concatenate([title, rgb], axis=0)


def _draw_box(picture: Rgb, eye: EyeProjection, mark: BoxMark) -> None:
    colour = _colour(mark.id) if mark.kept else _GREY
    if isinstance(eye, HalfEquirect):
        left, right = (round((yaw + 90) / 180 * eye.size) for yaw in mark.yaw_deg)
        bottom, top = (round((90 - pitch) / 180 * eye.size) for pitch in mark.pitch_deg)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
    else:
        outline = box_outline(eye, AngularBox(*mark.yaw_deg, *mark.pitch_deg))
        cv2.polylines(picture, [outline], isClosed=True, color=colour, thickness=2)
        left, top = outline[0].tolist()
    label = str(mark.id) if mark.kept else f"{mark.id} out"
    _write(picture, label, (left + 4, max(top + 16, 16)), colour)


def _write(picture: Rgb, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _colour(number: int) -> tuple[int, int, int]:
    return _COLOURS[(number - 1) % len(_COLOURS)]
