from __future__ import annotations

import numpy as np
import pytest

from vrmatte.matting.edges.colour_model import learned

NOISE = 2e-4


def textured(height=60, width=60):
    return np.random.default_rng(3).random((3, height, width)).astype(np.float32)


def at(*places):
    rows, columns = zip(*places, strict=True)
    return np.array(rows), np.array(columns)


def test_likelihood_is_that_of_the_normal_distribution_around():
    picture, radius, (row, column) = textured(), 3, (30, 25)
    weight = np.random.default_rng(4).random((60, 60)).astype(np.float32)
    rows, columns = at((row, column))
    colour = np.array([[0.2], [0.5], [0.7]], np.float32)
    found, taught = learned(picture, weight, radius).log_likelihood(colour, rows, columns)
    # Twice averaged over 7 pixels: weights fall off like a tent.
    tent = np.convolve(np.ones(7), np.ones(7)) / 49
    near = (slice(row - 6, row + 7), slice(column - 6, column + 7))
    kernel = np.outer(tent, tent) * weight[near]
    assert taught[0] == pytest.approx(kernel.sum(), rel=1e-4)
    samples, kernel = picture[:, *near].reshape(3, -1), kernel.ravel() / kernel.sum()
    mean = samples @ kernel
    covariance = (samples - mean[:, None]) * kernel @ (samples - mean[:, None]).T
    covariance += NOISE * np.eye(3)
    off = colour[:, 0] - mean
    exact = -0.5 * off @ np.linalg.solve(covariance, off) - 0.5 * np.log(np.linalg.det(covariance))
    assert found[0] == pytest.approx(exact, rel=1e-3), "single precision"


def test_cloths_of_one_mean_and_spread_are_told_apart_by_their_line():
    """Each channel alone says nothing here: only together do they."""
    level = np.random.default_rng(5).random((60, 60)).astype(np.float32)
    grey = np.stack([level, level, level])
    dyed = np.stack([level, 1 - level, level])
    whole = np.ones_like(level)
    rows, columns = np.mgrid[10:50, 10:50].reshape(2, -1)
    of_grey, _ = learned(grey, whole, 6).log_likelihood(grey[:, rows, columns], rows, columns)
    of_dyed, _ = learned(dyed, whole, 6).log_likelihood(grey[:, rows, columns], rows, columns)
    assert ((of_grey - of_dyed) > 1).mean() > 0.9, "the two lines cross, where colours say nothing"


@pytest.mark.parametrize("radius", [3, 12])
def test_each_place_learns_what_is_around_it(radius):
    picture = np.full((3, 60, 90), 0.2, np.float32)
    picture[:, :, 50:] = 0.8
    model = learned(picture, np.ones((60, 90), np.float32), radius)
    rows, columns = at((59, 3), (0, 89), (30, 20), (30, 80))
    dark, _ = model.log_likelihood(np.full((3, 4), 0.2, np.float32), rows, columns)
    light, _ = model.log_likelihood(np.full((3, 4), 0.8, np.float32), rows, columns)
    assert ((dark > light) == [True, False, True, False]).all()


def test_what_has_no_weight_teaches_nothing():
    picture = textured()
    weight = np.zeros((60, 60), np.float32)
    weight[:, :20] = 1
    rows, columns = at((30, 5), (30, 55))
    painted = np.where(weight > 0, picture, 0.9).astype(np.float32)
    colours = picture[:, rows, columns]
    found, taught = learned(picture, weight, 4).log_likelihood(colours, rows, columns)
    other, _ = learned(painted, weight, 4).log_likelihood(colours, rows, columns)
    assert found[0] == pytest.approx(other[0], abs=1e-4)
    assert taught == pytest.approx([1, 0], abs=1e-4)
