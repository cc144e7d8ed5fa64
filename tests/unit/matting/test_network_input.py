from dataclasses import replace

import cv2
import numpy as np
import pytest

from support.matting.matting_pictures import deeper, from_rgb, noise, plain_rgb, soft_rgb
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, Eye, PixelLayout, PlanarFrame
from vrmatte.matting.network_input import _sample, _taps, packed, rgb_rows, sampled_rgb

GREY = ColorTags(full_range=True)


def grey(luma):
    """A colourless picture whose R, G and B are luma / 255."""
    height, width = luma.shape
    chroma = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
    return PlanarFrame(luma, chroma, chroma, YUV420P, GREY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((64, 48), (16, 12)),
        ((101, 67), (37, 25)),
        ((50, 30), (50, 30)),
        ((7, 5), (9, 11)),
        ((1, 1), (3, 2)),
    ],
)
def test_sampling_is_that_of_a_full_picture(old, new):
    picture = noise(*old, YUV420P, ColorTags(matrix=1))
    expected = cv2.resize(plain_rgb(picture), new, interpolation=cv2.INTER_LINEAR)
    rgb = sampled_rgb(picture, *new)
    assert (rgb.shape, rgb.dtype) == ((3, new[1], new[0]), np.float32)
    # Float sums in another order.
    assert np.abs(rgb.transpose(1, 2, 0) - expected).max() < 2e-6


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10, PixelLayout("yuv444p", 8, 0, 0)])
def test_a_picture_at_its_own_size_is_converted_bit_for_bit_alike(layout):
    """The short way round sampling gives what sampling would."""
    picture = from_rgb(soft_rgb(50, 30), YUV420P, ColorTags(matrix=1))
    if layout.bit_depth == 10:
        picture = deeper(picture)
    if layout.chroma_shift_x == 0:
        chroma = (plane.repeat(2, 0).repeat(2, 1) for plane in (picture.u, picture.v))
        picture = PlanarFrame(picture.y, *chroma, layout, picture.color)
    short = sampled_rgb(picture, 50, 30)
    shifts = layout.chroma_shift_x, layout.chroma_shift_y
    taps = *_taps(30, 30), *_taps(50, 50)
    long = _sample(picture.y, picture.u, picture.v, *shifts, rgb_rows(picture), *taps)
    assert np.array_equal(short, long)


def test_colours_come_back():
    colour = np.array([0.8, 0.3, 0.1])
    rgb = sampled_rgb(from_rgb(np.broadcast_to(colour, (48, 64, 3))), 16, 12)
    # Codes are rounded: half of 1/219 in Y; half of 1/224, up to 1.86 fold, in U or V.
    assert np.abs(rgb - colour[:, None, None]).max() < 0.0065


def test_ten_bits_and_full_range_give_the_same_picture():
    rgb = soft_rgb(64, 48)
    picture = from_rgb(rgb)
    small = sampled_rgb(picture, 20, 15)
    assert np.abs(small - sampled_rgb(deeper(picture), 20, 15)).max() < 1e-6
    full = from_rgb(rgb, color=ColorTags(matrix=1, full_range=True))
    # Rounding as above, once for each range.
    assert np.abs(small - sampled_rgb(full, 20, 15)).max() < 0.012


def test_codes_outside_the_nominal_range_are_clipped():
    luma = np.array([[0, 255], [0, 255]], np.uint8)
    picture = replace(grey(luma), color=ColorTags(full_range=False))
    assert sampled_rgb(picture, 2, 2).tolist() == [[[0, 1], [0, 1]]] * 3


def test_packed_closes_the_gaps_of_a_half():
    half = from_rgb(soft_rgb(64, 32)).eye(Eye.RIGHT)
    assert not half.y.flags.c_contiguous
    whole = packed(half)
    assert all(plane.flags.c_contiguous for plane in (whole.y, whole.u, whole.v))
    assert np.array_equal(whole.v, half.v)
    assert np.array_equal(sampled_rgb(whole, 9, 9), sampled_rgb(half, 9, 9))
