"""A sheet of frames, both eyes, with the outlines of boxes and viewports."""

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
from vrmatte.sheets.picture import titled, to_rgb

_COLOURS = ((255, 196, 0), (0, 220, 255), (255, 90, 180), (130, 255, 90), (190, 150, 255))
_GREY = (150, 150, 150)


@dataclass(frozen=True, slots=True)
class BoxMark:
    """A person's box in one eye."""

    id: int
    yaw_deg: tuple[float, float]
    pitch_deg: tuple[float, float]
    kept: bool = True


@dataclass(frozen=True, slots=True)
class SheetFrame:
    """One frame of the sheet, with the outlines to draw on it."""

    title: str
    frame: PlanarFrame
    boxes: dict[Eye, Sequence[BoxMark]]
    viewports: Sequence[tuple[int, Viewport]] = field(default_factory=tuple)
    """Each with the number that sets its colour."""


def people_sheet(
    frames: Sequence[SheetFrame], eye_px: int = 480, projection: EyeProjection | None = None
) -> Rgb:
    """Draw the frames one below the other, both eyes of each, `eye_px` wide per eye.

    `projection` is that of an eye, at any size; None: half-equirectangular.
    """
    eye = (projection or HalfEquirect(eye_px)).resized(eye_px)
    return np.concatenate([_strip(frame, eye) for frame in frames], axis=0)


def _strip(shown: SheetFrame, eye_projection: EyeProjection) -> Rgb:
    rgb = np.ascontiguousarray(to_rgb(shown.frame, 2 * eye_projection.size))
    for eye in EYES:
        half = half_of(rgb, eye)
        drawn = np.ascontiguousarray(half)
        for number, viewport in shown.viewports:
            parts = viewport_outline(eye_projection, viewport)
            cv2.polylines(drawn, parts, False, _colour(number), 1, cv2.LINE_AA)
        for mark in shown.boxes.get(eye, ()):
            _draw_box(drawn, eye_projection, mark)
        half[:] = drawn
    return titled(shown.title, rgb)


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
    label = str(mark.id) if mark.kept else f"{mark.id} excluded"
    _write(picture, label, (left + 4, max(top + 16, 16)), colour)


def _write(picture: Rgb, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _colour(number: int) -> tuple[int, int, int]:
    return _COLOURS[(number - 1) % len(_COLOURS)]
