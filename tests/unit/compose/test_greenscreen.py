from __future__ import annotations

import numpy as np
import pytest

from support.media.composed_edges import hair, to_frame, to_rgb, twice
from vrmatte.compose.foreground.estimate import ForegroundEstimator
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, Eye, PixelLayout, PlanarFrame

BT709 = ColorTags(1, 1, 1)
GREEN = (0, 255, 0)


def noise_frame(layout, color=BT709, height=36, width=70):
    rng = np.random.default_rng(5)
    chroma = (-(-height // 2), -(-width // 2))
    planes = [
        rng.integers(0, layout.peak + 1, shape, dtype=layout.dtype)
        for shape in ((height, width), chroma, chroma)
    ]
    return PlanarFrame(*planes, layout, color, pts=11)


def chroma_alpha(matte):
    """Sum of alpha over each 2 x 2 block, edges repeated."""
    height, width = matte.shape
    padded = np.pad(matte.astype(np.int64), ((0, height % 2), (0, width % 2)), mode="edge")
    return padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
@pytest.mark.parametrize("full_range", [False, True])
def test_opaque_keeps_and_transparent_replaces_every_bit(layout, full_range):
    frame = noise_frame(layout, ColorTags(1, 1, 1, full_range))
    screen = GreenScreen(GREEN, layout, frame.color)
    kept = screen.compose(frame, np.full(frame.y.shape, 255, np.uint8))
    for before, after in zip((frame.y, frame.u, frame.v), (kept.y, kept.u, kept.v), strict=True):
        assert np.array_equal(before, after)
        assert after.dtype == layout.dtype
    gone = screen.compose(frame, np.zeros(frame.y.shape, np.uint8))
    for plane, key in zip((gone.y, gone.u, gone.v), screen.key_yuv, strict=True):
        assert (plane == key).all()
    assert (kept.pts, kept.color) == (11, frame.color)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
@pytest.mark.parametrize("background", [GREEN, (255, 0, 255), (0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("size", [(36, 70), (35, 69), (1, 1)])
def test_soft_edges_are_rounded_to_the_nearest_code(layout, background, size):
    frame = noise_frame(layout, height=size[0], width=size[1])
    matte = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    screen = GreenScreen(background, layout, frame.color)
    made = screen.compose(frame, matte)
    key_y, key_u, key_v = screen.key_yuv
    alpha = matte.astype(np.int64)
    exact = alpha * frame.y + (255 - alpha) * key_y
    assert np.array_equal(made.y, (2 * exact + 255) // 510)
    sums = chroma_alpha(matte)
    for before, after, key in ((frame.u, made.u, key_u), (frame.v, made.v, key_v)):
        exact_chroma = (sums * before + (1020 - sums) * key) / 1020
        # Half a code is rounding; ties may go either way.
        assert np.abs(after - exact_chroma).max() <= 0.5 + 1e-9


def test_luma_rounding_for_every_alpha_and_code():
    height, width = 256, 1024
    y = np.broadcast_to(np.arange(width, dtype=np.uint16), (height, width)).copy()
    chroma = np.full((height // 2, width // 2), 512, np.uint16)
    frame = PlanarFrame(y, chroma, chroma, YUV420P10, BT709)
    matte = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (height, width)).copy()
    screen = GreenScreen(GREEN, YUV420P10, BT709)
    alpha = matte.astype(np.int64)
    exact = alpha * y + (255 - alpha) * screen.key_yuv[0]
    assert np.array_equal(screen.compose(frame, matte).y, (2 * exact + 255) // 510)


def test_key_follows_matrix_range_and_depth():
    # BT.709 and BT.601 green as in the standards' test signals.
    assert GreenScreen(GREEN, YUV420P, BT709).key_yuv == (173, 42, 26)
    assert GreenScreen(GREEN, YUV420P, ColorTags(matrix=6)).key_yuv == (145, 54, 34)
    assert GreenScreen(GREEN, YUV420P, ColorTags()).key_yuv == (173, 42, 26)
    assert GreenScreen((255, 255, 255), YUV420P10, BT709).key_yuv == (940, 512, 512)
    full = ColorTags(1, 1, 1, full_range=True)
    assert GreenScreen((255, 255, 255), YUV420P, full).key_yuv == (255, 128, 128)


def test_what_does_not_fit_is_refused():
    frame = noise_frame(YUV420P)
    screen = GreenScreen(GREEN, YUV420P, BT709)
    with pytest.raises(ValueError, match="matte of"):
        screen.compose(frame, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="yuv420p10le"):
        screen.compose(noise_frame(YUV420P10), np.zeros(frame.y.shape, np.uint8))
    with pytest.raises(ValueError, match="4:2:0"):
        GreenScreen(GREEN, PixelLayout("yuv444p", 8, 0, 0), BT709)


def test_halves_of_larger_arrays_are_fine():
    frame = noise_frame(YUV420P, width=140)
    matte = np.random.default_rng(2).integers(0, 256, (36, 140), dtype=np.uint8)
    screen = GreenScreen(GREEN, YUV420P, BT709)
    half = PlanarFrame(frame.y[:, :70], frame.u[:, :35], frame.v[:, :35], YUV420P, BT709)
    whole = screen.compose(frame, matte)
    assert np.array_equal(screen.compose(half, matte[:, :70]).y, whole.y[:, :70])
    assert np.array_equal(screen.compose(half, matte[:, :70]).u, whole.u[:, :35])


def test_edges_of_estimated_colours_show_no_old_background():
    truth = hair()
    frame, matte = twice(truth.frame()), np.hstack((truth.matte, truth.matte))
    estimate = ForegroundEstimator(frame.layout, frame.color)
    plain = GreenScreen(GREEN, YUV420P, BT709).compose(frame, matte)
    clean = GreenScreen(GREEN, YUV420P, BT709).compose(estimate(frame, matte), matte)
    wanted = truth.over(np.broadcast_to((0.0, 1.0, 0.0), truth.front.shape))
    band = (truth.matte > 0) & (truth.matte < 255)
    errors = [np.abs(to_rgb(f.eye(Eye.LEFT)) - wanted)[band].mean() for f in (plain, clean)]
    # What is left is the green itself, which 4:2:0 can't hold at single strands.
    coarse = twice(to_frame(wanted, YUV420P)).eye(Eye.LEFT)
    floor = np.abs(to_rgb(coarse) - wanted)[band].mean()
    assert errors[1] - floor < (errors[0] - floor) / 2
    assert np.array_equal(clean.y[matte == 255], frame.y[matte == 255])
    assert (clean.y[matte == 0] == 173).all()
    untouched = chroma_alpha(matte) == 0
    assert (clean.u[untouched] == 42).all()
    assert (clean.v[untouched] == 26).all()
