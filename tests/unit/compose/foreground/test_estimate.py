from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from support.media.composed_edges import BT709, Truth, hair, to_frame, to_rgb, twice
from vrmatte.compose.foreground.estimate import (
    Despill,
    ForegroundEstimator,
    _alpha_at_chroma,
    _plain_tiles,
    _site_weights,
)
from vrmatte.compose.foreground.solve import mixed_tiles
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.demo.scene import DemoPerson, Scene, render_pair
from vrmatte.frames import EYES, YUV420P, YUV420P10, Eye, PixelLayout, PlanarFrame, half_of

GREEN = (0, 255, 0)


def planes(frame):
    return frame.y, frame.u, frame.v


def band_error(truth: Truth, made: PlanarFrame) -> float:
    """Mean absolute error of R, G and B where alpha is neither 0 nor 255."""
    band = (truth.matte > 0) & (truth.matte < 255)
    return float(np.abs(to_rgb(made) - truth.front)[band].mean())


def estimate(frame, matte, **options):
    return ForegroundEstimator(frame.layout, frame.color, **options)(frame, matte)


@pytest.fixture(scope="module")
def strands() -> Truth:
    return hair()


@pytest.fixture(scope="module")
def demo() -> Truth:
    scene = Scene(people=(DemoPerson(z_m=0.6),), noise=0.0)
    pair = render_pair(scene, 640, 3)
    alpha = pair.alpha[0]
    front = pair.foreground[0] / np.maximum(alpha, 1 / 512)[..., None]
    back = render_pair(replace(scene, people=()), 640, 3).rgb[0] / 255
    return Truth(np.clip(front, 0, 1), back, alpha)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
@pytest.mark.parametrize("scene", ["strands", "demo"])
def test_the_old_background_leaves_the_edge(request, scene, layout):
    truth = request.getfixturevalue(scene)
    frame, matte = twice(truth.frame(layout)), np.hstack((truth.matte, truth.matte))
    before = band_error(truth, frame.eye(Eye.LEFT))
    assert before > 0.08
    for eye in EYES:
        # Of full scale; raw pixels are off by 0.17 and 0.16.
        assert band_error(truth, estimate(frame, matte).eye(eye)) < 0.03
    assert band_error(truth, estimate(frame, matte).eye(Eye.LEFT)) < before / 4


def test_chroma_counts(strands):
    """Luma alone put right leaves most of the error; so does chroma alone."""
    frame, matte = twice(strands.frame()), np.hstack((strands.matte, strands.matte))
    made = estimate(frame, matte)
    left, whole = frame.eye(Eye.LEFT), made.eye(Eye.LEFT)
    assert band_error(strands, replace(whole, u=left.u, v=left.v)) > 2 * band_error(strands, whole)
    assert band_error(strands, replace(whole, y=left.y)) > 2 * band_error(strands, whole)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
def test_opaque_and_transparent_samples_keep_every_bit(strands, layout):
    frame, matte = twice(strands.frame(layout)), np.hstack((strands.matte, strands.matte))
    before = [p.copy() for p in planes(frame)]
    made = estimate(frame, matte)
    for uniform in (0, 255):
        same = matte == uniform
        assert np.array_equal(made.y[same], frame.y[same])
        # A chroma sample is mixed of the pixels up to one beside its own two.
        blocks = np.pad(same, ((0, 0), (1, 1)), mode="edge")
        coarse = np.logical_and.reduce([blocks[k::2, j : j + same.shape[1] : 2]
                                        for k in (0, 1) for j in (0, 1, 2)])  # fmt: skip
        assert coarse.sum() > 1000
        assert np.array_equal(made.u[coarse], frame.u[coarse])
        assert np.array_equal(made.v[coarse], frame.v[coarse])
    assert all(np.array_equal(a, b) for a, b in zip(planes(frame), before, strict=True))
    assert made.layout == layout


@pytest.mark.parametrize("value", [0, 255])
def test_a_matte_without_edges_changes_nothing(strands, value):
    frame = twice(strands.frame())
    made = estimate(frame, np.full(frame.y.shape, value, np.uint8))
    assert all(np.array_equal(a, b) for a, b in zip(planes(frame), planes(made), strict=True))


def test_eyes_do_not_touch(strands):
    """What one eye shows never reaches the other, not even at the middle."""
    width = strands.matte.shape[1]
    matte = np.hstack((strands.matte, strands.matte))
    matte[:, width - 20 : width + 20] = 128
    frame = twice(strands.frame())
    other = PlanarFrame(*(p.copy() for p in planes(frame)), frame.layout, frame.color)
    for plane in planes(other):
        half_of(plane, Eye.RIGHT)[...] = 40
    for continued in (False, True):
        first, second = (
            estimate(f, matte, continued=continued).eye(Eye.LEFT) for f in (frame, other)
        )
        assert all(np.array_equal(a, b) for a, b in zip(planes(first), planes(second), strict=True))


