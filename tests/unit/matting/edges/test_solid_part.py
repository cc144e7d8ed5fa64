from __future__ import annotations

import cv2
import numpy as np
import pytest

from vrmatte.matting.edges.solid_part import solid_part
from vrmatte.matting.edges.trimap import trimap_of

SIZE = 160


def disc(x=80.0, radius=40.0):
    ys, xs = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.hypot(xs - x, ys - 80) < radius


def picture_of(person, contrast=0.3):
    noise = np.random.default_rng(7).normal(0, 0.02, (3, SIZE, SIZE))
    return np.clip(0.3 + contrast * person + noise, 0, 1).astype(np.float32)


def no_opinion():
    return np.full((SIZE, SIZE), 0.5, np.float32)


@pytest.mark.parametrize("grown_px", [-3, 3])
def test_colours_correct_a_mask_that_is_off(grown_px):
    person = disc()
    mask = disc(radius=40.0 + grown_px).astype(np.float32)
    found = solid_part(no_opinion(), picture_of(person), trimap_of(mask))
    assert (found != person).sum() < 0.1 * (mask.astype(bool) != person).sum()


def test_without_colours_the_mask_stands():
    mask = disc().astype(np.float32)
    found = solid_part(no_opinion(), np.full((3, SIZE, SIZE), 0.5, np.float32), trimap_of(mask))
    assert (found == disc()).all()


def test_colours_alone_do_not_outvote_mask_and_matte():
    """A shirt's stripe of the ground's colour is the person's, as both others say."""
    person = disc()
    shown = person.copy()
    shown[78:82] = False
    alpha = np.where(person, 0.99, 0.01).astype(np.float32)
    found = solid_part(alpha, picture_of(shown), trimap_of(person.astype(np.float32)))
    middle = cv2.erode(person.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    assert found[middle].all()


def test_a_second_look_at_colours_mends_what_a_late_mask_taught():
    """It still lies where the person was, so it taught their colours as the ground's."""
    person, late = disc(80), disc(66)
    trimap = trimap_of(late.astype(np.float32), disc(59).astype(np.float32))
    picture = picture_of(person, 0.15)
    wrong = (solid_part(no_opinion(), picture, trimap) != person).sum()
    once = solid_part(no_opinion(), picture, trimap, rounds=1)
    assert wrong < 0.6 * (once != person).sum()


def test_masks_of_everything_and_of_nothing():
    picture = picture_of(disc())
    assert solid_part(no_opinion(), picture, trimap_of(np.ones((SIZE, SIZE), np.float32))).all()
    assert not solid_part(
        no_opinion(), picture, trimap_of(np.zeros((SIZE, SIZE), np.float32))
    ).any()
