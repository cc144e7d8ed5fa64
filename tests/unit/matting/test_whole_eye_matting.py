import numpy as np
import pytest

from support.matting.matting_engines import (
    PaintingEngine,
    constant,
    guide_of_the_eye,
    guide_of_the_view,
    halves,
    side_by_side,
    trail_engine,
)
from support.matting.matting_pictures import deeper, from_rgb, plain_rgb, soft_rgb
from vrmatte.frames import EYES, half_of
from vrmatte.matting.network_input import sampled_rgb
from vrmatte.matting.whole_eye_matting import VIEW, WholeEyeMatting, network_size


@pytest.fixture
def frame():
    return side_by_side(*(from_rgb(soft_rgb(96, 80, seed)) for seed in (1, 2)))


def test_the_network_sees_both_eyes_left_first(frame):
    engine = PaintingEngine(constant(0.0))
    WholeEyeMatting(engine, 0.25).matte(0, frame)
    assert engine.calls == [("infer", VIEW)]
    left, right = halves(frame)
    assert engine.seen[VIEW].shape == (2, 3, 20, 24)
    for seen, eye in zip(engine.seen[VIEW], (left, right), strict=True):
        assert np.array_equal(seen, sampled_rgb(eye, 24, 20))


def test_a_matte_that_is_the_picture_comes_back_exactly(frame):
    matte = WholeEyeMatting(PaintingEngine(guide_of_the_eye), 0.25).matte(0, frame)
    assert matte.shape == (80, 192)
    assert matte.dtype == np.uint8
    for eye in EYES:
        truth = 255 * plain_rgb(frame.eye(eye)).mean(axis=-1)
        # Half a level is rounding.
        assert np.abs(half_of(matte, eye) - truth).max() < 0.51


def test_what_the_network_sees_comes_back_where_it_was(frame):
    matte = WholeEyeMatting(PaintingEngine(guide_of_the_view), 0.5).matte(0, frame)
    for eye in EYES:
        truth = 255 * plain_rgb(frame.eye(eye)).mean(axis=-1)
        # Stretched linearly from half the size; chroma lies in steps of two pixels.
        assert np.abs(half_of(matte, eye) - truth).max() < 6
        assert abs((half_of(matte, eye) - truth).mean()) < 0.3


@pytest.mark.parametrize(("alpha", "level"), [(0.0, 0), (0.4, 102), (1.0, 255), (7.0, 255)])
def test_constant_mattes(frame, alpha, level):
    matte = WholeEyeMatting(PaintingEngine(constant(alpha)), 0.3).matte(0, frame)
    assert (matte == level).all()


def test_ten_bits_give_the_same_matte(frame):
    eight, ten = (
        WholeEyeMatting(PaintingEngine(guide_of_the_view), 0.25).matte(0, one)
        for one in (frame, side_by_side(*map(deeper, halves(frame))))
    )
    # The same numbers, scaled: only float rounding differs.
    assert np.abs(eight.astype(int) - ten).max() <= 1


@pytest.mark.parametrize(
    ("width", "height", "scale", "size"),
    [(96, 80, 0.25, (24, 20)), (10, 6, 0.01, (1, 1)), (50, 30, 1.0, (50, 30))],
)
def test_network_size(width, height, scale, size):
    assert network_size(from_rgb(soft_rgb(width, height)), scale) == size


def test_an_engine_settles_on_the_first_picture_only():
    frames = [
        side_by_side(*(from_rgb(soft_rgb(64, 48, 2 * index + eye)) for eye in (0, 1)))
        for index in range(3)
    ]
    engine, matting = trail_engine(), None
    engine.settling_frames = 4
    matting = WholeEyeMatting(engine, 0.5)
    ours = [matting.matte(index, frame) for index, frame in enumerate(frames)]
    impatient = trail_engine()
    impatient.settling_frames = 0
    matting = WholeEyeMatting(impatient, 0.5)
    shown = [frames[0]] * 5 + frames[1:]
    theirs = [matting.matte(0, frame) for frame in shown][4:]
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    # Gone on from a state, nothing settles again.
    resumed, saved = trail_engine(), trail_engine()
    resumed.settling_frames = saved.settling_frames = 4
    first = WholeEyeMatting(saved, 0.5)
    for index in range(2):
        first.matte(index, frames[index])
    resumed.restore(saved.state())
    assert np.array_equal(WholeEyeMatting(resumed, 0.5).matte(2, frames[2]), ours[2])
