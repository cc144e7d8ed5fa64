"""A matte against the one before it, carried along with the picture's own motion.

The carried matte is the one of the frame before, read where optical flow says that each pixel came
from. Pixels count where flow there and back again ends within one pixel of where it began.

    band difference = mean |alpha - carried| in the soft edge
    wander          = sum |alpha - carried| / sum of both their slopes' mean, in the soft edge
    picture wander  = sum |luma - carried luma| / sum |slope of carried luma|, there too

A wander is a length: how far edges lie from where they were carried to. Softer edges change less
and are less steep, so their wander stays what it is. The picture's own is the floor: what a matte
shows that moves exactly like the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vrmatte.frames import FloatArray, Grey, Mask
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.quality.frame_scores import MotionScore
from vrmatte.quality.small_eye import SmallEye, slopes

_PATCH_STRIDE_PX = 5
_DESCENT_STEPS = 8
_TRUSTED_PX = 1.0
_SOFT_LOW, _SOFT_HIGH = 5, 250
_BAND_KERNEL = np.ones((3, 3), np.uint8)
_LEAST_BAND_PX = 30
_LEAST_AREA_PX = 30.0
_LEAST_PART = 1e-4
"""Share of the eye from which a part counts."""
_GONE = 0.1
"""Share of a part that must be left of it."""


@dataclass(frozen=True, slots=True, eq=False)
class EdgeMotion:
    """One eye's window: its matte, the carried one, and what can be told of both."""

    alpha: FloatArray
    """0..1, shape (h, w)."""
    carried: FloatArray
    band: Mask
    """The soft edge, where flow can be trusted."""
    trusted: Mask
    picture_off: FloatArray
    """|luma - carried luma|."""
    picture_slope: FloatArray
    """|slope of carried luma|."""
    appeared: Mask
    """One pixel of each part that wasn't there."""
    vanished: Mask
    """One pixel of each part that is gone."""

    def score(self, of: Mask) -> MotionScore | None:
        """What moved otherwise than the picture, among the pixels `of`; None: too few to tell."""
        trusted = self.trusted & of
        before, now = float(self.carried[of].sum()), float(self.alpha[of].sum())
        band = self.band & of
        if max(before, now) < _LEAST_AREA_PX or np.count_nonzero(band) < _LEAST_BAND_PX:
            return None
        change = float((self.alpha[trusted] - self.carried[trusted]).sum())
        difference = np.abs(self.alpha - self.carried)[band]
        steep = np.hypot(*slopes(self.carried))[band] + np.hypot(*slopes(self.alpha))[band]
        return MotionScore(
            band_difference=float(difference.mean()),
            wander_px=float(difference.sum()) / max(float(steep.sum()) / 2, 1e-3),
            picture_wander_px=float(self.picture_off[band].sum())
            / max(float(self.picture_slope[band].sum()), 1e-3),
            area_change=change / max(before, now),
            appeared=int(np.count_nonzero(self.appeared & of)),
            vanished=int(np.count_nonzero(self.vanished & of)),
        )


def edge_motion(before: SmallEye, now: SmallEye, window: PixelRect) -> EdgeMotion:
    """Carry the matte of the frame before along and lay it beside this one's."""
    grey, grey_before = (np.ascontiguousarray(eye.grey[window.slices]) for eye in (now, before))
    back, forth = _flow(grey, grey_before), _flow(grey_before, grey)
    rows, columns = grey.shape
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    x, y = x + back[..., 0], y + back[..., 1]
    returned = back + _read(forth, x, y)
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    trusted = inside & (np.hypot(returned[..., 0], returned[..., 1]) <= _TRUSTED_PX)
    alpha = now.alpha[window.slices].astype(np.float32) / np.float32(255)
    carried = _read(before.alpha[window.slices].astype(np.float32) / np.float32(255), x, y)
    luma, luma_before = grey.astype(np.float32), _read(grey_before.astype(np.float32), x, y)
    return EdgeMotion(
        alpha=alpha,
        carried=carried,
        band=_band(alpha, carried) & trusted,
        trusted=trusted,
        picture_off=np.abs(luma - luma_before),
        picture_slope=np.hypot(*slopes(luma_before)),
        appeared=_parts_without(alpha, carried, trusted, now.alpha.size),
        vanished=_parts_without(carried, alpha, trusted, now.alpha.size),
    )


def _flow(first: Grey, second: Grey) -> FloatArray:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(1)
    search.setPatchStride(_PATCH_STRIDE_PX)
    search.setGradientDescentIterations(_DESCENT_STEPS)
    search.setVariationalRefinementIterations(0)
    return np.asarray(search.calc(first, second, np.empty(0)), np.float32)


def _read(values: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    read = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float32)


def _band(alpha: FloatArray, carried: FloatArray) -> Mask:
    low, high = _SOFT_LOW / 255, _SOFT_HIGH / 255
    soft = ((alpha > low) & (alpha < high)) | ((carried > low) & (carried < high))
    return cv2.dilate(soft.astype(np.uint8), _BAND_KERNEL) > 0


def _parts_without(ours: FloatArray, theirs: FloatArray, trusted: Mask, eye_pixels: int) -> Mask:
    """One pixel of each solid part of ours of which hardly anything is in theirs.

    Parts at the window's border may come in or go out there.
    """
    found = np.zeros(ours.shape, np.bool_)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ours > 0.5).astype(np.uint8))
    rows, columns = ours.shape
    for part in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[part])
        at_border = left == 0 or top == 0 or left + width == columns or top + height == rows
        if area < _LEAST_PART * eye_pixels or at_border:
            continue
        box = slice(top, top + height), slice(left, left + width)
        own = (labels[box] == part) & trusted[box]
        if np.count_nonzero(own) < area / 2:
            continue
        if float((theirs[box][own] > 0.25).mean()) < _GONE:
            row, column = np.argwhere(own)[0]
            found[top + row, left + column] = True
    return found
