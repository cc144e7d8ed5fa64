"""Mattes as a network finds them, and what may go wrong in one eye of them."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from support.matting.stereo_scenes import StereoTruth, stereo_truth
from support.people import person_of
from vrmatte.frames import EYES, Eye, PlanarFrame, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.stereo.evidence import EyeEvidence, compare_eyes, window_of
from vrmatte.stereo.rectify import Rectifier
from vrmatte.stereo.score import Labels, label_people
from vrmatte.subjects import Person

FRAMES = 14
"""Of a clip."""
DAMAGED = range(3, 13)
"""Ten frames of a clip, with some before them and one after."""
_SPAN = 180


@lru_cache(maxsize=2 * FRAMES)
def matted(name: str, eye_px: int, frame: int) -> np.ndarray:
    """Alpha 0..255, both eyes side by side, about as far off the truth as a network's.

    Edges a little too soft, and too far out here and too far in there: waves some 3 degrees long
    that stay where they are with a third of their strength, else change in every frame and eye.
    """
    sigma = eye_px / 1024
    found = [
        cv2.GaussianBlur(half_of(stereo_truth(name, eye_px, frame).mattes, eye), (0, 0), sigma)
        for eye in EYES
    ]
    for number, matte in enumerate(found):
        alpha = matte / np.float32(255)
        wave = 0.5 * _waves((number,), eye_px) + 0.8 * _waves((number, frame + 1), eye_px)
        alpha += np.float32(0.15) * wave * 4 * alpha * (1 - alpha)
        found[number] = np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
    return np.concatenate(found, axis=1)


def _waves(seed: tuple[int, ...], eye_px: int) -> np.ndarray:
    """Slow noise of variance 1."""
    rough = np.random.default_rng(seed).standard_normal((90, 90)).astype(np.float32)
    smooth = cv2.resize(rough, (eye_px, eye_px), interpolation=cv2.INTER_CUBIC)
    return smooth / smooth.std()


def people_of(name: str, eye_px: int, frames: range) -> list[Person]:
    """Everybody's boxes in every second frame, as if somebody had found them."""
    truths = {at: stereo_truth(name, eye_px, at) for at in frames[::2]}
    return [
        person_of(
            number + 1,
            keep=True,
            first=frames.start,
            last=frames.stop,
            frames=tuple(truths),
            left=tuple(bounds_of(truth, Eye.LEFT, number) for truth in truths.values()),
            right=tuple(bounds_of(truth, Eye.RIGHT, number) for truth in truths.values()),
            score=1.0,
        )
        for number in stereo_truth(name, eye_px, frames.start).people
    ]


def bounds_of(truth: StereoTruth, eye: Eye, person: int) -> AngularBox | None:
    """The box of what is seen of a person; None: nothing is."""
    there = truth.share(eye, person) > 127
    if not there.any():
        return None
    rows, columns = (np.flatnonzero(there.any(axis=axis)) for axis in (1, 0))
    left, right, top, bottom = (
        (edge / truth.eye_px - 0.5) * _SPAN
        for edge in (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1)
    )
    return AngularBox(left, right, -bottom, -top)


@lru_cache(maxsize=4)
def rectifier_of(eye_px: int) -> Rectifier:
    """Of half-equirectangular eyes that stand parallel."""
    return Rectifier(HalfEquirect(eye_px))


def evidence_of(
    rectifier: Rectifier, frame: PlanarFrame, mattes: np.ndarray, *, fine: bool = True
) -> dict[Eye, EyeEvidence]:
    """What each eye's matte says about the other's."""
    small = {eye: rectifier.matte(half_of(mattes, eye), eye) for eye in EYES}
    greys = {eye: rectifier.grey(frame.eye(eye), eye) for eye in EYES}
    window = window_of(small)
    assert window is not None
    return compare_eyes(greys, small, window, fine=fine)


def labels_of(rectifier: Rectifier, truth: StereoTruth) -> dict[Eye, Labels]:
    """Whom each Cassini pixel is judged with, by the people's boxes in this frame."""
    return {
        eye: label_people(
            [bounds_of(truth, eye, person) for person in truth.people], *rectifier.angles_deg(eye)
        )
        for eye in EYES
    }


def without_person(mattes: np.ndarray, truth: StereoTruth, eye: Eye, person: int) -> np.ndarray:
    """One person is missing in one eye."""
    result = mattes.copy()
    half = half_of(result, eye)
    half[cv2.dilate(truth.share(eye, person), np.ones((9, 9), np.uint8)) > 2] = 0
    others = [n for n in truth.people if n != person]
    for other in others:  # whose own pixels stay
        kept = truth.share(eye, other) > 127
        half[kept] = half_of(mattes, eye)[kept]
    return result


def without_arm(mattes: np.ndarray, truth: StereoTruth, eye: Eye, person: int) -> np.ndarray:
    """The arm on the picture's left, from the shoulder down, is missing in one eye."""
    share = truth.share(eye, person)
    rows, columns = (np.flatnonzero((share > 127).any(axis=axis)) for axis in (1, 0))
    top, height = rows[0], rows[-1] + 1 - rows[0]
    left, width = columns[0], columns[-1] + 1 - columns[0]
    result = mattes.copy()
    arm = (
        slice(top + height // 5, top + height * 11 // 20),
        slice(max(left - 4, 0), left + width // 6),
    )
    half_of(result, eye)[arm][share[arm] > 2] = 0
    return result


def dilated(mattes: np.ndarray, eye: Eye, px_of_1024: float) -> np.ndarray:
    """The outline of one eye lies further out by so many pixels of a 1024-pixel eye."""
    side = 2 * round(px_of_1024 * mattes.shape[0] / 1024) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    result = mattes.copy()
    half_of(result, eye)[...] = cv2.dilate(half_of(mattes, eye), kernel)
    return result
