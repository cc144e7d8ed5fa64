from dataclasses import replace

import cv2
import numpy as np
import pytest

from matting_pictures import deeper, from_rgb, soft_rgb
from vrmatte.frames import YUV420P, ColorTags, Eye, PlanarFrame
from vrmatte.matting.network_input import full_rgb, packed, small_rgb

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
        ((2, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize(
    ("sampling", "flag"), [("bilinear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)]
)
def test_sampling_is_that_of_opencv_in_float(old, new, sampling, flag):
    luma = np.random.default_rng(0).integers(0, 256, old[::-1]).astype(np.uint8)
    growing = new[0] > old[0]
    flag = cv2.INTER_LINEAR if growing else flag
    expected = cv2.resize(luma.astype(np.float32) / 255, new, interpolation=flag)
    rgb = small_rgb(grey(luma), *new, sampling)
    assert rgb.shape == (3, new[1], new[0])
    assert rgb.dtype == np.float32
    # OpenCV's own bilinear weights are floats of 24 bits, as ours.
    assert np.abs(rgb - expected).max() < 2e-6


def test_colours_come_back():
    colour = np.array([0.8, 0.3, 0.1])
    rgb = small_rgb(from_rgb(np.broadcast_to(colour, (48, 64, 3))), 16, 12)
    # Codes are rounded: half of 1/219 in Y; half of 1/224, up to 1.86 fold, in U or V.
    assert np.abs(rgb - colour[:, None, None]).max() < 0.0065


def test_ten_bits_and_full_range_give_the_same_picture():
    rgb = soft_rgb(64, 48)
    picture = from_rgb(rgb)
    small = small_rgb(picture, 20, 15)
    assert np.abs(small - small_rgb(deeper(picture), 20, 15)).max() < 1e-6
    full = from_rgb(rgb, color=ColorTags(matrix=1, full_range=True))
    # Rounding as above, once for each range.
    assert np.abs(small - small_rgb(full, 20, 15)).max() < 0.012


def test_codes_outside_the_nominal_range_are_clipped():
    luma = np.array([[0, 255], [0, 255]], np.uint8)
    picture = replace(grey(luma), color=ColorTags(full_range=False))
    assert small_rgb(picture, 2, 2).tolist() == [[[0, 1], [0, 1]]] * 3


def test_full_size_takes_the_chroma_sample_of_each_pixel():
    picture = from_rgb(soft_rgb(31, 17))
    rgb = full_rgb(picture)
    assert rgb.shape == (3, 17, 31)
    assert np.allclose(rgb[:, 4, 6] - rgb[:, 5, 7], (rgb[:, 4, 6] - rgb[:, 5, 7])[0], atol=1e-6)


def test_packed_closes_the_gaps_of_a_half():
    half = from_rgb(soft_rgb(64, 32)).eye(Eye.RIGHT)
    assert not half.y.flags.c_contiguous
    whole = packed(half)
    assert all(plane.flags.c_contiguous for plane in (whole.y, whole.u, whole.v))
    assert np.array_equal(whole.v, half.v)
    assert np.array_equal(small_rgb(whole, 9, 9), small_rgb(half, 9, 9))
