import numpy as np
import pytest

from vrmatte.colorimetry import luma_weights, rgb_to_yuv, yuv_to_rgb
from vrmatte.errors import InputError

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


@pytest.mark.parametrize(
    ("rgb", "matrix", "bits", "full_range", "yuv"),
    [
        (RED, 1, 8, False, (63, 102, 240)),
        (RED, 1, 10, False, (250, 409, 960)),
        (RED, 6, 8, False, (81, 90, 240)),
        (GREEN, 1, 8, False, (173, 42, 26)),
        (GREEN, 5, 8, True, (150, 44, 21)),
        (WHITE, 9, 8, False, (235, 128, 128)),
        (WHITE, 9, 10, True, (1023, 512, 512)),
        ((0, 0, 0), 1, 8, True, (0, 128, 128)),
    ],
)
def test_known_colours(rgb, matrix, bits, full_range, yuv):
    assert rgb_to_yuv(rgb, matrix, bits, full_range) == yuv


@pytest.mark.parametrize("matrix", [1, 2, 4, 5, 6, 7, 9, 10])
@pytest.mark.parametrize(("bits", "full_range"), [(8, False), (8, True), (10, False), (10, True)])
def test_there_and_back_differs_by_rounding_only(matrix, bits, full_range):
    rows = yuv_to_rgb(matrix, bits, full_range)
    for rgb in [(12, 200, 99), (255, 255, 0), (128, 128, 128), (3, 7, 250)]:
        yuv = np.array(rgb_to_yuv(rgb, matrix, bits, full_range), np.float64)
        back = rows[:, :3] @ yuv + rows[:, 3]
        # Half a code of each of Y, U and V, at most about 1.9 times as strong in one channel.
        assert np.abs(back * 255 - rgb).max() < 255 * 0.5 * 2.9 / (219 << (bits - 8))


def test_the_familiar_coefficients_of_bt601():
    rows = yuv_to_rgb(6, 8, full_range=True) * 255
    assert rows[0, :3] == pytest.approx([1, 0, 1.402], abs=1e-3)
    assert rows[1, :3] == pytest.approx([1, -0.344, -0.714], abs=1e-3)
    assert rows[2, :3] == pytest.approx([1, 1.772, 0], abs=1e-3)


@pytest.mark.parametrize("matrix", [0, 2, 3])
def test_a_matrix_that_says_nothing_is_bt709(matrix):
    assert luma_weights(matrix) == luma_weights(1)


@pytest.mark.parametrize("matrix", [8, 14, 99])
def test_other_kinds_of_matrix_are_refused(matrix):
    with pytest.raises(InputError, match=rf"code {matrix}.*accepted"):
        yuv_to_rgb(matrix, 8, full_range=False)
