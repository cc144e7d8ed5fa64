from __future__ import annotations

import cv2
import numpy as np
import pytest

from vrmatte.stereo.balance import apply_gain, gain
from vrmatte.stereo.evidence import EyeEvidence

SIZE = 256


def disc(radius, seed=None):
    """A soft-edged disc; with hairs where a seed is given."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    matte = np.clip((radius - np.hypot(x, y)) / 3 + 0.5, 0, 1).astype(np.float32)
    if seed is not None:
        hair = np.random.default_rng(seed).random((SIZE, SIZE)).astype(np.float32) > 0.6
        matte = np.maximum(matte, 0.6 * hair * (np.hypot(x, y) < radius + 5)).astype(np.float32)
    return matte


def evidence(alpha, warped, seen=None):
    seen = np.ones_like(alpha) if seen is None else seen
    return EyeEvidence(alpha, warped, seen, np.zeros_like(alpha))


def applied(alpha, found, size=SIZE):
    matte = np.rint(cv2.resize(alpha, (size, size)) * 255).astype(np.uint8)
    result = matte.copy()
    apply_gain(result, found)
    return matte, result


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("apart", [-0.6, 0.6])
def test_an_outline_moves_by_its_share(share, apart):
    """Area tells by how much: contour length times pixels."""
    alpha, warped = disc(80), disc(80 + apart)
    matte, result = applied(alpha, gain(evidence(alpha, warped), share))
    went = (result.astype(float).sum() - matte.sum()) / 255
    asked = (warped - alpha).sum() * share
    assert went == pytest.approx(asked, rel=0.15, abs=2)


def test_both_meet_in_the_middle():
    left, right = disc(80), disc(80.8)
    ends = [
        applied(alpha, gain(evidence(alpha, warped), 0.5))[1].astype(float).sum() / 255
        for alpha, warped in ((left, right), (right, left))
    ]
    assert abs(ends[0] - ends[1]) < 0.15 * abs(left.sum() - right.sum())


def test_what_is_alike_stays_to_the_byte():
    alpha = disc(80, seed=1)
    found = gain(evidence(alpha, alpha), 0.5)
    assert not found.any()
    matte, result = applied(alpha, found)
    assert np.array_equal(matte, result)


def test_errors_on_both_sides_of_a_hair_are_no_fat_outline():
    """A told matte that is moved by half a pixel is in here and out there."""
    alpha = disc(80)
    warped = cv2.warpAffine(alpha, np.array([[1, 0, 0.5], [0, 1, 0]], np.float32), (SIZE, SIZE))
    rng = np.random.default_rng(2)
    noisy = alpha + 0.15 * rng.standard_normal(alpha.shape).astype(np.float32) * alpha * (1 - alpha)
    fat = np.abs(gain(evidence(alpha, disc(80.5)), 0.5)).sum()
    assert np.abs(gain(evidence(alpha, noisy), 0.5)).sum() < 0.1 * fat
    up = np.abs(gain(evidence(alpha, warped), 0.5))
    assert up[SIZE // 2 - 95 : SIZE // 2 - 65, SIZE // 2].max() < 0.1, "top: nothing was moved"


def test_where_only_one_eye_sees_nothing_moves():
    alpha, warped = disc(80), disc(81)
    seen = np.ones_like(alpha)
    seen[:, : SIZE // 2 + 15] = 0
    matte, result = applied(alpha, gain(evidence(alpha, warped, seen), 0.5))
    blind = np.s_[:, : SIZE // 2]  # two or three lengths of the averaging further on
    assert np.array_equal(matte[blind], result[blind])
    assert not np.array_equal(matte, result)


def test_transparent_and_opaque_stay():
    """A limb missing altogether is no soft edge, and detail keeps its shape."""
    alpha, warped = disc(80), disc(82)
    matte, result = applied(alpha, gain(evidence(alpha, warped), 1.0), size=4 * SIZE)
    assert not result[matte == 0].any()
    inside = cv2.erode(matte, np.ones((61, 61))) == 255
    assert np.array_equal(result[inside], matte[inside])


def test_order_of_alpha_is_kept():
    """The eye's own detail: what was more opaque nearby still is."""
    alpha, warped = disc(80, seed=3), disc(80.7, seed=4)
    matte, result = applied(alpha, gain(evidence(alpha, warped), 0.5))
    soft = (matte > 20) & (matte < 235)
    both = np.stack([matte[soft], result[soft]]).astype(float)
    assert np.corrcoef(both)[0, 1] > 0.97


def test_at_any_size_alike():
    alpha, warped = disc(80), disc(80.8)
    found = gain(evidence(alpha, warped), 0.5)
    matte, result = applied(alpha, found, size=3 * SIZE)
    small, moved = applied(alpha, found)
    large = (result.astype(float).sum() - matte.sum()) / 9
    assert large == pytest.approx(moved.astype(float).sum() - small.sum(), rel=0.1)
    assert np.abs(result.astype(int) - matte).max() > 5
