from __future__ import annotations

import cv2
import numpy as np
import pytest

from vrmatte.matting.edges.mask_gate import softened_by_colours

PERSON, GROUND = (0.8, 0.5, 0.4), (0.2, 0.3, 0.5)


def disc(radius=30.0, size=100):
    y, x = np.mgrid[:size, :size] + 0.5
    return np.clip(radius + 0.5 - np.hypot(x - size / 2, y - size / 2), 0, 1).astype(np.float32)


def shown(alpha, person=PERSON, ground=GROUND):
    person, ground = (np.array(c, np.float32)[:, None, None] for c in (person, ground))
    noise = np.random.default_rng(6).normal(0, 0.01, (3, *alpha.shape))
    return np.clip(alpha * person + (1 - alpha) * ground + noise, 0, 1).astype(np.float32)


def blurred(alpha, sigma=1.0):
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.float32)


def softened(matte, picture, solid, band=None):
    band = np.ones_like(solid) if band is None else band
    slope, offset = softened_by_colours(np.zeros_like(matte), matte, picture, solid, band)
    return np.clip(slope * picture.mean(axis=0) + offset, 0, 1)


def test_a_matte_softer_than_the_picture_gets_its_edge():
    truth = disc()
    matte = blurred(truth)
    found = softened(matte, shown(truth), truth > 0.5)
    assert np.abs(found - truth).mean() < 0.7 * np.abs(matte - truth).mean()


def test_colours_alike_change_little():
    truth = disc()
    matte = blurred(truth)
    picture = shown(truth, PERSON, tuple(c + 0.02 for c in PERSON))
    assert np.abs(softened(matte, picture, truth > 0.5) - matte).max() < 0.01


def test_what_is_hard_and_what_is_beyond_the_band_stays():
    truth = disc()
    matte, picture = blurred(truth), shown(truth)
    left = np.zeros(truth.shape, bool)
    left[:, :50] = True
    found = softened(matte, picture, truth > 0.5, left)
    assert (found[:, 50:] == matte[:, 50:]).all()
    assert (found[:, :50] != matte[:, :50]).any()
    hard = (truth > 0.5).astype(np.float32)
    assert (softened(hard, picture, truth > 0.5) == hard).all()


def test_colours_beyond_the_persons_say_no_more_than_the_persons():
    truth = disc()
    matte, picture = blurred(truth), shown(truth)
    picture[:, np.abs(matte - 0.5) < 0.3] = np.array([[1.0], [0.6], [0.35]], np.float32)
    found = softened(matte, picture, truth > 0.5)
    assert (found <= matte + 0.6 * (1 - matte) + 1e-3).all()
    assert (found > matte + 0.1).any()


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_one_colour_alone_is_no_line(fill):
    """Where nothing clear of the person, or of the ground, is near, the matte stays as it is."""
    truth = disc()
    matte = np.full_like(truth, 0.5)
    matte[truth > 0.5] = max(fill, 0.5)
    matte[truth <= 0.5] = min(fill, 0.5)
    assert (softened(matte, shown(truth), truth > 0.5) == matte).all()
