"""Which eye is right where they differ much: by what is there, or by what both agreed on before.

Networks lose limbs far more often than they invent them. So a solid limb is believed rather than
its absence, whatever was there a moment ago: people step out from behind each other. A thin strip,
an outline that lies further out in one eye, is put beside the agreed matte of the frame before,
carried along with the picture's own motion: the eye that still says the same is right. Without
such a frame the eyes meet half-way.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import DoubleArray, FloatArray, Grey, Mask
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.stereo.evidence import Evidence
from vrmatte.stereo.flow import flow

_DISPUTED = 0.06
"""Mean difference of alpha from which a place is in dispute."""
_MEAN_SIGMA_PX = 1.5
_GROWN_PX = 5
_SOLID_PX, _SOLID = 9, 0.5
_LIMB_SHARE = 0.3
"""Share of a dispute that is solid from which it is about a limb. Measured: a lost arm 0.8, an
outline 4 px further out 0.03, and more where it fills gaps."""
_OPEN = 0.5
"""The verdict where nothing tells which eye is right: they meet half-way."""
_DECISIVE = 4.0
"""How much clearer than its evidence a verdict is: from 5 to 3 on, one eye is right altogether."""
_TRUSTED_CODES = 20.0
"""Difference of luma from the frame before beyond which its matte says little."""
_LEAST_TRUST = 0.1
"""Of a place, below which the frame before isn't asked: a cut, or somebody new."""
_SOFTENED_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """What was agreed on the frame before: one eye's luma and matte, (S, S) each."""

    grey: Grey
    matte: FloatArray


def shares(
    evidence: Evidence, grey: Grey, before: Before | None, window: PixelRect, judged: FloatArray
) -> tuple[FloatArray, Mask]:
    """How far the eye is to go over to what the other tells, 0..1 for each pixel.

    Args:
        evidence: of the eye.
        grey: its luma.
        before: what was agreed on the frame before; None: there is none.
        window: where the people are.
        judged: 1 where disputes are to be settled, else 0.

    Returns:
        Shares, shape (S, S), 0 where nothing is in dispute; and what is in dispute.
    """
    at = window.slices
    own, told = evidence.own[at], evidence.told[at]
    seen = evidence.seen[at] * judged[at]
    difference = np.asarray((told - own) * seen, np.float32)
    disputed = np.abs(cv2.GaussianBlur(difference, (0, 0), _MEAN_SIGMA_PX)) > _DISPUTED
    kernel = np.ones((_GROWN_PX, _GROWN_PX), np.uint8)
    count, found = cv2.connectedComponents(cv2.dilate(disputed.astype(np.uint8), kernel))
    places = np.asarray(found, np.int32)
    result = np.zeros_like(evidence.own)
    in_dispute = np.zeros(result.shape, np.bool_)
    if count == 1:
        return result, in_dispute
    in_dispute[at] = places > 0
    verdict = _by_solidity(difference, places, count)
    if before is not None:
        agreed, trust = _carried_along(before, grey, at)
        weight = trust * seen
        off = [np.abs(said - agreed) * weight for said in (own, told)]
        off_own, off_told, trusted, asked = (
            np.bincount(places.ravel(), values.ravel(), count) for values in (*off, weight, seen)
        )
        doubt = off_own / (off_own + off_told + 1e-6)
        remembered = np.clip((doubt - 0.5) * _DECISIVE + 0.5, 0, 1)
        remembered[off_own + off_told < 1e-3] = _OPEN
        by_memory = (verdict == _OPEN) & (trusted > _LEAST_TRUST * asked)
        verdict = np.where(by_memory, remembered, verdict)
    verdict[0] = 0
    soft = cv2.GaussianBlur(verdict[places].astype(np.float32), (0, 0), _SOFTENED_PX)
    result[at] = soft * cv2.GaussianBlur(seen, (0, 0), _SOFTENED_PX)
    return result, in_dispute


def _by_solidity(difference: FloatArray, places: npt.NDArray[np.int32], count: int) -> DoubleArray:
    """Limbs are believed; of strips nobody knows, though they widen where they fill a gap."""
    mean = cv2.blur(difference, (_SOLID_PX, _SOLID_PX))
    flat = places.ravel()

    def mass(of: Mask) -> DoubleArray:
        counted = np.where(of, np.abs(difference), np.float32(0)).astype(np.float64)
        return np.bincount(flat, counted.ravel(), count).astype(np.float64)

    all_of_it = mass(np.ones(places.shape, np.bool_)) + 1e-6
    told, own = mass(mean > _SOLID) / all_of_it, mass(mean < -_SOLID) / all_of_it
    verdict = np.where(told > own, 1.0, 0.0)
    return np.where(np.maximum(told, own) > _LIMB_SHARE, verdict, _OPEN)


def _carried_along(
    before: Before, grey: Grey, at: tuple[slice, slice]
) -> tuple[FloatArray, FloatArray]:
    """The agreed matte moved to this frame, and how far it can be trusted there."""
    now, then = np.ascontiguousarray(grey[at]), np.ascontiguousarray(before.grey[at])
    motion = flow(now, then)
    rows, columns = now.shape
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    x, y = x + motion[..., 0], y + motion[..., 1]
    matte, picture = (
        cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for values in (np.ascontiguousarray(before.matte[at]), then)
    )
    wrong = cv2.GaussianBlur(np.abs(picture.astype(np.float32) - now), (0, 0), 3.0)
    trust = np.exp(-np.square(wrong / np.float32(_TRUSTED_CODES)))
    return np.asarray(matte, np.float32), np.asarray(trust, np.float32)
