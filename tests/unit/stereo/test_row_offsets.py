from __future__ import annotations

import cv2
import numpy as np
import pytest

from support.matting.stereo_scenes import moved, texture
from vrmatte.frames import Eye
from vrmatte.stereo.row_offsets import RowOffsets

SIZE = 256
INNER = np.s_[24:-24, 24:-24]
X, Y = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32))
BEND = (2.4 * np.sin(X / 60) * np.cos(Y / 80)).astype(np.float32)
"""How many rows further down the right eye shows things."""


def codes(picture):
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def eyes(disparity_px=5.0):
    """A wall in both eyes, the right one's rows bent."""
    wall = texture(3, (SIZE, SIZE))
    right = moved(wall, -disparity_px)
    return codes(wall), codes(cv2.remap(right, X, Y - BEND, cv2.INTER_CUBIC))


def test_a_bend_is_found_to_a_fraction_of_a_row():
    """It is told at the right eye's pixels; a quarter of a row is what smoothing leaves."""
    found = RowOffsets.measure(*eyes())
    error = np.abs(found.of_right + BEND)[INNER]
    assert error.mean() < 0.12
    assert error.max() < 0.6


def test_straight_rows_are_left_alone():
    wall = texture(3, (SIZE, SIZE))
    found = RowOffsets.measure(codes(wall), codes(moved(wall, -7)))
    assert np.abs(found.of_right)[INNER].max() < 0.1


def test_where_nothing_matches_nothing_is_told():
    flat = np.full((SIZE, SIZE), 128, np.uint8)
    assert np.abs(RowOffsets.measure(flat, flat).of_right).max() < 1e-3


def test_a_straightened_eye_has_the_left_eyes_rows():
    left, right = eyes(disparity_px=0)
    found = RowOffsets.measure(left, right)
    before = np.abs(right.astype(float) - left)[INNER].mean()
    after = np.abs(found.straightened(right) - left)[INNER].mean()
    assert after < 0.35 * before


def test_bent_undoes_straightened():
    left, right = eyes()
    found = RowOffsets.measure(left, right)
    smooth = cv2.GaussianBlur(right.astype(np.float32), (0, 0), 4)
    again = found.bent(found.straightened(smooth))
    assert np.abs(again - smooth)[INNER].mean() < 0.5
    assert np.abs(found.straightened(smooth) - smooth)[INNER].mean() > 1


@pytest.mark.parametrize("eye", list(Eye))
def test_rows_in_the_other_eye(eye):
    """A dot in one eye: that many rows further down the other eye sees it."""
    found = RowOffsets.measure(*eyes())
    rows = found.other_rows(eye)
    sign = 1 if eye is Eye.RIGHT else -1
    assert np.abs(rows + sign * BEND)[INNER].mean() < 0.3
