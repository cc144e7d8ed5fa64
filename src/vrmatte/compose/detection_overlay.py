"""Detections drawn over the source: boxes of people, viewports, and the outline of the matte.

The image is for a flat screen: both eyes side by side, below the number and time of the frame.
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
"""Maximum width of an eye; two of them are 1920 wide."""
_TITLE_PX = 32
_COLOURS: tuple[Colour, ...] = (
    (255, 196, 0),
    (0, 220, 255),
    (255, 90, 180),
    (130, 255, 90),
    (190, 150, 255),
)
_EXCLUDED: Colour = (150, 150, 150)
_VIEWPORT: Colour = (235, 235, 235)
_MATTE: Colour = (0, 255, 160)
_BACKGROUND = 24
_INK: Colour = (235, 235, 235)
_PADDING_PX = 3
_TINT = 0.25
_LETTERS, _LETTERS_PER_PX = (0.35, 0.6), 0.5 / 800
"""Minimum and maximum size of letters, and size per pixel of an eye's width."""


class DetectionOverlay:
    """Composes the images: 8-bit 4:2:0, BT.709, at most 1920 pixels wide."""

    def __init__(
        self,
        eye: EyeProjection,
        layout: PixelLayout,
        color: ColorTags,
        subjects: Subjects = WHOLE_EYES,
        timeline: Timeline | None = None,
    ) -> None:
        """Prepare for frames of one source.

        Args:
            eye: projection of each eye of the frames.
            layout: layout of all frames.
            color: tags of all frames; HDR is tone-mapped for an SDR screen.
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
        """Return the image of one side-by-side frame.

        Args:
            number: frame number in the whole source.
            frame: two square eyes.
            matte: a matte of the same size.
        """
        eyes = [self._drawn(number, eye, frame.eye(eye), half_of(matte, eye)) for eye in EYES]
        image = np.concatenate([self._title(number), np.concatenate(eyes, axis=1)], axis=0)
        return screen_frame(image.astype(np.float32) * np.float32(1 / 255), frame.pts)

    def _drawn(self, number: int, eye: Eye, frame: PlanarFrame, matte: Matte) -> Rgb:
        size = self._eye_px, self._eye_px
        rgb = self._screen.shown(self._screen.rgb(frame, size))
        alpha = shrunk(matte, size)[..., None] * np.float32(1 / 255)
        tint = np.float32(_TINT) * alpha
        rgb = (1 - tint) * rgb + tint * np.array(_MATTE, np.float32) / 255
        image = np.ascontiguousarray((rgb * 255 + 0.5).astype(np.uint8))
        solid = (alpha[..., 0] > 0.5).astype(np.uint8)
        outlines, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, _MATTE, 1, cv2.LINE_AA)
        for path in self._subjects.viewports or ():
            if path.is_open(number):
                parts = viewport_outline(self._eye, path.at(number))
                cv2.polylines(image, parts, False, _VIEWPORT, 1, cv2.LINE_AA)
        self._draw_people(image, number, eye)
        return image

    def _draw_people(self, image: Rgb, number: int, eye: Eye) -> None:
        for person in self._subjects.people:
            box = person.box_at(number, eye)
            if box is None:
                continue
            colour = person_colour(person.id) if person.keep else _EXCLUDED
            outline = box_outline(self._eye, box)
            cv2.polylines(image, [outline], True, colour, 2, cv2.LINE_AA)
            x, y = outline.clip(0, self._eye_px).min(axis=0).tolist()
            decision = "keep" if person.keep else "exclude"
            text = f"{person.id} {decision} {person.score_at(number):.2f}"
            self._write(image, text, (x, y - 2), colour)

    def _title(self, number: int) -> Rgb:
        strip = np.full((_TITLE_PX, 2 * self._eye_px, 3), _BACKGROUND, np.uint8)
        text = f"frame {number}"
        if self._timeline is not None:
            text += f"   {self._timeline.seconds(number):.3f} s"
        self._write(strip, text, (8, _TITLE_PX - 4), _INK)
        return strip

    def _write(self, image: Rgb, text: str, at: tuple[int, int], colour: Colour) -> None:
        """Write text on a dark background with its lower left corner at `at`, inside the image."""
        font, letters = cv2.FONT_HERSHEY_SIMPLEX, self._letters
        (width, height), below = cv2.getTextSize(text, font, letters, 1)
        x = max(0, min(at[0], image.shape[1] - width - 2 * _PADDING_PX))
        y = max(at[1], height + below + 2 * _PADDING_PX)
        top = y - height - below - 2 * _PADDING_PX
        background = image[top:y, x : x + width + 2 * _PADDING_PX]
        background[...] = (0.3 * background + 0.7 * _BACKGROUND).astype(np.uint8)
        corner = x + _PADDING_PX, y - below - _PADDING_PX
        cv2.putText(image, text, corner, font, letters, colour, 1, cv2.LINE_AA)


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the image composed from a side-by-side frame of that size."""
    del width
    eye = _eye_px(height)
    return 2 * eye, eye + _TITLE_PX


def person_colour(person: int) -> Colour:
    """Return the colour of a kept person, by id."""
    return _COLOURS[(person - 1) % len(_COLOURS)]


def _eye_px(size: int) -> int:
    """Return the width of an eye in the image: even, because chroma is halved."""
    return min(size, _MOST_PX) // 2 * 2
