"""Conversion of a video signal to linear light, where 1.0 is diffuse white.

Transfer codes are those of ITU-T H.273. Camera curves (BT.709, BT.2020, HLG) are inverted to scene
light. PQ encodes the brightness of a display, so it is inverted to display light, relative to
diffuse white.
"""

from __future__ import annotations

import numpy as np

from vrmatte.errors import InputError
from vrmatte.frames import DoubleArray

DIFFUSE_WHITE_NITS = 203
"""Luminance of diffuse white in PQ, from BT.2408."""
HLG_WHITE_SIGNAL = 0.75
"""Signal level of diffuse white in HLG, from BT.2408."""

_PQ = 16
_HLG = 18
_CAMERA_709 = frozenset({0, 1, 2, 3, 6, 11, 14, 15})
_POWERS = {4: 2.2, 5: 2.8, 8: 1.0}
_SRGB = 13
_SMPTE_240M = 7


def linear_light(signal: DoubleArray, transfer: int) -> DoubleArray:
    """Return the linear light of a signal; an unspecified transfer is read as BT.709.

    Args:
        signal: R', G' or B' from 0; 1 is the nominal peak and may be exceeded, except in PQ, where
            it is the maximum.
        transfer: H.273 transfer code.

    Raises:
        InputError: the transfer curve is not supported.
    """
    if transfer in _CAMERA_709:
        # BT.2020 has more digits in its constants; the difference is below one 12-bit code.
        return _toe_and_power(signal, 4.5, 0.099, 1 / 0.45, 0.081)
    if transfer == _SMPTE_240M:
        return _toe_and_power(signal, 4.0, 0.1115, 1 / 0.45, 0.0912)
    if transfer == _SRGB:
        return _toe_and_power(signal, 12.92, 0.055, 2.4, 0.04045)
    if transfer in _POWERS:
        return signal ** _POWERS[transfer]
    if transfer == _PQ:
        return _pq_nits(np.minimum(signal, 1)) / DIFFUSE_WHITE_NITS
    if transfer == _HLG:
        return _hlg_scene(signal) / _hlg_scene(np.array(HLG_WHITE_SIGNAL))
    raise InputError(
        f"can't convert the video's transfer curve (code {transfer}) to linear light; accepted "
        "are BT.709, BT.601, BT.2020, sRGB, gamma 2.2 and 2.8, linear, PQ and HLG. Choose png "
        "instead of exr, or convert the video"
    )


def _toe_and_power(
    signal: DoubleArray, slope: float, offset: float, exponent: float, toe: float
) -> DoubleArray:
    return np.where(signal < toe, signal / slope, ((signal + offset) / (1 + offset)) ** exponent)


def _pq_nits(signal: DoubleArray) -> DoubleArray:
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    return 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_scene(signal: DoubleArray) -> DoubleArray:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
