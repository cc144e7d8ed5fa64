"""What in a picture is mostly the person, by three witnesses: their mask, a matte, and colours.

None of them is trusted alone. A mask's border is off by some pixels, a matting network fills gaps
between arm and body and loses hands, and what is behind may look like what somebody wears. Colours
are learned where mask and matte agree, around each place, so they speak just of what is near it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from vrmatte.matting.base import FloatArray
from vrmatte.matting.trimap import Trimap, Truths

# What a witness says is the logarithm of odds; none says more than these.
_MOST_OF_MASK, _MOST_OF_MATTE, _MOST_OF_COLOURS = 4.0, 3.0, 3.0
_MASK_DOUBT, _LAG_DOUBT = 0.15, 0.5
"""Depth at which a mask's odds are e to one, as a share of the band (two to three pixels), and of
what movement adds to it."""
_DENIED, _SEEN = 0.3, 0.7
"""Mean alpha of the middle of a mask up to which the matte doesn't know this person, and from which
it does."""
_COLOUR_WEIGHT = 0.5
"""Channels and neighbours aren't as independent as the sum over them takes them to be."""
_LEAST_VARIANCE = 2e-4
"""Noise, so that flat areas aren't taken to be flatter than pictures are."""
_NEAR_SHARE = 0.5
"""Colours are learned within so much of the band around a place (twice averaged)."""
_LEAST_WEIGHT = 0.003
"""Share of sure pixels around a place below which colours say nothing."""


def solid_part(alpha: FloatArray, picture: FloatArray, trimap: Trimap) -> Truths:
    """Where the person is, shape (h, w).

    Args:
        alpha: of a matte that knows nothing of the mask; the mask itself where there is none.
        picture: shape (3, h, w), RGB 0..1.
        trimap: of the mask.
    """
    doubt_px = _MASK_DOUBT * trimap.band_px + _LAG_DOUBT * (trimap.reach_px - trimap.band_px)
    by_mask = np.clip(trimap.depth_px / doubt_px, -_MOST_OF_MASK, _MOST_OF_MASK)
    tiny = np.float32(1e-3)
    by_matte = np.log((alpha + tiny) / (1 - alpha + tiny))
    by_matte = np.clip(by_matte, -_MOST_OF_MATTE, _MOST_OF_MATTE)
    by_matte = np.where(by_matte < 0, by_matte * _believed(alpha, trimap), by_matte)
    likely = (1 / (1 + np.exp(-by_mask))).astype(np.float32)
    by_colours = _colour_odds(
        picture,
        np.square(likely * alpha),
        np.square((1 - likely) * (1 - alpha)),
        _NEAR_SHARE * trimap.band_px,
    )
    is_person = by_mask + by_matte + by_colours > 0
    return (is_person & ~trimap.outside) | trimap.inside


def _believed(alpha: FloatArray, trimap: Trimap) -> FloatArray:
    """How far a matte's denial counts around each place: not where it denies the middle, too."""
    inside = trimap.inside.astype(np.float32)
    middle = _around(inside, trimap.band_px)
    share = _around(alpha * inside, trimap.band_px) / np.maximum(middle, np.float32(1e-6))
    belief = np.clip((share - _DENIED) / (_SEEN - _DENIED), 0, 1)
    return np.where(middle > np.float32(1e-4), belief, np.float32(1)).astype(np.float32)


def _colour_odds(
    picture: FloatArray, person: FloatArray, ground: FloatArray, radius_px: float
) -> FloatArray:
    """How much rather each pixel's colour is the person's than what is behind, around it."""
    of_person, some_person = _log_likelihood(picture, person, radius_px)
    of_ground, some_ground = _log_likelihood(picture, ground, radius_px)
    odds = np.clip(_COLOUR_WEIGHT * (of_person - of_ground), -_MOST_OF_COLOURS, _MOST_OF_COLOURS)
    known = np.minimum(some_person, some_ground) > np.float32(_LEAST_WEIGHT)
    return np.where(known, odds, np.float32(0))


def _log_likelihood(
    picture: FloatArray, weight: FloatArray, radius_px: float
) -> tuple[FloatArray, FloatArray]:
    """Of each pixel's colour under a normal distribution learned around it; and how much taught."""
    taught = _around(weight, radius_px)
    share = np.float32(1) / (taught + np.float32(1e-4))
    result = np.zeros_like(weight)
    for channel in picture:
        mean = _around(weight * channel, radius_px) * share
        spread = _around(weight * channel * channel, radius_px) * share - mean * mean
        variance = np.maximum(spread, 0) + np.float32(_LEAST_VARIANCE)
        result -= np.float32(0.5) * (np.square(channel - mean) / variance + np.log(variance))
    return result, taught


def _around(values: FloatArray, radius_px: float) -> FloatArray:
    side = 2 * max(1, math.floor(radius_px + 0.5)) + 1
    for _ in range(2):
        values = np.asarray(
            cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32
        )
    return values