def test_tiles_meet_without_seams():
    """A ramp of alpha over many tiles: F is one colour, whichever tile a pixel lies in."""
    size = 512
    x = np.linspace(0.02, 0.98, size, dtype=np.float32)
    alpha = np.tile(x, (size, 1))
    front, back = np.ones((size, size, 3)) * (0.7, 0.4, 0.3), np.ones((size, size, 3)) * 0.3
    back = back + 0.2 * np.sin(np.arange(size) / 9)[:, None, None]
    truth = Truth(front, back, alpha)
    made = estimate(twice(truth.frame(YUV420P10)), np.hstack((truth.matte, truth.matte)))
    luma = made.eye(Eye.LEFT).y.astype(float)
    across = np.abs(np.diff(luma, axis=1))
    borders = across[:, 63::64].mean()
    assert borders < 1.2 * across.mean() + 0.05


@pytest.mark.parametrize("size", [(36, 70), (35, 69), (130, 260), (2, 4)])
def test_any_size_will_do(size):
    rng = np.random.default_rng(3)
    chroma = (-(-size[0] // 2), -(-size[1] // 2))
    y, u, v = (rng.integers(16, 235, s, dtype=np.uint8) for s in (size, chroma, chroma))
    frame = PlanarFrame(y, u, v, YUV420P, BT709)
    matte = rng.integers(0, 256, size, dtype=np.uint8)
    for continued in (False, True):
        made = estimate(frame, matte, continued=continued)
        assert np.array_equal(made.y[matte == 255], y[matte == 255])


def test_an_edge_of_even_colours_is_put_right_at_every_chroma_site():
    """Mixed with the wrong alpha, chroma beside the edge would be off by tens of codes."""
    height, width = 64, 128
    alpha = np.zeros((height, width), np.float32)
    alpha[:, 31:] = 1
    alpha[:, 30] = 0.5
    for location, taps in ((1, (0.25, 0.5, 0.25)), (2, (0, 0.5, 0.5))):
        at_chroma = sum(
            share * np.pad(alpha, ((0, 0), (1, 1)), mode="edge")[::2, k : k + width : 2]
            for k, share in enumerate(taps)
        )
        u = np.rint(90 * at_chroma + 170 * (1 - at_chroma)).astype(np.uint8)
        y = np.rint(120 * alpha + 60 * (1 - alpha)).astype(np.uint8)
        color = replace(BT709, chroma_location=location)
        frame = twice(PlanarFrame(y, u, u.copy(), YUV420P, color))
        matte = np.hstack([np.rint(alpha * 255).astype(np.uint8)] * 2)
        made = estimate(frame, matte)
        mixed = (at_chroma > 0.1) & (at_chroma < 1)
        assert mixed.any()
        assert np.abs(half_of(made.u, Eye.LEFT)[mixed].astype(int) - 90).max() <= 6


def test_colours_run_on_beyond_the_edge_and_end_in_black(strands):
    frame, matte = twice(strands.frame()), np.hstack((strands.matte, strands.matte))
    made = estimate(frame, matte, continued=True)
    plain = estimate(frame, matte)
    assert np.array_equal(made.y[matte > 0], plain.y[matte > 0])
    distance = _distance_to_alpha(matte)
    far = distance > 40
    assert far.sum() > 1000
    assert (made.y[far] == 16).all()
    assert (made.u[far[::2, ::2]] == 128).all()
    # Beside the edge lie its own colours: brown and blue, all darker than the blotches behind.
    beside = (distance > 0) & (distance < 6)
    assert made.y[beside].mean() < plain.y[beside].mean() - 30
    assert made.y[beside].mean() > 30


def test_a_hard_matte_runs_on_too():
    """Also where its edge falls exactly between two tiles and no tile is mixed."""
    frame = to_frame(np.full((128, 256, 3), 0.5), YUV420P)
    matte = np.zeros((128, 256), np.uint8)
    matte[:64, :64] = 255
    made = estimate(frame, matte, continued=True)
    assert np.array_equal(made.y[:64, :64], frame.y[:64, :64])
    assert (made.y[64:] == 16).all()
    assert (made.y[:, 128:] == 16).all()


def _distance_to_alpha(matte):
    return np.hstack(
        [
            cv2.distanceTransform((half_of(matte, e) == 0).astype(np.uint8), cv2.DIST_L2, 5)
            for e in EYES
        ]
    )


def test_despill_takes_the_hue_and_leaves_luma_and_skin(strands):
    spilt = Truth(
        np.clip(strands.front + np.array((0, 0.25, 0)), 0, 1), strands.back, strands.alpha
    )
    frame, matte = twice(spilt.frame()), np.hstack((strands.matte, strands.matte))
    plain = estimate(frame, matte)
    despilt = estimate(frame, matte, despill=Despill(1.0, GREEN))
    half = estimate(frame, matte, despill=Despill(0.5, GREEN))
    assert np.array_equal(plain.y, despilt.y)
    assert np.array_equal(planes(plain)[1], estimate(frame, matte, despill=Despill(0, GREEN)).u)
    low = ((matte > 20) & (matte < 120))[::2, ::2]
    greens = [_along_green(f)[low].clip(0).mean() for f in (plain, half, despilt)]
    assert greens[0] > 4
    assert greens[1] == pytest.approx(greens[0] / 2, rel=0.2)
    assert greens[2] < 0.15 * greens[0]
    opaque = (matte == 255).reshape(matte.shape[0] // 2, 2, -1, 2).all(axis=(1, 3))
    inside = opaque & np.roll(opaque, 1, 1)
    assert np.array_equal(despilt.u[inside], plain.u[inside])


def test_despill_of_a_hue_that_is_not_there_changes_nothing():
    """Skin before skin-coloured wood: nothing green, nothing taken."""
    skin, wood = (0.85, 0.65, 0.55), (0.5, 0.35, 0.25)
    alpha = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (64, 1))
    truth = Truth(np.ones((64, 128, 3)) * skin, np.ones((64, 128, 3)) * wood, alpha)
    frame, matte = twice(truth.frame()), np.hstack((truth.matte, truth.matte))
    plain, despilt = (estimate(frame, matte, despill=d) for d in (None, Despill(1.0, GREEN)))
    assert all(np.array_equal(a, b) for a, b in zip(planes(plain), planes(despilt), strict=True))


def test_a_grey_key_has_no_hue_to_take(strands):
    frame, matte = twice(strands.frame()), np.hstack((strands.matte, strands.matte))
    plain = estimate(frame, matte)
    despilt = estimate(frame, matte, despill=Despill(1.0, (128, 128, 128)))
    assert all(np.array_equal(a, b) for a, b in zip(planes(plain), planes(despilt), strict=True))


def _along_green(frame):
    hue = np.array((42 - 128, 26 - 128), float)
    hue /= np.hypot(*hue)
    return (frame.u - 128.0) * hue[0] + (frame.v - 128.0) * hue[1]


def test_what_does_not_fit_is_refused(strands):
    frame = strands.frame()
    with pytest.raises(ValueError, match="matte of"):
        estimate(frame, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="yuv420p10le"):
        ForegroundEstimator(YUV420P, BT709)(strands.frame(YUV420P10), strands.matte)
    with pytest.raises(ValueError, match="4:2:0"):
        ForegroundEstimator(PixelLayout("yuv444p", 8, 0, 0), BT709)


@pytest.mark.parametrize("location", [0, 1, 3, 5])
@pytest.mark.parametrize("size", [(320, 1024), (350, 1060), (297, 1062)])
def test_alpha_at_chroma_is_what_each_sample_sees_in_every_tile(location, size):
    """Tiles that are plain are filled, the rest is weighed: as if all of it were weighed."""
    rng = np.random.default_rng(4)
    matte = np.zeros(size, np.uint8)
    matte[:, 64:600] = 255  # a hard edge where tiles meet, and one beside it
    matte[70:90, 620:640] = rng.integers(0, 256, (20, 20))
    matte[0, 0] = matte[-1, -1] = 3
    height, width = (-(-n // 2) for n in size)
    across, down = _site_weights(location)
    made = np.full((height, width), 77, np.uint8)
    plain = _plain_tiles(*mixed_tiles(matte, 0, size[1]))
    assert set(np.unique(plain)) == {0, 1, 2}
    _alpha_at_chroma(matte, 0, size[1], across, down, plain, made)
    rows = [np.clip(2 * np.arange(height) + k - 1, 0, size[0] - 1) for k in range(4)]
    lines = sum(down[k] * matte[rows[k]].astype(np.int32) for k in range(4))
    # Columns go on past their end as the last one is; an odd one has no right neighbour of its own.
    columns = [np.clip(2 * np.arange(width) + k - 1, 0, size[1] - 1) for k in range(3)]
    total = sum(across[k] * lines[:, columns[k]] for k in range(3))
    expected = np.clip((total + 8) >> 4, 1, 254)
    expected[total == 0], expected[total == 16 * 255] = 0, 255
    assert np.array_equal(made, expected)


def test_a_screen_is_the_same_whether_colours_run_on_beyond_the_edge_or_not(strands):
    """So they need not, where no other file wants them to."""
    frame, matte = twice(strands.frame()), np.hstack((strands.matte, strands.matte))
    screen = GreenScreen(GREEN, frame.layout, frame.color)
    on, off = (screen.compose(estimate(frame, matte, continued=c), matte) for c in (True, False))
    for one, other in zip(planes(on), planes(off), strict=True):
        assert np.array_equal(one, other)
    run_on, kept = (estimate(frame, matte, continued=c) for c in (True, False))
    assert not np.array_equal(run_on.y, kept.y)
