from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.media.composed_edges import BT709, hair, to_rgb, twice
from vrmatte.compose.foreground.estimate import ForegroundEstimator
from vrmatte.compose.straight import StraightComposer, scaled_alpha
from vrmatte.frames import (
    YUV420P,
    YUV420P10,
    YUVA420P,
    YUVA444P10,
    Eye,
    PixelLayout,
    PlanarFrame,
    half_of,
)

FULL = replace(BT709, full_range=True)


def ramp_frame(layout, color, height=16, width=64):
    """Chroma that is a plane over the picture, sampled where the tag says it lies."""
    step = 1 << (layout.bit_depth - 8)
    across = 0.5 if color.chroma_location in (0, 1, 3, 5) else 1.0
    down = {3: 0.5, 4: 0.5, 5: 1.5, 6: 1.5}.get(color.chroma_location, 1.0)
    x, y = 2 * np.arange(width // 2) + across, 2 * np.arange(height // 2) + down
    u = np.rint(step * (60 + 2 * x[None] + 4 * y[:, None])).astype(layout.dtype)
    luma = np.full((height, width), 100 * step, layout.dtype)
    return PlanarFrame(luma, u, u.copy(), layout, color, pts=9)


def compose(frame, target, matte=None, full_range=None):
    matte = np.full(frame.y.shape, 255, np.uint8) if matte is None else matte
    full_range = frame.color.full_range if full_range is None else full_range
    composer = StraightComposer(frame.layout, target, frame.color, full_range=full_range)
    return composer(frame, matte)


def test_alpha_reaches_both_ends_exactly_and_rises_evenly():
    matte = np.arange(256, dtype=np.uint8).reshape(16, 16)
    alpha = scaled_alpha(matte, YUVA444P10)
    assert (alpha[0, 0], alpha[-1, -1], alpha.dtype) == (0, 1023, np.uint16)
    assert np.array_equal(alpha.ravel(), np.rint(np.arange(256) * 1023 / 255))
    assert scaled_alpha(matte, YUVA420P) is matte


@pytest.mark.parametrize("location", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
def test_chroma_is_interpolated_where_it_lies(layout, location):
    """Half a pixel off would be an error of 4 codes here, for all ten bits."""
    frame = ramp_frame(layout, replace(BT709, chroma_location=location), width=32)
    made = compose(twice(frame), YUVA444P10).picture
    x, y = np.arange(32) + 0.5, np.arange(16) + 0.5
    truth = 4 * (60 + 2 * x[None] + 4 * y[:, None])
    for half in (half_of(made.u, Eye.LEFT), half_of(made.v, Eye.RIGHT)):
        inner = np.abs(half.astype(float) - truth)[2:-2, 2:-2]
        assert inner.max() <= 1
    assert made.pts == 9


def test_eyes_do_not_mix_at_the_middle():
    left, right = (np.full((8, 8), value, np.uint8) for value in (60, 200))
    chroma = np.hstack((left, right))
    frame = PlanarFrame(np.full((16, 32), 50, np.uint8), chroma, chroma, YUV420P, BT709)
    made = compose(frame, YUVA444P10).picture
    assert (half_of(made.u, Eye.LEFT) == 240).all()
    assert (half_of(made.u, Eye.RIGHT) == 800).all()


def test_limited_range_is_shifted_exactly():
    y = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = PlanarFrame(y, y[::2, ::2].copy(), y[::2, ::2].copy(), YUV420P, BT709)
    made = compose(frame, PixelLayout("yuv420p10le", 10, 1, 1)).picture
    assert np.array_equal(made.y, y.astype(np.uint16) << 2)
    assert np.array_equal(made.u, frame.u.astype(np.uint16) << 2)


def test_full_range_keeps_black_white_and_grey():
    y = np.array([[0, 255], [128, 1]], np.uint8)
    grey = np.array([[128]], np.uint8)
    made = compose(PlanarFrame(y, grey, grey, YUV420P, FULL), YUVA444P10).picture
    assert made.y.tolist() == [[0, 1023], [514, 4]]
    assert (made.u == 512).all()
    assert made.color.full_range


def test_another_range_is_another_code_for_the_same_colour():
    truth = hair(128).frame()
    frame = twice(truth)
    wide = compose(frame, YUVA444P10, full_range=True).picture
    plain = compose(frame, YUVA444P10).picture
    assert wide.color.full_range
    # Full-range codes are 1.17 times as dense; clipping apart, both are the same to a code or so.
    assert np.abs(to_rgb(wide) - to_rgb(plain)).max() < 0.004


def test_ten_bits_become_eight_by_rounding():
    y = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    chroma = np.full((16, 16), 514, np.uint16)
    made = compose(PlanarFrame(y, chroma, chroma, YUV420P10, BT709), YUVA420P)
    assert np.array_equal(made.picture.y.ravel(), np.minimum((np.arange(1024) + 2) >> 2, 255))
    assert (made.picture.u == 129).all()
    assert made.alpha.dtype == np.uint8


def test_nothing_to_convert_is_handed_on():
    frame = twice(hair(64).frame())
    made = compose(frame, YUVA420P).picture
    assert made.y is frame.y
    assert made.u is frame.u


def test_editors_get_the_old_picture_only_through_alpha():
    """Over another ground the picture is as if shot there; the source far away is gone."""
    truth = hair()
    frame, matte = twice(truth.frame()), np.hstack((truth.matte, truth.matte))
    own = ForegroundEstimator(frame.layout, frame.color, continued=True)(frame, matte)
    ground = np.array((0.2, 0.8, 0.9))
    wanted = truth.over(np.broadcast_to(ground, truth.front.shape))
    errors = []
    for source in (frame, own):
        made = compose(source, YUVA444P10, matte)
        alpha = half_of(made.alpha, Eye.LEFT)[..., None] / 1023
        composed = alpha * to_rgb(made.picture.eye(Eye.LEFT)) + (1 - alpha) * ground
        band = (truth.matte > 0) & (truth.matte < 255)
        errors.append(np.abs(composed - wanted)[band].mean())
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 2.5
    assert (made.picture.y[:30, :30] == 64).all()


def test_what_does_not_fit_is_refused():
    frame = twice(hair(64).frame())
    with pytest.raises(ValueError, match="matte of"):
        compose(frame, YUVA444P10, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="yuv422p"):
        compose(frame, PixelLayout("yuv422p", 8, 1, 0))
    with pytest.raises(ValueError, match="yuv420p10le"):
        StraightComposer(YUV420P10, YUVA444P10, BT709, full_range=False)(
            frame, np.zeros(frame.y.shape, np.uint8)
        )
