"""What may go wrong with mattes in the course of a clip, for scores that know no truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from support.matting.stereo_damage import (
    DAMAGED,
    FRAMES,
    dilated,
    people_of,
    without_arm,
    without_person,
)
from support.matting.stereo_scenes import StereoTruth, stereo_truth
from vrmatte.frames import EYES, Eye, half_of
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.quality.frame_scorer import FrameScorer
from vrmatte.quality.frame_scores import FrameScore

Damage = Callable[[np.ndarray, StereoTruth, int], np.ndarray]
"""Takes a matte of both eyes, what is known of the frame, and its number."""


def without_limb(mattes: np.ndarray, truth: StereoTruth, frame: int) -> np.ndarray:
    del frame
    return without_arm(mattes, truth, Eye.RIGHT, 0)


def fat(mattes: np.ndarray, truth: StereoTruth, frame: int) -> np.ndarray:
    """Both outlines lie 2 px further out."""
    del truth, frame
    side = mattes.shape[0]
    return dilated(dilated(mattes, Eye.LEFT, 2 * 1024 / side), Eye.RIGHT, 2 * 1024 / side)


def flickering(mattes: np.ndarray, truth: StereoTruth, frame: int) -> np.ndarray:
    """Further out in every second frame, further in in the others, by a pixel."""
    del truth
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    change = cv2.dilate if frame % 2 else cv2.erode
    return np.concatenate([change(half_of(mattes, eye), kernel) for eye in EYES], axis=1)


def coarse(mattes: np.ndarray, truth: StereoTruth, frame: int) -> np.ndarray:
    """A binary mask of a quarter of the size, enlarged."""
    del truth, frame
    height, width = mattes.shape
    small = cv2.resize(mattes, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    mask = (small > 127).astype(np.uint8) * 255
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)


def without_hair(mattes: np.ndarray, truth: StereoTruth, frame: int) -> np.ndarray:
    """Blurred, so that hair becomes a haze."""
    del truth, frame
    sigma = 4 * mattes.shape[0] / 1024
    return np.concatenate(
        [cv2.GaussianBlur(half_of(mattes, eye), (0, 0), sigma) for eye in EYES], axis=1
    )


def lost(mattes: np.ndarray, truth: StereoTruth, frame: int) -> np.ndarray:
    """The second person is gone from both eyes."""
    del frame
    for eye in EYES:
        mattes = without_person(mattes, truth, eye, 1)
    return mattes


DAMAGES: Mapping[str, Damage] = {
    "limb": without_limb,
    "fat": fat,
    "flicker": flickering,
    "coarse": coarse,
    "hair": without_hair,
    "lost": lost,
}


def scores_of(name: str, eye_px: int, damage: Damage | None = None) -> list[FrameScore]:
    """Scores of a scene's exact mattes, damaged in the frames `DAMAGED`."""
    scorer = FrameScorer(HalfEquirect(eye_px), people_of(name, eye_px, range(FRAMES)))
    for frame in range(FRAMES):
        truth = stereo_truth(name, eye_px, frame)
        matte = truth.mattes
        if damage is not None and frame in DAMAGED:
            matte = damage(matte, truth, frame)
        scorer.score(frame, truth.frame, matte)
    return scorer.scores
