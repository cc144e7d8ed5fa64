"""What was found, drawn over the source: people's boxes, viewports, the matte's outline.

A picture for a flat screen, both eyes side by side, with the frame's number and time above.
"""

from __future__ import annotations

import cv2
import numpy as np

from vrmatte.compose.plain_screen import PlainScreen, screen_frame, shrunk
from vrmatte.frames import (
    EYES,
    ColorTags,
    Eye,
    Matte,
    PixelLayout,
    PlanarFrame,
    Rgb,
    Timeline,
    half_of,
)
from vrmatte.geometry.outlines import box_outline, viewport_outline
from vrmatte.geometry.projection import EyeProjection
from vrmatte.subjects import WHOLE_EYES, Subjects

Colour = tuple[int, int, int]

_MOST_PX = 960
"""Width of an eye; two of them make 1920."""
_TITLE_PX = 32
_COLOURS: tuple[Colour, ...] = (
    (255, 196, 0),
    (0, 220, 255),
    (255, 90, 180),
    (130, 255, 90),
    (190, 150, 255),
)
_LEFT_OUT: Colour = (150, 150, 150)
_VIEWPORT: Colour = (235, 235, 235)
_MATTE: Colour = (0, 255, 160)
_GROUND = 24
_INK: Colour = (235, 235, 235)
_PADDING_PX = 3
_TINT = 0.25
_LETTERS, _LETTERS_PER_PX = (0.35, 0.6), 0.5 / 800
"""Least and largest size of letters, and size per pixel of an eye's width."""


class DetectionOverlay:
    """Makes the pictures: 8-bit 4:2:0, BT.709, at most 1920 pixels wide."""

    def __init__(
        self,
        eye: EyeProjection,
        layout: PixelLayout,
        color: ColorTags,
        subjects: Subjects = WHOLE_EYES,
        timeline: Timeline | None = None,
    ) -> None:
        """Prepare for frames of one kind.

        Args:
            eye: what each eye of the frames shows.
            layout: of all frames.
            color: of all frames; HDR is brought to what a plain screen shows.
            subjects: the people and viewports to draw.
            timeline: all frames of the source; None: no times are shown.
        """
        self._eye_px = _eye_px(eye.size)
        self._eye = eye.resized(self._eye_px)
        self._screen = PlainScreen(layout, color)
        self._subjects = subjects
        self._timeline = timeline
        self._letters = min(max(_LETTERS_PER_PX * self._eye_px, _LETTERS[0]), _LETTERS[1])

    def __call__(self, number: int, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """The picture of one side-by-side frame.

        Args:
            number: the frame's, in the whole source.
            frame: two square eyes.
            matte: of the same size.
        """
        eyes = [self._drawn(number, eye, frame.eye(eye), half_of(matte, eye)) for eye in EYES]
        picture = np.concatenate([self._title(number), np.concatenate(eyes, axis=1)], axis=0)
        return screen_frame(picture.astype(np.float32) * np.float32(1 / 255), frame.pts)

    def _drawn(self, number: int, eye: Eye, frame: PlanarFrame, matte: Matte) -> Rgb:
        size = self._eye_px, self._eye_px
        rgb = self._screen.shown(self._screen.rgb(frame, size))
        alpha = shrunk(matte, size)[..., None] * np.float32(1 / 255)
        tint = np.float32(_TINT) * alpha
        rgb = (1 - tint) * rgb + tint * np.array(_MATTE, np.float32) / 255
        picture = np.ascontiguousarray((rgb * 255 + 0.5).astype(np.uint8))
        solid = (alpha[..., 0] > 0.5).astype(np.uint8)
        outlines, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, _MATTE, 1, cv2.LINE_AA)
        for path in self._subjects.viewports or ():
            if path.is_open(number):
                parts = viewport_outline(self._eye, path.at(number))
                cv2.polylines(picture, parts, False, _VIEWPORT, 1, cv2.LINE_AA)
        self._draw_people(picture, number, eye)
        return picture

    def _draw_people(self, picture: Rgb, number: int, eye: Eye) -> None:
        for person in self._subjects.people:
            box = person.box_at(number, eye)
            if box is None:
                continue
            colour = person_colour(person.id) if person.keep else _LEFT_OUT
            outline = box_outline(self._eye, box)
            cv2.polylines(picture, [outline], True, colour, 2, cv2.LINE_AA)
            x, y = outline.clip(0, self._eye_px).min(axis=0).tolist()
            what = "keep" if person.keep else "exclude"
            text = f"{person.id} {what} {person.score_at(number):.2f}"
            self._write(picture, text, (x, y - 2), colour)

    def _title(self, number: int) -> Rgb:
        strip = np.full((_TITLE_PX, 2 * self._eye_px, 3), _GROUND, np.uint8)
        text = f"frame {number}"
        if self._timeline is not None:
            text += f"   {self._timeline.seconds(number):.3f} s"
        self._write(strip, text, (8, _TITLE_PX - 4), _INK)
        return strip

    def _write(self, picture: Rgb, text: str, at: tuple[int, int], colour: Colour) -> None:
        """Text on a dark ground whose lower left corner is there, moved into the picture."""
        font, letters = cv2.FONT_HERSHEY_SIMPLEX, self._letters
        (width, height), below = cv2.getTextSize(text, font, letters, 1)
        x = max(0, min(at[0], picture.shape[1] - width - 2 * _PADDING_PX))
        y = max(at[1], height + below + 2 * _PADDING_PX)
        top = y - height - below - 2 * _PADDING_PX
        ground = picture[top:y, x : x + width + 2 * _PADDING_PX]
        ground[...] = (0.3 * ground + 0.7 * _GROUND).astype(np.uint8)
        corner = x + _PADDING_PX, y - below - _PADDING_PX
        cv2.putText(picture, text, corner, font, letters, colour, 1, cv2.LINE_AA)


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture made of a side-by-side frame of that size."""
    del width
    eye = _eye_px(height)
    return 2 * eye, eye + _TITLE_PX


def person_colour(person: int) -> Colour:
    """The colour that a kept person is drawn in, by id."""
    return _COLOURS[(person - 1) % len(_COLOURS)]


def _eye_px(size: int) -> int:
    """Even, so that chroma fits."""
    return min(size, _MOST_PX) // 2 * 2
