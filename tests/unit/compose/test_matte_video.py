from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vrmatte.compose.composer import matte_frame
from vrmatte.frames import YUV420P, YUV420P10

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    ("layout", "full_range", "black", "white"),
    [
        (YUV420P, False, 16, 235),
        (YUV420P10, False, 64, 940),
        (YUV420P, True, 0, 255),
        (YUV420P10, True, 0, 1023),
    ],
)
def test_alpha_is_luma_rounded_to_nearest(layout, full_range, black, white):
    frame = matte_frame(RAMP, layout, full_range, pts=7)
    nearest = [
        int(black + Fraction(alpha * (white - black), 255) + Fraction(1, 2)) for alpha in range(256)
    ]
    assert frame.y.ravel().tolist() == nearest
    assert (frame.y.min(), frame.y.max()) == (black, white)
    assert frame.y.dtype == layout.dtype
    assert (frame.layout, frame.color.full_range, frame.pts) == (layout, full_range, 7)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
def test_chroma_is_neutral_and_shared(layout):
    first, second = matte_frame(RAMP, layout), matte_frame(RAMP, layout)
    assert (first.u == 1 << (layout.bit_depth - 1)).all()
    assert first.u is second.v
    with pytest.raises(ValueError, match="read-only"):
        first.u[0, 0] = 0


def test_odd_sizes_and_views():
    wide = np.full((5, 14), 255, np.uint8)
    frame = matte_frame(wide[:, :7], YUV420P)
    assert frame.y.shape == (5, 7)
    assert frame.u.shape == (3, 4)
    assert (frame.y == 235).all()
