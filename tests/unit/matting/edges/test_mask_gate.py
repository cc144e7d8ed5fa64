from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from vrmatte.matting.edges.mask_gate import gated
from vrmatte.matting.edges.trimap import distance_to, trimap_of

SIZE = 120
PERSON, GROUND = (0.8, 0.5, 0.4), (0.2, 0.3, 0.5)


def disc(radius=35.0):
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.clip(radius + 0.5 - np.hypot(x - 60, y - 60), 0, 1).astype(np.float32)


def shown(alpha):
    person, ground = (np.array(c, np.float32)[:, None, None] for c in (PERSON, GROUND))
    noise = np.random.default_rng(9).normal(0, 0.01, (3, SIZE, SIZE))
    return np.clip(alpha * person + (1 - alpha) * ground + noise, 0, 1).astype(np.float32)


def gated_alpha(matte, picture, mask):
    slope, offset = gated(np.zeros_like(matte), matte, picture, trimap_of(mask))
    return np.clip(slope * picture.mean(axis=0) + offset, 0, 1)


def test_a_matte_of_everything_ends_near_the_mask():
    """Such a matte leaves no ground to learn colours from; then just the mask says where to end."""
    truth = disc()
    found = gated_alpha(np.ones_like(truth), shown(truth), (truth > 0.5).astype(np.float32))
    # Three pixels out a mask is as sure as a matte; and edges are two pixels soft.
    assert not found[distance_to(truth > 0.5) > 5].any()
    assert found[truth > 0.5].min() > 0.95


def test_nothing_of_the_matte_is_left_where_the_mask_forbids_it():
    """Who is left out begins where the person ends; edges aren't soft there."""
    truth = disc()
    free = trimap_of((truth > 0.5).astype(np.float32))
    beside = distance_to(truth > 0.5) > 1
    trimap = replace(free, outside=free.outside | beside)
    slope, offset = gated(np.zeros_like(truth), np.ones_like(truth), shown(truth), trimap)
    assert not slope[beside].any()
    assert not offset[beside].any()
    assert offset[~beside].any()


def test_an_edge_softer_than_the_pictures_gets_the_pictures():
    truth = disc()
    matte = np.asarray(cv2.GaussianBlur(truth, (0, 0), 1.2), np.float32)
    found = gated_alpha(matte, shown(truth), (truth > 0.5).astype(np.float32))
    assert np.abs(found - truth).mean() < 0.7 * np.abs(matte - truth).mean()


def test_a_hole_in_the_matte_is_mended_with_the_pictures_edge():
    """Two pixels of the person along one side are denied."""
    truth = disc()
    matte = truth.copy()
    matte[:, 60:] = disc(33.0)[:, 60:]
    found = gated_alpha(matte, shown(truth), (truth > 0.5).astype(np.float32))
    assert np.abs(found - truth).mean() < 0.4 * np.abs(matte - truth).mean()
