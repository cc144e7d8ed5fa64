"""Moves and softens a matte's edge, each eye by itself.

Moving works on alpha as a relief: the least alpha within a disc moves every contour inward by the
disc's radius, the greatest outward, and the ramp travels with them. A fraction of a pixel is the
share of the next larger whole radius. What is narrower than twice the choke is lost: that is what
choking means; nothing else is removed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import EYES, Matte, half_of

_SIGMA_PER_WIDTH = 1 / math.sqrt(2 * math.pi)
"""A step blurred by a Gaussian of this sigma rises over a width of one, at its steepest slope."""


@dataclass(frozen=True, slots=True)
class EdgeControls:
    """What is done to the edge of every matte."""

    choke_px: float = 0.0
    """How far the 50 % contour moves inward; negative: outward."""
    feather_px: float = 0.0
    """Width over which a hard edge becomes soft; softer ones grow as widths of blurs add up."""

    def __call__(self, matte: Matte) -> Matte:
        """The matte with its edge moved, then softened.

        Args:
            matte: side by side, shape (H, W).

        Returns:
            A new matte; where nothing is asked for, the very same array.
        """
        if self.choke_px == 0 and self.feather_px == 0:
            return matte
        made = np.empty_like(matte)
        for eye in EYES:
            half_of(made, eye)[...] = self._one_eye(half_of(matte, eye))
        return made

    def _one_eye(self, matte: Matte) -> Matte:
        rows, columns = _box_of_people(matte, self._reach_px)
        part = np.ascontiguousarray(matte[rows, columns])
        made = np.zeros_like(matte)
        if part.size == 0:
            return made
        if self.choke_px:
            part = _moved(part, self.choke_px)
        if self.feather_px:
            sigma = self.feather_px * _SIGMA_PER_WIDTH
            part = cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        made[rows, columns] = part
        return made

    @property
    def _reach_px(self) -> int:
        """How far outward alpha may come to be where there was none."""
        return math.ceil(max(-self.choke_px, 0) + 2 * self.feather_px) + 1


def _box_of_people(matte: Matte, margin_px: int) -> tuple[slice, slice]:
    """Rows and columns that hold any alpha, with a margin."""
    x, y, width, height = cv2.boundingRect(matte)
    if width == 0:
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(y - margin_px, 0), min(y + height + margin_px, matte.shape[0])),
        slice(max(x - margin_px, 0), min(x + width + margin_px, matte.shape[1])),
    )


def _moved(matte: Matte, inward_px: float) -> Matte:
    """Contours moved inward; outward where negative.

    The picture's own border isn't an edge: what lies beyond counts as its last pixels.
    """
    extreme = cv2.erode if inward_px > 0 else cv2.dilate
    whole, part = int(abs(inward_px)), abs(inward_px) % 1

    def moved_by(radius: int) -> Matte:
        if radius == 0:
            return matte
        by_disc = extreme(matte, _disc(radius), borderType=cv2.BORDER_REPLICATE)
        if radius > 1:
            return cast(Matte, by_disc)
        # A disc of one pixel is a cross, which moves slanting edges by 0.7; a square moves them by
        # 1.4. So many parts of each come to 1.
        by_square = extreme(matte, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        return cast(Matte, cv2.addWeighted(by_disc, 0.586, by_square, 0.414, 0))

    near = moved_by(whole)
    if part == 0:
        return near
    return cast(Matte, cv2.addWeighted(near, 1 - part, moved_by(whole + 1), part, 0))


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    across = np.arange(-radius, radius + 1)
    inside = across[:, None] ** 2 + across**2 <= (radius + 0.3) ** 2
    return inside.astype(np.uint8)
