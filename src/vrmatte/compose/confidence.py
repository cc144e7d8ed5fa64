"""How far each pixel of a matte can be believed, without knowing the truth.

    confidence = (1 - 0.8 H) (1 - unrest) (1 - eyes) (1 - people)

H is the entropy of alpha in bits: 0 where a pixel is clearly somebody's or nobody's, 1 at one half.
The other parts are told in `doubt.py`. The product falls with every part. Formula, measurements and
what it can't see: docs/quality.md, "Confidence".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.compose.plain_screen import PlainScreen, shrunk
from vrmatte.frames import EYES, Eye, FloatArray, Grey, Mask, Matte, PlanarFrame, Rgb, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import EyeProjection
from vrmatte.stereo.evidence import compare_eyes, window_of
from vrmatte.stereo.flow import flow
from vrmatte.stereo.rectify import Rectifier
from vrmatte.stereo.row_offsets import RowOffsets
from vrmatte.subjects import WHOLE_EYES, Subjects

_FADES = 0.85
"""What is left of a doubt a frame later: after ten frames a fifth."""

_TRUSTED_CODES = 20.0
"""Difference of luma from the picture carried along beyond which that says little."""

_CARRYING = 0.03
"""Difference of alpha that carrying a matte makes by itself, at edges."""

_GRAVE = 0.50
"""Difference of alpha from which doubt is complete."""

_BY_SCORE = 0.5
"""Doubt in what the matte shows of somebody whom the detector scored 0."""

_NOBODY_FOUND = 0.5
"""Doubt in something opaque where nobody was found: detectors overlook people."""

_AROUND_DEG = 3.0
"""How far hair and hands reach out of boxes."""

_EMPTY, _FULL_ENOUGH = 0.05, 0.15
"""Shares of a person's box that the matte covers: gone altogether, and there."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """The parts in one eye, Cassini pictures (S, S) of 0..1."""

    unrest: FloatArray
    eyes: FloatArray
    people: FloatArray

    @property
    def trust(self) -> FloatArray:
        """What is left, 0..1: falls with each part."""
        return (1 - self.unrest) * (1 - self.eyes) * (1 - self.people)


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """The frame before, as one eye saw it."""

    grey: Grey
    matte: FloatArray
    unrest: FloatArray


