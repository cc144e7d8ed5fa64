"""The pixels that are mostly the person, decided by three cues: mask, matte and colours.

None is trusted alone. A mask's border is off by some pixels, a matting network fills gaps between
arm and body and loses hands, and the background may look like clothes. Colours are learned where
mask and matte agree, around each place, so they describe only its neighbourhood; then once more
from what all three found, because a late mask teaches wrong colours where arms move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.matting.edges.colour_model import Places, around, grid_step, learned
from vrmatte.matting.edges.trimap import Trimap, Truths

# Each cue contributes log odds, limited to these values. Colours outvote either of the others, but
# never both.
_MOST_OF_MASK, _MOST_OF_MATTE, _MOST_OF_COLOURS = 3.0, 3.0, 5.0
_MASK_DOUBT, _LAG_DOUBT = 0.15, 0.5
"""Depth at which a mask's odds are e to one, as a share of the band (two to three pixels), and of
the part that movement adds to it."""
_DENIED, _SEEN = 0.3, 0.7
"""Mean alpha in the middle of a mask up to which the matte misses this person, and from which it
sees them."""
_NEAR_SHARE = 0.6
"""Colours are learned within this share of the band around a place."""
_LEAST_WEIGHT = 0.003
"""Share of sure pixels around a place below which colours contribute nothing."""
_ROUNDS = 2


def solid_part(
    alpha: FloatArray, picture: FloatArray, trimap: Trimap, rounds: int = _ROUNDS
) -> Truths:
    """Return a mask of the person, shape (h, w).

    Args:
        alpha: of a matte computed without the mask; the mask itself if there is none.
        picture: shape (3, h, w), RGB 0..1.
        trimap: of the mask.
        rounds: times that colours are learned, each from the mask of the last.
    """
    solid = trimap.inside.copy()
    rows, columns = np.nonzero(trimap.band)
    doubt_px = _MASK_DOUBT * trimap.band_px + _LAG_DOUBT * (trimap.reach_px - trimap.band_px)
    by_mask = np.clip(trimap.depth_px / doubt_px, -_MOST_OF_MASK, _MOST_OF_MASK)
    both = (by_mask + _by_matte(alpha, trimap))[rows, columns]
    likely = _probability(by_mask)
    for _ in range(rounds):
        by_colours = _by_colours(picture, likely, alpha, trimap, (rows, columns))
        likely[rows, columns] = _probability(both + by_colours)
    solid[rows, columns] = likely[rows, columns] > np.float32(0.5)
    return solid


def _by_matte(alpha: FloatArray, trimap: Trimap) -> FloatArray:
    tiny = np.float32(1e-3)
    odds = np.log((alpha + tiny) / (1 - alpha + tiny))
    odds = np.clip(odds, -_MOST_OF_MATTE, _MOST_OF_MATTE)
    return np.where(odds < 0, odds * _believed(alpha, trimap), odds)


def _believed(alpha: FloatArray, trimap: Trimap) -> FloatArray:
    """Return the trust in a matte's zeros: none where it misses the middle of a mask too."""
    step = grid_step(trimap.band_px)
    inside = trimap.inside[::step, ::step].astype(np.float32)
    middle = around(inside, trimap.band_px / step)
    seen = around(alpha[::step, ::step] * inside, trimap.band_px / step)
    share = seen / np.maximum(middle, np.float32(1e-6))
    belief = np.clip((share - _DENIED) / (_SEEN - _DENIED), 0, 1)
    belief = np.where(middle > np.float32(1e-4), belief, np.float32(1)).astype(np.float32)
    height, width = alpha.shape
    return belief.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]


def _by_colours(
    picture: FloatArray,
    likely: FloatArray,
    alpha: FloatArray,
    trimap: Trimap,
    at: tuple[Places, Places],
) -> FloatArray:
    """Return the log odds that each pixel's colour is the person's rather than the background's."""
    radius_px = _NEAR_SHARE * trimap.band_px
    colours = picture[:, *at]
    person = learned(picture, np.square(likely * alpha), radius_px)
    ground = learned(picture, np.square((1 - likely) * (1 - alpha)), radius_px)
    of_person, some_person = person.log_likelihood(colours, *at)
    of_ground, some_ground = ground.log_likelihood(colours, *at)
    odds = np.clip(of_person - of_ground, -_MOST_OF_COLOURS, _MOST_OF_COLOURS)
    known = np.minimum(some_person, some_ground) > np.float32(_LEAST_WEIGHT)
    return np.where(known, odds, np.float32(0))


def _probability(odds: npt.NDArray[np.floating[Any]]) -> FloatArray:
    return (1 / (1 + np.exp(-odds))).astype(np.float32)
