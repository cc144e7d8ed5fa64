"""How far each pixel of a matte can be believed, without knowing the truth.

    confidence = (1 - 0.8 H) (1 - unrest) (1 - eyes) (1 - people)

H is the entropy of alpha in bits: 0 where a pixel is clearly somebody's or nobody's, 1 at one half.
The other parts are told in `doubt.py`. The product falls with every part. Formula, measurements and
what it can't see: docs/quality.md, "Confidence".
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.compose.doubt import DoubtFinder, Doubts
from vrmatte.compose.plain_screen import PlainScreen, shrunk
from vrmatte.compose.scene_facts import NOTHING_KNOWN, SceneFacts
from vrmatte.frames import EYES, Eye, Matte, PlanarFrame, half_of
from vrmatte.geometry.projection import EyeProjection

CONFIDENCE_VERSION = 1
"""Raised whenever the same matte would be believed in another way."""

Rgb = npt.NDArray[np.uint8]

_SURE = 255
_BY_ENTROPY = 0.8
"""What a pixel at one half costs by itself: soft edges are where errors are, often rightly soft."""
_DIMMED = 0.55
_OUTLINE = (255, 255, 255)


class ConfidenceMap:
    """Maps of side-by-side frames of one kind, one after the other."""

    def __init__(self, eye: EyeProjection, facts: SceneFacts = NOTHING_KNOWN) -> None:
        """Take what an eye shows, at full size, and what is known of the video."""
        self._finder = DoubtFinder(eye, facts)
        self._number: int | None = None

    def __call__(self, number: int, frame: PlanarFrame, matte: Matte) -> Matte:
        """Confidence in a frame's matte, 255 being sure, shape (H, W).

        Where numbers don't follow each other, a frame has none before it, and nothing is said of
        unrest.

        Args:
            number: the frame's, in the whole source.
            frame: side by side.
            matte: of the same size, as it is kept.
        """
        if self._number is None or number != self._number + 1:
            self._finder.forget()
        self._number = number
        doubts = self._finder(number, frame, matte)
        result = np.empty_like(matte)
        for eye in EYES:
            half_of(result, eye)[...] = self._eye(eye, doubts[eye], half_of(matte, eye))
        return result

    def alone(
        self,
        number: int,
        frame: PlanarFrame,
        matte: Matte,
        before: tuple[PlanarFrame, Matte] | None = None,
    ) -> Matte:
        """The same of a single frame, with the frame before and its matte where they are known."""
        self._number = None
        if before is not None:
            self(number - 1, *before)
        return self(number, frame, matte)

    def _eye(self, eye: Eye, doubts: Doubts, matte: Matte) -> Matte:
        trust = np.rint(self._finder.rectifier.back(doubts.trust, eye) * _SURE).astype(np.uint8)
        size = matte.shape[1], matte.shape[0]
        trust = cv2.resize(trust, size, interpolation=cv2.INTER_LINEAR)
        by_entropy = cv2.LUT(np.ascontiguousarray(matte), _clarity())
        return cast(Matte, cv2.multiply(by_entropy, trust, scale=1 / _SURE))


def heat(frame: PlanarFrame, matte: Matte, confidence: Matte, width: int = 1280) -> Rgb:
    """A frame in dim grey, what is in doubt glowing in yellow to red, the matte's outline in white.

    Args:
        frame: both eyes or one.
        matte: of the same size.
        confidence: of the same size, as `ConfidenceMap` gives it.
        width: of the picture that is made.

    Returns:
        RGB, shape (H, `width`, 3).
    """
    size = width, max(1, round(frame.height * width / frame.width))
    screen = PlainScreen(frame.layout, frame.color)
    grey = screen.shown(screen.rgb(frame, size)).mean(axis=2, keepdims=True)
    # A hair's doubt must not be averaged away: the least confidence counts.
    reach = max(1, round(frame.width / width))
    least = cv2.erode(confidence, np.ones((reach, reach), np.uint8))
    doubt = 1 - shrunk(least, size)[..., None] * np.float32(1 / _SURE)
    glow = np.concatenate([np.ones_like(doubt), 1 - doubt, 0.1 * (1 - doubt)], axis=2)
    share = np.clip(2 * doubt, 0, 1)
    rgb = (1 - share) * np.float32(_DIMMED) * grey + share * glow
    picture = np.ascontiguousarray((rgb * _SURE + 0.5).astype(np.uint8))
    solid = (shrunk(matte, size) > _SURE / 2).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, _OUTLINE, 1)
    return picture


def _clarity() -> npt.NDArray[np.uint8]:
    """What entropy leaves of confidence, for each alpha 0..255."""
    alpha = np.arange(_SURE + 1) / _SURE
    inner = alpha[1:-1]
    bits = np.zeros(_SURE + 1)
    bits[1:-1] = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner))
    return np.rint(_SURE * (1 - _BY_ENTROPY * bits)).astype(np.uint8)
