"""What each eye has to say about the other eye's matte, and where it can know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from vrmatte.frames import Eye, FloatArray, Grey, Mask
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.stereo.flow import flow
from vrmatte.stereo.sheet import carried_outwards, forward_warp, sheet_of

NEAREST_SHARE = 164 / 3072
"""Largest disparity there is, as a share of the picture: 0.4 m away with eyes 66 mm apart."""
_AGREE_PX = 1.0
"""How far apart the two directions of a match may be."""
_BAND_PX = 10.0
"""How far around a person's inside the disparity of that inside is believed."""
_FAINT = 0.02
"""Alpha from which a pixel has something of a person."""
_SAME_SURFACE_PX = 0.5
"""Two disparities this near speak of the same thing: half-occlusions are farther off."""
_NOT_NEARER_PX = 1.5
_ABOUT_THERE_PX = 1.5
"""How exact a fine match is beside outlines, where patches hold two things."""
_MARGIN_PX = 24
"""Room for a flow to find its way around the people."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One eye's matte beside what the other eye says it should be; Cassini pictures (S, S)."""

    own: FloatArray
    """The eye's matte, 0..1."""
    told: FloatArray
    """The other eye's matte, carried here."""
    seen: FloatArray
    """1 where both eyes see the same thing, so that the two should be equal; else 0."""
    near: FloatArray
    """Disparity of what was carried, extended all around it."""


def window_of(mattes: Mapping[Eye, FloatArray]) -> PixelRect | None:
    """The surroundings of everything matted; None where nothing is."""
    size = next(iter(mattes.values())).shape[0]
    there = np.maximum(mattes[Eye.LEFT], mattes[Eye.RIGHT]) > _FAINT
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if rows.size == 0:
        return None
    across = _MARGIN_PX + round(NEAREST_SHARE * size)
    top, left = max(0, int(rows[0]) - _MARGIN_PX), max(0, int(columns[0]) - across)
    bottom = min(size, int(rows[-1]) + _MARGIN_PX + 1)
    right = min(size, int(columns[-1]) + across + 1)
    return PixelRect(top, left, bottom, right)


def compare_eyes(
    greys: Mapping[Eye, Grey], mattes: Mapping[Eye, FloatArray], window: PixelRect, *, fine: bool
) -> dict[Eye, Evidence]:
    """Carry each eye's matte to the other.

    Args:
        greys: rectified luma, (S, S) each.
        mattes: rectified mattes, 0..1.
        window: where to look; outside nothing is `seen`.
        fine: match down to single pixels, for mattes that are to be carried over.
    """
    at = window.slices
    dense = _matched(greys[Eye.LEFT][at], greys[Eye.RIGHT][at], fine)
    own = {eye: np.ascontiguousarray(mattes[eye][at]) for eye in Eye}
    size = mattes[Eye.LEFT].shape[0]
    sheets = {eye: _sheet(dense[eye], own[eye], window, size) for eye in Eye}
    return {
        eye: _spread(_evidence(eye, own, sheets, dense, fine=fine), mattes[eye], at)
        for eye in (Eye.LEFT, Eye.RIGHT)
    }


def _matched(left: Grey, right: Grey, fine: bool) -> dict[Eye, FloatArray]:
    """Disparity at every pixel of both eyes."""
    return {
        Eye.LEFT: np.ascontiguousarray(-flow(left, right, fine=fine)[..., 0]),
        Eye.RIGHT: np.ascontiguousarray(flow(right, left, fine=fine)[..., 0]),
    }


def _agrees(here: FloatArray, there: FloatArray, eye: Eye) -> Mask:
    """Where the other eye's disparity leads back."""
    rows, columns = here.shape
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    x += here if eye is Eye.RIGHT else -here
    back = cv2.remap(there, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1e6)
    return np.abs(np.asarray(back) - here) < _AGREE_PX


def _sheet(
    dense: FloatArray, matte: FloatArray, window: PixelRect, picture_px: int
) -> tuple[FloatArray, Mask]:
    """Disparity of the people in an eye, and where it is believed."""
    disparity, distance = sheet_of(dense, matte, window, picture_px)
    return disparity, (distance < _BAND_PX) | (matte > _FAINT)


def _evidence(
    eye: Eye,
    own: Mapping[Eye, FloatArray],
    sheets: Mapping[Eye, tuple[FloatArray, Mask]],
    dense: Mapping[Eye, FloatArray],
    *,
    fine: bool,
) -> Evidence:
    other = Eye.LEFT if eye is Eye.RIGHT else Eye.RIGHT
    depth = dense[eye]
    mine, believed = sheets[eye]
    told, near, reached = forward_warp(own[other], *sheets[other], other)
    # Where this eye's matte has somebody too, both must mean the same surface; where it has
    # nobody, nothing may stand before the place that the other eye speaks of. Beside people, where
    # somebody in front of them may be missing, a fine match tells.
    same_sheet = np.abs(near - mine) < _SAME_SURFACE_PX
    same_thing = np.abs(near - depth) < _SAME_SURFACE_PX
    same = np.where(believed, same_sheet | same_thing, depth < near + _NOT_NEARER_PX)
    if fine:
        same |= (own[eye] <= _FAINT) & (np.abs(near - depth) < _ABOUT_THERE_PX)
    # What only this eye calls a person can be seen by the other if their disparities agree.
    alone = ~reached & (own[eye] > _FAINT) & _agrees(depth, dense[other], eye)
    seen = (reached & same) | alone
    return Evidence(own[eye], told, seen.astype(np.float32), near)


def _spread(part: Evidence, whole: FloatArray, at: tuple[slice, slice]) -> Evidence:
    """Evidence of a window as evidence of the picture."""

    def grown(values: FloatArray) -> FloatArray:
        picture = np.zeros_like(whole)
        picture[at] = values
        return picture

    near = np.full_like(whole, -np.inf)
    near[at] = part.near
    return Evidence(whole, grown(part.told), grown(part.seen), near)


def extended(near: FloatArray) -> FloatArray:
    """Disparities at every pixel: where nothing was carried, that of the nearest that was."""
    known = np.isfinite(near)
    return carried_outwards(near, known)[0] if known.any() else np.zeros_like(near)
