"""From a mask that says who to a trimap that says what is sure: inside, outside, a band between.

A mask's border lies some pixels off, lags behind what moves, and doesn't say how far. So the band
is as wide as masks of this size are coarse, and wider where the mask itself is unsure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray

BAND_SHARE = 0.05
"""Half the band's width, of the square root of the picture's area: a dozen cells of the 256 x 256
in which the SAM 2 family draws its masks. People's limbs move, and masks lag."""
LEAST_BAND_PX = 4.0
LAG_FRAMES = 2
"""How many frames a mask may lag behind what it shows."""
MOST_WIDENED = 3.0
"""How far fast movement widens the band at most, in bands."""
_COARSER = 4
SURE, SURELY_NOT = 0.95, 0.05
"""Where a mask is less sure than this it has no border, and the band goes on."""

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trimap:
    """What one picture's mask leaves open; each of shape (h, w)."""

    inside: Truths
    """Surely the person."""
    outside: Truths
    """Surely not."""
    depth_px: FloatArray
    """How far inside the mask's border, negative outside; infinite where it has none."""
    reach_px: FloatArray
    """Half the band's width around each place, where the mask is sure of its border."""
    band_px: float
    """The same where nothing moves."""

    @property
    def band(self) -> Truths:
        """What is neither."""
        return ~(self.inside | self.outside)


def trimap_of(mask: FloatArray, before: FloatArray | None = None) -> Trimap:
    """The trimap of a mask of shape (h, w), 0..1 with its border at 0.5.

    Beyond the picture's border people go on as they are at it.

    Args:
        mask: of this picture.
        before: of the one before, if there is any: where it differs much, things move fast.
    """
    still = max(LEAST_BAND_PX, BAND_SHARE * math.sqrt(mask.size))
    reach = np.full(mask.shape, still, np.float32)
    if before is not None:
        reach += np.minimum(LAG_FRAMES * _moved_px(before, mask, still), MOST_WIDENED * still)
    is_person = mask > np.float32(0.5)
    surely, surely_not = mask >= np.float32(SURE), mask <= np.float32(SURELY_NOT)
    within, beyond = distance_to(~is_person), distance_to(is_person)
    depth = np.where(is_person, within - np.float32(0.5), np.float32(0.5) - beyond)
    if not (surely | surely_not).all():
        within, beyond = distance_to(~surely), distance_to(~surely_not)
    return Trimap(within > reach, beyond > reach, depth.astype(np.float32), reach, still)


def _moved_px(before: FloatArray, now: FloatArray, around_px: float) -> FloatArray:
    """How far a mask's border moved, told for all that is near to where it did."""
    was, is_now = before > np.float32(0.5), now > np.float32(0.5)
    moved = np.where(was, distance_to(~was), distance_to(was))
    # Whoever comes or goes moved no further than the band can tell.
    moved = np.where(was != is_now, np.minimum(moved, 2 * around_px), 0)
    side = 2 * math.ceil(2 * around_px / _COARSER) + 1
    size = -(-now.shape[1] // _COARSER), -(-now.shape[0] // _COARSER)
    coarse = cv2.resize(cv2.dilate(moved, np.ones((_COARSER, _COARSER), np.uint8)), size)
    spread = cv2.dilate(coarse, np.ones((side, side), np.uint8))
    stretched = cv2.resize(spread, now.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(stretched, np.float32)


def distance_to(where: Truths) -> FloatArray:
    """How far each pixel is from the nearest of these, in pixels; infinite where there is none."""
    if not where.any():
        return np.full(where.shape, np.inf, np.float32)
    free = np.logical_not(where).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(free, cv2.DIST_L2, 5), np.float32)
