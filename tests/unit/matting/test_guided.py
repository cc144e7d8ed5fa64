import cv2
import numpy as np
import pytest

from support.matting.matting_pictures import deeper, from_rgb, noise, plain_rgb, soft_rgb
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, Eye, PlanarFrame
from vrmatte.matting.guided import add_weighted, apply_coefficients, fit_coefficients


def plainly(picture, slope, offset):
    """The same in float numpy, all at full size."""
    size = (picture.width, picture.height)
    big = [cv2.resize(small, size, interpolation=cv2.INTER_LINEAR) for small in (slope, offset)]
    return 255 * np.clip(big[0] * plain_rgb(picture).mean(axis=-1) + big[1], 0, 1)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10], ids=lambda layout: layout.name)
@pytest.mark.parametrize("color", [ColorTags(matrix=1), ColorTags(matrix=9, full_range=True)])
@pytest.mark.parametrize(
    ("size", "small"),
    [((96, 64), (24, 16)), ((101, 67), (37, 23)), ((33, 31), (33, 31)), ((9, 7), (1, 1))],
)
def test_kernel_does_what_plain_numpy_does(layout, color, size, small):
    rng = np.random.default_rng(2)
    slope, offset = (rng.uniform(-1.5, 1.5, small[::-1]).astype(np.float32) for _ in range(2))
    picture = noise(*size, layout, color)
    matte = apply_coefficients(picture, slope, offset)
    assert matte.shape == size[::-1]
    assert matte.dtype == np.uint8
    # Half a level is rounding, the rest the order of float operations.
    assert np.abs(matte - plainly(picture, slope, offset)).max() < 0.51


def test_values_beyond_the_matte_are_clipped_not_wrapped():
    picture = from_rgb(soft_rgb(32, 16))
    zero = np.zeros((2, 2), np.float32)
    assert (apply_coefficients(picture, zero, zero + 1e6) == 255).all()
    assert (apply_coefficients(picture, zero, zero - 1e6) == 0).all()


def test_halves_of_a_frame_are_like_pictures_of_their_own():
    frame = from_rgb(soft_rgb(64, 32))
    half = frame.eye(Eye.RIGHT)
    alone = PlanarFrame(half.y.copy(), half.u.copy(), half.v.copy(), half.layout, half.color)
    slope = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    offset = -slope / 2
    assert np.array_equal(
        apply_coefficients(half, slope, offset), apply_coefficients(alone, slope, offset)
    )


def test_depth_and_range_do_not_matter():
    rgb = soft_rgb(64, 32)
    limited = from_rgb(rgb)
    slope = np.full((8, 8), 2, np.float32)
    offset = np.full((8, 8), -0.5, np.float32)
    matte = apply_coefficients(limited, slope, offset).astype(int)
    assert np.array_equal(matte, apply_coefficients(deeper(limited), slope, offset))
    full = from_rgb(rgb, color=ColorTags(matrix=1, full_range=True))
    # Each of Y, U and V is rounded to 1/219 here and 1/255 there, and A is 2.
    assert np.abs(matte - apply_coefficients(full, slope, offset)).max() <= 4


def test_a_matte_that_follows_the_guide_is_found_again():
    guide = np.random.default_rng(0).random((40, 60), dtype=np.float32)
    slope, offset = fit_coefficients(guide, 0.6 * guide + 0.2, radius_px=2, epsilon=1e-6)
    # Epsilon takes about its share of the window's variance of 1/12.
    assert np.abs(slope - 0.6).max() < 1e-3
    assert np.abs(offset - 0.2).max() < 1e-3


def test_a_flat_guide_leaves_the_matte_as_it_is():
    matte = np.full((20, 20), 0.4, np.float32)
    slope, offset = fit_coefficients(np.full((20, 20), 0.7, np.float32), matte, 2, 1e-4)
    assert np.abs(slope).max() < 1e-2
    assert np.abs(slope * 0.7 + offset - 0.4).max() < 1e-5


def test_edges_follow_the_picture_better_than_plain_stretching():
    size, ratio = 256, 4
    rows, columns = np.mgrid[:size, :size]
    person = ((rows - 128) ** 2 + (columns - 120) ** 2 < 70**2).astype(np.float32)
    picture = from_rgb(np.repeat((0.2 + 0.6 * person)[..., None], 3, axis=2))
    small = (size // ratio, size // ratio)
    coarse = cv2.resize(person, small, interpolation=cv2.INTER_AREA)
    slope, offset = fit_coefficients(0.2 + 0.6 * coarse, coarse, 1, 1e-4)
    guided = apply_coefficients(picture, slope, offset) / 255
    plain = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
    assert np.abs(guided - person).mean() < 0.25 * np.abs(plain - person).mean()


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10], ids=lambda layout: layout.name)
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ((0, 40), (0, 60)),
        ((3, 20), (5, 38)),
        ((4, 5), (59, 60)),
        ((7, 7), (9, 9)),
        ((39, 40), (0, 3)),
    ],
)
def test_adding_a_region_does_what_plain_numpy_does(layout, rows, columns):
    rng = np.random.default_rng(3)
    region = slice(*rows), slice(*columns)
    shape = rows[1] - rows[0], columns[1] - columns[0]
    laid = rng.uniform(-1.5, 1.5, (2, *shape)).astype(np.float32)
    weight = rng.integers(0, 200, shape).astype(np.uint8) * rng.integers(0, 2, shape, np.uint8)
    picture = noise(60, 40, layout, ColorTags(matrix=1))
    before = rng.integers(0, 256 - 200, (40, 60)).astype(np.uint8)
    matte = before.copy()
    add_weighted(picture, laid, weight, region, matte)
    guide = plain_rgb(picture).mean(axis=-1)[region]
    expected = before.astype(float)
    expected[region] += weight * np.clip(laid[0] * guide + laid[1], 0, 1)
    # Half a level is rounding, the rest the order of float operations.
    assert np.abs(matte - expected).max() < 0.51
    untouched = np.ones_like(matte, bool)
    untouched[region] = weight == 0
    assert np.array_equal(matte[untouched], before[untouched])


def test_parts_of_a_whole_come_to_a_whole():
    picture = from_rgb(soft_rgb(16, 16))
    matte = np.zeros((16, 16), np.uint8)
    everywhere = slice(0, 16), slice(0, 16)
    opaque = np.stack([np.zeros((16, 16)), np.ones((16, 16))]).astype(np.float32)
    for part in (1, 85, 86, 83):
        add_weighted(picture, opaque, np.full((16, 16), part, np.uint8), everywhere, matte)
    assert (matte == 255).all()
