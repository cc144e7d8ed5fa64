"""Moving and softening of a matte's edge, each eye by itself.

The edge is moved by grey-scale morphology: the minimum of alpha within a disc moves every contour
inward by the radius of the disc, the maximum moves it outward, and soft ramps move along. For a
fraction of a pixel, the results of the two adjacent whole radii are mixed. Choking removes anything
narrower than twice its distance, and nothing else.
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
"""Sigma of the Gaussian whose blur of a step has a width of 1, measured by its steepest slope."""


@dataclass(frozen=True, slots=True)
class EdgeControls:
    """Adjustment of the edge of every matte."""

    choke_px: float = 0.0
    """Distance that the 50 % contour moves inward; negative: outward."""
    feather_px: float = 0.0
    """Width of the ramp that a hard edge becomes; for soft edges, the widths of blurs add up."""

    def __call__(self, matte: Matte) -> Matte:
        """Return the matte with its edge moved, then softened.

        Args:
            matte: side by side, shape (H, W).

        Returns:
            A new matte, or the same array if neither setting is used.
        """
        if self.choke_px == 0 and self.feather_px == 0:
            return matte
        adjusted = np.empty_like(matte)
        for eye in EYES:
            half_of(adjusted, eye)[...] = self._one_eye(half_of(matte, eye))
        return adjusted

    def _one_eye(self, matte: Matte) -> Matte:
        rows, columns = _box_of_people(matte, self._reach_px)
        people = np.ascontiguousarray(matte[rows, columns])
        adjusted = np.zeros_like(matte)
        if people.size == 0:
            return adjusted
        if self.choke_px:
            people = _moved(people, self.choke_px)
        if self.feather_px:
            sigma = self.feather_px * _SIGMA_PER_WIDTH
            people = cv2.GaussianBlur(people, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        adjusted[rows, columns] = people
        return adjusted

    @property
    def _reach_px(self) -> int:
        """Distance that alpha can spread outward."""
        return math.ceil(max(-self.choke_px, 0) + 2 * self.feather_px) + 1


def _box_of_people(matte: Matte, margin_px: int) -> tuple[slice, slice]:
    """Return the rows and columns with any alpha, with a margin."""
    x, y, width, height = cv2.boundingRect(matte)
    if width == 0:
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(y - margin_px, 0), min(y + height + margin_px, matte.shape[0])),
        slice(max(x - margin_px, 0), min(x + width + margin_px, matte.shape[1])),
    )


def _moved(matte: Matte, inward_px: float) -> Matte:
    """Move contours inward, or outward if negative.

    The border of the image is not an edge: its pixels are repeated beyond it.
    """
    extreme = cv2.erode if inward_px > 0 else cv2.dilate
    whole, fraction = int(abs(inward_px)), abs(inward_px) % 1

    def moved_by(radius: int) -> Matte:
        if radius == 0:
            return matte
        by_disc = extreme(matte, _disc(radius), borderType=cv2.BORDER_REPLICATE)
        if radius > 1:
            return cast(Matte, by_disc)
        # A disc of radius 1 is a cross, which moves diagonal edges by 0.7; a square moves them by
        # 1.4. These shares of both move them by 1.
        by_square = extreme(matte, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        return cast(Matte, cv2.addWeighted(by_disc, 0.586, by_square, 0.414, 0))

    near = moved_by(whole)
    if fraction == 0:
        return near
    return cast(Matte, cv2.addWeighted(near, 1 - fraction, moved_by(whole + 1), fraction, 0))


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    across = np.arange(-radius, radius + 1)
    inside = across[:, None] ** 2 + across**2 <= (radius + 0.3) ** 2
    return inside.astype(np.uint8)
