"""Confidence in each pixel of a matte, estimated without the truth.

    confidence = (1 - 0.8 H) (1 - flicker) (1 - eyes) (1 - people)

H is the entropy of alpha in bits: 0 where a pixel is clearly foreground or background, 1 at one
half. The other factors, all 0..1, are doubts: flicker is a change of alpha that motion doesn't
explain, eyes a difference between both eyes, people a contradiction to the detector. Formula,
measurements and limits: docs/engineering/quality.md, "Confidence".
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
"""Share of flicker that remains one frame later; a fifth remains after ten frames."""

_TRUSTED_CODES = 20.0
"""Difference of luma from the warped frame before, beyond which the comparison means little."""

_WARP_ERROR = 0.03
"""Difference of alpha that warping a matte causes by itself, at edges."""

_GRAVE = 0.50
"""Difference of alpha from which doubt is 1."""

_BY_SCORE = 0.5
"""Doubt in the matte of a person whose detection score is 0."""

_NOBODY_FOUND = 0.5
"""Doubt in an opaque area without a detection: detectors miss people."""

_AROUND_DEG = 3.0
"""Distance that hair and hands extend beyond boxes, in degrees."""

_MISSING, _PRESENT = 0.05, 0.15
"""Shares of a person's box covered by the matte: below the first, the person is missing; above the
second, present."""

_FULL = 255
_BY_ENTROPY = 0.8
"""Confidence lost by alpha of one half: errors are at soft edges, but many are rightly soft."""
_DIMMED = 0.55
_OUTLINE = (255, 255, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """Doubts about the matte of one eye, Cassini images (S, S) of 0..1."""

    flicker: FloatArray
    eyes: FloatArray
    people: FloatArray

    @property
    def trust(self) -> FloatArray:
        """Product of the complements of all doubts, 0..1."""
        return (1 - self.flicker) * (1 - self.eyes) * (1 - self.people)


@dataclass(frozen=True, slots=True, eq=False)
class _PreviousFrame:
    """The previous frame in one eye."""

    grey: Grey
    matte: FloatArray
    flicker: FloatArray


class DoubtFinder:
    """Finds doubts about the mattes of successive side-by-side frames."""

    def __init__(self, eye: EyeProjection, subjects: Subjects) -> None:
        """Take the projection of an eye, and the subjects of the video."""
        lenses = subjects.lenses
        rotation = lenses.rotation if lenses and lenses.needs_correction else None
        self.rectifier = Rectifier(eye, rotation)
        self._rows_agree = lenses is None or lenses.rows_agree
        self._subjects = subjects
        self._angles = {eye: self.rectifier.angles_deg(eye) for eye in EYES}
        self._previous: dict[Eye, _PreviousFrame] = {}

    def forget(self) -> None:
        """Treat the next frame as the first."""
        self._previous = {}

    def __call__(self, number: int, frame: PlanarFrame, matte: Matte) -> dict[Eye, Doubts]:
        """Return the doubts about both eyes; the first frame has no flicker.

        Args:
            number: frame number in the whole source.
            frame: two square eyes.
            matte: a matte of the same size.
        """
        greys = {eye: self.rectifier.grey(frame.eye(eye), eye) for eye in EYES}
        mattes = {eye: self.rectifier.matte(half_of(matte, eye), eye) for eye in EYES}
        flicker = {eye: self._flicker(eye, greys[eye], mattes[eye]) for eye in EYES}
        between = self._between(greys, mattes)
        self._previous = {
            eye: _PreviousFrame(greys[eye], mattes[eye], flicker[eye]) for eye in EYES
        }
        return {
            eye: Doubts(flicker[eye], between[eye], self._people(number, eye, mattes[eye]))
            for eye in EYES
        }

    def _flicker(self, eye: Eye, grey: Grey, matte: FloatArray) -> FloatArray:
        doubt = np.zeros_like(matte)
        previous = self._previous.get(eye)
        if previous is None:
            return doubt
        relevant = np.maximum(matte, np.maximum(previous.matte, previous.flicker))
        window = window_of(dict.fromkeys(EYES, relevant))
        if window is None:
            return doubt
        at = window.slices
        now, then = np.ascontiguousarray(grey[at]), np.ascontiguousarray(previous.grey[at])
        motion = flow(now, then)
        rows, columns = now.shape
        x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        x, y = x + motion[..., 0], y + motion[..., 1]
        warped, alpha, flicker = (
            np.asarray(cv2.remap(np.ascontiguousarray(p), x, y, cv2.INTER_LINEAR), np.float32)
            for p in (then, previous.matte[at], previous.flicker[at])
        )
        mismatch = cv2.GaussianBlur(np.abs(warped - now), (0, 0), 3.0)
        trust = np.exp(-np.square(mismatch / np.float32(_TRUSTED_CODES)))
        change = _graded(np.abs(matte[at] - alpha)) * trust
        doubt[at] = np.maximum(change, np.float32(_FADES) * flicker)
        return doubt

    def _between(
        self, greys: Mapping[Eye, Grey], mattes: Mapping[Eye, FloatArray]
    ) -> dict[Eye, FloatArray]:
        window = window_of(mattes)
        if window is None:
            return {eye: np.zeros_like(mattes[eye]) for eye in EYES}
        offsets = None
        if not self._rows_agree:
            offsets = RowOffsets.measure(greys[Eye.LEFT], greys[Eye.RIGHT])
            right = offsets.straightened(greys[Eye.RIGHT]).astype(np.uint8)
            greys = {Eye.LEFT: greys[Eye.LEFT], Eye.RIGHT: right}
            straight = offsets.straightened(mattes[Eye.RIGHT])
            mattes = {Eye.LEFT: mattes[Eye.LEFT], Eye.RIGHT: straight}
        evidence = compare_eyes(greys, mattes, window, fine=False)
        doubts = {
            eye: _graded(np.abs(e.warped - e.alpha) * e.seen).astype(np.float32)
            for eye, e in evidence.items()
        }
        if offsets is not None:
            doubts[Eye.RIGHT] = offsets.bent(doubts[Eye.RIGHT])
        return doubts

    def _people(self, number: int, eye: Eye, matte: FloatArray) -> FloatArray:
        """Return the doubt from detections: low scores, areas without people, missing people."""
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
            absence = (_PRESENT - covered) / (_PRESENT - _MISSING)
            doubt = score * min(max(absence, 0.0), 1.0)
            missing[inside] = np.maximum(missing[inside], doubt)
        soft = cv2.GaussianBlur(unsure, (0, 0), 2.0)
        return np.maximum(missing, matte * soft).astype(np.float32)


def _graded(difference: FloatArray) -> FloatArray:
    """Return a difference of alpha as doubt 0..1."""
    return np.clip((difference - _WARP_ERROR) / (_GRAVE - _WARP_ERROR), 0, 1).astype(np.float32)


def _inside(box: AngularBox, yaw_deg: FloatArray, pitch_deg: FloatArray, grown_deg: float) -> Mask:
    return (
        (yaw_deg >= box.yaw_min_deg - grown_deg)
        & (yaw_deg <= box.yaw_max_deg + grown_deg)
        & (pitch_deg >= box.pitch_min_deg - grown_deg)
        & (pitch_deg <= box.pitch_max_deg + grown_deg)
    )


class ConfidenceMap:
    """Computes the confidence of successive side-by-side frames."""

    def __init__(self, eye: EyeProjection, subjects: Subjects = WHOLE_EYES) -> None:
        """Take the projection of an eye at full size, and the subjects of the video."""
        self._finder = DoubtFinder(eye, subjects)
        self._number: int | None = None

    def __call__(self, number: int, frame: PlanarFrame, matte: Matte) -> Matte:
        """Return the confidence in the matte of a frame, 0..255, shape (H, W).

        Flicker is only measured if the previous call was for the frame before.

        Args:
            number: frame number in the whole source.
            frame: side by side.
            matte: the stored matte, of the same size.
        """
        if self._number is None or number != self._number + 1:
            self._finder.forget()
        self._number = number
        doubts = self._finder(number, frame, matte)
        result = np.empty_like(matte)
        for eye in EYES:
            half_of(result, eye)[...] = self._eye(eye, doubts[eye], half_of(matte, eye))
        return result

    def alone(self, number: int, frame: PlanarFrame, matte: Matte) -> Matte:
        """Return the confidence in a single frame, without flicker."""
        self._number = None
        return self(number, frame, matte)

    def _eye(self, eye: Eye, doubts: Doubts, matte: Matte) -> Matte:
        trust = np.rint(self._finder.rectifier.back(doubts.trust, eye) * _FULL).astype(np.uint8)
        size = matte.shape[1], matte.shape[0]
        trust = cv2.resize(trust, size, interpolation=cv2.INTER_LINEAR)
        by_entropy = cv2.LUT(np.ascontiguousarray(matte), _clarity())
        return cast(Matte, cv2.multiply(by_entropy, trust, scale=1 / _FULL))


def heat(frame: PlanarFrame, matte: Matte, confidence: Matte, width: int = 1280) -> Rgb:
    """Return a dim grey frame with doubt in yellow to red, and the outline of the matte in white.

    Args:
        frame: both eyes or one.
        matte: a matte of the same size.
        confidence: the result of `ConfidenceMap`, of the same size.
        width: width of the image.

    Returns:
        RGB, shape (H, `width`, 3).
    """
    size = width, max(1, round(frame.height * width / frame.width))
    screen = PlainScreen(frame.layout, frame.color)
    grey = screen.shown(screen.rgb(frame, size)).mean(axis=2, keepdims=True)
    # Averaging would hide the doubt about a single hair, so the minimum counts.
    reach = max(1, round(frame.width / width))
    least = cv2.erode(confidence, np.ones((reach, reach), np.uint8))
    doubt = 1 - shrunk(least, size)[..., None] * np.float32(1 / _FULL)
    glow = np.concatenate([np.ones_like(doubt), 1 - doubt, 0.1 * (1 - doubt)], axis=2)
    share = np.clip(2 * doubt, 0, 1)
    rgb = (1 - share) * np.float32(_DIMMED) * grey + share * glow
    image = np.ascontiguousarray((rgb * _FULL + 0.5).astype(np.uint8))
    solid = (shrunk(matte, size) > _FULL / 2).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, _OUTLINE, 1)
    return image


def _clarity() -> npt.NDArray[np.uint8]:
    """Return the factor 1 - 0.8 H as 0..255, for each alpha 0..255."""
    alpha = np.arange(_FULL + 1) / _FULL
    inner = alpha[1:-1]
    bits = np.zeros(_FULL + 1)
    bits[1:-1] = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner))
    return np.rint(_FULL * (1 - _BY_ENTROPY * bits)).astype(np.uint8)
