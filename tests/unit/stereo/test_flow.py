from __future__ import annotations

import cv2
import numpy as np
import pytest

from support.matting.stereo_scenes import moved, texture
from vrmatte.stereo.flow import flow


def pair(columns, rows=0.0, size=256):
    """A texture, and the same moved by so much."""
    plain = texture(3, (size, size))
    return [np.clip(p, 0, 255).astype(np.uint8) for p in (plain, moved(plain, columns, rows))]


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("columns", [-11.0, 0.0, 4.4])
def test_motion_is_told_to_a_fraction_of_a_pixel(fine, columns):
    first, second = pair(columns, rows=1.3)
    found = flow(first, second, fine=fine)[24:-24, 24:-24]
    assert found.dtype == np.float32
    # Patches are matched on pictures of half the size, or whole; both find tenths.
    assert np.median(np.abs(found[..., 0] - columns)) < 0.15
    assert np.median(np.abs(found[..., 1] - 1.3)) < 0.15


def test_fine_flow_follows_narrower_things():
    """A rod 14 px wide before a wall."""
    wall, rod = texture(1, (256, 256)), texture(2, (256, 256))
    errors = {}
    for fine in (False, True):
        pictures = []
        for side in (0.0, 1.0):
            picture = moved(wall, 2 * side)
            mask = np.zeros_like(wall)
            mask[:, 120:134] = 1
            mask = moved(mask, 8 * side)
            picture += (moved(rod, 8 * side) - picture) * mask
            pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        found = flow(*pictures, fine=fine)[20:-20, 121:133, 0]
        errors[fine] = np.abs(found - 8).mean()
    assert errors[True] < 0.3 * errors[False]


@pytest.mark.parametrize("fine", [False, True])
def test_the_number_of_threads_changes_nothing(fine):
    """OpenCV cuts pictures into strips for them."""
    first, second = pair(5.3, rows=0.4, size=384)
    before = cv2.getNumThreads()
    found = []
    try:
        for threads in (1, 2, 3, 7):
            cv2.setNumThreads(threads)
            found.append(flow(first, second, fine=fine))
            assert cv2.getNumThreads() == threads, "as the caller set it"
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_the_callers_threads_come_back_after_an_error():
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with pytest.raises(cv2.error):
            flow(np.zeros((64, 64), np.uint8), np.zeros((32, 64), np.uint8))
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
