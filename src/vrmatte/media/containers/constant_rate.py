"""Exact times of constant-rate video whose container stores milliseconds, as Matroska does.

At 59.94 frames per second the steps are 16 and 17 ms. In MP4 and MOV, whose editors and players
expect equal steps, the times become those of the exact rate that was rounded.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vrmatte.frames import Timeline

_FINEST_ROUNDED = Fraction(1, 1000)
_RATES = tuple(
    Fraction(whole * 1000, divisor)
    for whole in (24, 25, 30, 48, 50, 60, 72, 90, 100, 120)
    for divisor in (1000, 1001)
)
_FINER = (1, 1000)
"""Ticks per unit of the rate: the finer ones where the video begins between two frames."""


def at_exact_rate(timeline: Timeline, nominal_rate: Fraction) -> Timeline:
    """Return the times of the standard rate of which all times are roundings, or `timeline` itself.

    Frames stay within half a tick of their stored times. Where the first is stored at 0, as in a
    part of a video, it stays there; the others are then less than one tick away.

    Args:
        timeline: the times to replace; unchanged if its ticks are finer than a millisecond, or its
            steps equal.
        nominal_rate: frames per second by the header; decides where several rates fit.
    """
    if timeline.time_base < _FINEST_ROUNDED or len(timeline) < 2:
        return timeline
    if np.ptp(np.diff(timeline.pts)) == 0:  # as 20 ms at 50 frames per second
        return timeline
    for rate in sorted(_RATES, key=lambda rate: abs(rate - nominal_rate)):
        for finer in _FINER:
            ticks = np.arange(len(timeline) + 1, dtype=np.int64) * rate.denominator * finer
            base = Fraction(1, rate.numerator * finer)
            first = _first_tick(timeline, ticks[:-1], base)
            if first is not None:
                ticks += first
                return replace(timeline, pts=ticks[:-1], end_pts=int(ticks[-1]), time_base=base)
    return timeline


def _first_tick(timeline: Timeline, ticks: npt.NDArray[np.int64], base: Fraction) -> int | None:
    """Return the offset of `ticks` at which all round to the stored times; None: there is none."""
    scale = timeline.time_base / base
    # A time rounds to the stored one if it is at most half a stored tick away.
    doubled = 2 * timeline.pts.astype(np.int64)
    lowest = int(np.max((doubled - 1) * scale.numerator - 2 * ticks * scale.denominator))
    highest = int(np.min((doubled + 1) * scale.numerator - 2 * ticks * scale.denominator))
    first = math.ceil(Fraction(lowest, 2 * scale.denominator))
    last = math.floor(Fraction(highest, 2 * scale.denominator))
    if first > last:
        return None
    return 0 if timeline.pts[0] == 0 else min(max(0, first), last)
