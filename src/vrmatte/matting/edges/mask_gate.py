"""A matte kept within a mask: the mask says who, the matte says how soft.

Far outside the mask nothing is left of the matte; deep inside all is opaque. In the band between,
the matte draws the edge around what is mostly the person, and no further out than edges are soft.
Where the matte denies what is the person, the mask's own edge, guided by the picture, takes over.
Last, pixels that show person and ground at once are held against the colours of both.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.matting.edges.colour_model import Places, around
from vrmatte.matting.edges.guided_refiner import guided_coefficients
from vrmatte.matting.edges.solid_part import solid_part
from vrmatte.matting.edges.trimap import Trimap, Truths, distance_to

_CLEAR_PX = 1.5
"""Pixels further than this from the edge show the person alone, or the ground alone."""

_SURE = 0.9
"""And those of which the matte is as sure as this."""

_RADIUS_PX = 4.0
"""Both colours are learned within this, twice averaged: of hair, single locks."""

_LEAST_WEIGHT = 0.01
"""Share of such pixels around a place below which its colours aren't known."""

_SAY, _WELL_APART = 0.6, 0.1
"""How much colours count at most, where alpha is a half, and the square of their distance at which
they count half that. From 0.45 to 0.8 and from 0.05 to 0.1 the mean error of five clips stays
within 0.4 %."""


def softened_by_colours(
    slope: FloatArray, offset: FloatArray, picture: FloatArray, solid: Truths, band: Truths
) -> tuple[FloatArray, FloatArray]:
    """A matte's coefficients with its soft pixels moved towards what their colours say.

    Args:
        slope: shape (h, w).
        offset: the same.
        picture: shape (3, h, w), RGB 0..1.
        solid: what is mostly the person.
        band: where the edge may lie; nothing changes elsewhere.
    """
    alpha = np.clip(slope * picture.mean(axis=0) + offset, 0, 1)
    at = np.nonzero(band & (alpha > 0) & (alpha < 1))
    person, some_person = _colours_at(
        picture, (distance_to(~solid) > _CLEAR_PX) & (alpha > _SURE), at
    )
    ground, some_ground = _colours_at(
        picture, (distance_to(solid) > _CLEAR_PX) & (alpha < 1 - _SURE), at
    )
    line = person - ground
    apart = np.square(line).sum(axis=0)
    share = ((picture[:, *at] - ground) * line).sum(axis=0) / np.maximum(apart, np.float32(1e-6))
    soft = alpha[at]
    trust = np.float32(4 * _SAY) * soft * (1 - soft) * apart / (apart + np.float32(_WELL_APART))
    trust[np.minimum(some_person, some_ground) < _LEAST_WEIGHT] = 0
    slope, offset = slope.copy(), offset.copy()
    slope[at] *= 1 - trust
    offset[at] += trust * (np.clip(share, 0, 1) - offset[at])
    return slope, offset


def _colours_at(
    picture: FloatArray, clear: Truths, at: tuple[Places, ...]
) -> tuple[FloatArray, FloatArray]:
    """The mean colour around these pixels of what is clear, shape (3, n), and how much of it is."""
    weight = clear.astype(np.float32)
    known = around(weight, _RADIUS_PX)[at]
    share = 1 / np.maximum(known, np.float32(1e-6))
    colours = np.stack([around(weight * c, _RADIUS_PX)[at] * share for c in picture])
    return colours.astype(np.float32, copy=False), known


FULL_TO_PX, NOTHING_FROM_PX = 0.5, 1.9
"""How far outside what is mostly the person the matte counts, in pixels of the network's picture.
Further out a network's mattes held as much that was false as true on three clips. With nothing from
1.6, 2.0 and 2.5 on, the mean error of five clips was 0.76, 0.75 and 0.75, false people 0.040, 0.047
and 0.060."""
_INSIDE_RAMP_PX = 2.0
_DENIED_AROUND_PX = 1.5
_DENIED_WEIGHT = 3.0
"""A place is mended whole where a third of what is around it is denied."""


def gated(
    slope: FloatArray, offset: FloatArray, picture: FloatArray, trimap: Trimap
) -> tuple[FloatArray, FloatArray]:
    """One picture's coefficients, each of shape (h, w), kept within a mask.

    Args:
        slope: of the matte that knows nothing of the mask.
        offset: the same.
        picture: what they are of, shape (3, h, w), RGB 0..1.
        trimap: of the mask.
    """
    if trimap.outside.all():
        return np.zeros_like(slope), np.zeros_like(offset)
    alpha = np.clip(slope * picture.mean(axis=0) + offset, 0, 1)
    solid = solid_part(alpha, picture, trimap)
    denied = solid & (alpha < np.float32(0.5))
    if denied.any():
        slope, offset = _mended(slope, offset, picture, solid, denied)
    near = _near(solid)
    near[trimap.outside] = 0
    inside = np.clip(distance_to(~trimap.inside) / np.float32(_INSIDE_RAMP_PX), 0, 1)
    kept = near * (1 - inside)
    slope, offset = _single(slope * kept), _single(offset * kept + inside)
    return softened_by_colours(slope, offset, picture, solid, trimap.band)


def _near(solid: Truths) -> FloatArray:
    """1 at the person, falling to 0 over the pixels around."""
    left = np.float32(NOTHING_FROM_PX) - distance_to(solid)
    return np.clip(left / np.float32(NOTHING_FROM_PX - FULL_TO_PX), 0, 1).astype(np.float32)


def _mended(
    slope: FloatArray, offset: FloatArray, picture: FloatArray, solid: Truths, denied: Truths
) -> tuple[FloatArray, FloatArray]:
    around = cv2.GaussianBlur(denied.astype(np.float32), (0, 0), _DENIED_AROUND_PX)
    share = np.clip(np.asarray(around, np.float32) * np.float32(_DENIED_WEIGHT), 0, 1)
    own_slope, own_offset = guided_coefficients(picture, solid.astype(np.float32))
    return (
        _single(slope + share * (own_slope - slope)),
        _single(offset + share * (own_offset - offset)),
    )


def _single(values: npt.NDArray[np.floating[Any]]) -> FloatArray:
    return np.asarray(values, np.float32)