class DoubtFinder:
    """Looks at side-by-side frames one after the other."""

    def __init__(self, eye: EyeProjection, subjects: Subjects) -> None:
        """Take what an eye shows, and what is known besides."""
        lenses = subjects.lenses
        rotation = lenses.rotation if lenses and lenses.needs_correction else None
        self.rectifier = Rectifier(eye, rotation)
        self._rows_agree = lenses is None or lenses.rows_agree
        self._subjects = subjects
        self._angles = {eye: self.rectifier.angles_deg(eye) for eye in EYES}
        self._before: dict[Eye, _Before] = {}

    def forget(self) -> None:
        """The next frame has none before it."""
        self._before = {}

    def __call__(self, number: int, frame: PlanarFrame, matte: Matte) -> dict[Eye, Doubts]:
        """The parts of both eyes; the first frame has no unrest.

        Args:
            number: the frame's, in the whole source.
            frame: two square eyes.
            matte: of the same size.
        """
        greys = {eye: self.rectifier.grey(frame.eye(eye), eye) for eye in EYES}
        mattes = {eye: self.rectifier.matte(half_of(matte, eye), eye) for eye in EYES}
        unrest = {eye: self._unrest(eye, greys[eye], mattes[eye]) for eye in EYES}
        between = self._between(greys, mattes)
        self._before = {eye: _Before(greys[eye], mattes[eye], unrest[eye]) for eye in EYES}
        return {
            eye: Doubts(unrest[eye], between[eye], self._people(number, eye, mattes[eye]))
            for eye in EYES
        }

    def _unrest(self, eye: Eye, grey: Grey, matte: FloatArray) -> FloatArray:
        doubt = np.zeros_like(matte)
        before = self._before.get(eye)
        if before is None:
            return doubt
        there = np.maximum(matte, np.maximum(before.matte, before.unrest))
        window = window_of(dict.fromkeys(EYES, there))
        if window is None:
            return doubt
        at = window.slices
        now, then = np.ascontiguousarray(grey[at]), np.ascontiguousarray(before.grey[at])
        motion = flow(now, then)
        rows, columns = now.shape
        x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        x, y = x + motion[..., 0], y + motion[..., 1]
        picture, alpha, faded = (
            np.asarray(cv2.remap(np.ascontiguousarray(p), x, y, cv2.INTER_LINEAR), np.float32)
            for p in (then, before.matte[at], before.unrest[at])
        )
        wrong = cv2.GaussianBlur(np.abs(picture - now), (0, 0), 3.0)
        trust = np.exp(-np.square(wrong / np.float32(_TRUSTED_CODES)))
        found = _graded(np.abs(matte[at] - alpha)) * trust
        doubt[at] = np.maximum(found, np.float32(_FADES) * faded)
        return doubt

    def _between(
        self, greys: Mapping[Eye, Grey], mattes: Mapping[Eye, FloatArray]
    ) -> dict[Eye, FloatArray]:
        window = window_of(mattes)
        if window is None:
            return {eye: np.zeros_like(mattes[eye]) for eye in EYES}
        offsets = None
        if not self._rows_agree:
            offsets = RowOffsets.found(greys[Eye.LEFT], greys[Eye.RIGHT])
            right = offsets.straightened(greys[Eye.RIGHT]).astype(np.uint8)
            greys = {Eye.LEFT: greys[Eye.LEFT], Eye.RIGHT: right}
            straight = offsets.straightened(mattes[Eye.RIGHT])
            mattes = {Eye.LEFT: mattes[Eye.LEFT], Eye.RIGHT: straight}
        evidence = compare_eyes(greys, mattes, window, fine=False)
        found = {
            eye: _graded(np.abs(e.told - e.own) * e.seen).astype(np.float32)
            for eye, e in evidence.items()
        }
        if offsets is not None:
            found[Eye.RIGHT] = offsets.bent(found[Eye.RIGHT])
        return found

    def _people(self, number: int, eye: Eye, matte: FloatArray) -> FloatArray:
        """Doubt by who is known to be there."""
        if not self._subjects.people:
            return np.zeros_like(matte)
        unsure = np.full_like(matte, _NOBODY_FOUND)
        missing = np.zeros_like(matte)
        for person in self._subjects.people:
            box = person.box_at(number, eye) if person.keep else None
            if box is None:
                continue
            score = person.score_at(number)
            inside = _inside(box, *self._angles[eye], 0)
            around = _inside(box, *self._angles[eye], _AROUND_DEG)
            unsure[around] = np.minimum(unsure[around], _BY_SCORE * (1 - score))
            covered = float(matte[inside].mean()) if inside.any() else 1.0
            gone = (_FULL_ENOUGH - covered) / (_FULL_ENOUGH - _EMPTY)
            gone = score * min(max(gone, 0.0), 1.0)
            missing[inside] = np.maximum(missing[inside], gone)
        soft = cv2.GaussianBlur(unsure, (0, 0), 2.0)
        return np.maximum(missing, matte * soft).astype(np.float32)


def _graded(difference: FloatArray) -> FloatArray:
    """A difference of alpha as doubt 0..1."""
    return np.clip((difference - _CARRYING) / (_GRAVE - _CARRYING), 0, 1).astype(np.float32)


def _inside(box: AngularBox, yaw_deg: FloatArray, pitch_deg: FloatArray, grown_deg: float) -> Mask:
    return (
        (yaw_deg >= box.yaw_min_deg - grown_deg)
        & (yaw_deg <= box.yaw_max_deg + grown_deg)
        & (pitch_deg >= box.pitch_min_deg - grown_deg)
        & (pitch_deg <= box.pitch_max_deg + grown_deg)
    )


CONFIDENCE_VERSION = 1
"""Raised whenever the same matte would be believed in another way."""


_SURE = 255
_BY_ENTROPY = 0.8
"""What a pixel at one half costs by itself: soft edges are where errors are, often rightly soft."""
_DIMMED = 0.55
_OUTLINE = (255, 255, 255)


class ConfidenceMap:
    """Maps of side-by-side frames of one kind, one after the other."""

    def __init__(self, eye: EyeProjection, subjects: Subjects = WHOLE_EYES) -> None:
        """Take what an eye shows, at full size, and what is known of the video."""
        self._finder = DoubtFinder(eye, subjects)
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
