from __future__ import annotations

import numpy as np

from vrmatte.matting.edges.guided_refiner import colour_guided


def test_it_is_the_colour_guided_filter():
    """Against the definition, pixel by pixel: ridge regression in windows, their mean applied."""
    rng = np.random.default_rng(8)
    picture = rng.random((3, 14, 15)).astype(np.float32)
    mask = (picture[0] + 0.3 * rng.random((14, 15)) > 0.6).astype(np.float32)
    radius, epsilon = 2, 1e-2
    wide = np.pad(picture, ((0, 0), (2 * radius,) * 2, (2 * radius,) * 2), "reflect")
    over = np.pad(mask, 2 * radius, "reflect")
    fits = np.zeros((4, 14 + 2 * radius, 15 + 2 * radius))
    for i, j in np.ndindex(fits.shape[1:]):
        near = (slice(i, i + 2 * radius + 1), slice(j, j + 2 * radius + 1))
        colours, alpha = wide[:, *near].reshape(3, -1), over[near].ravel()
        covariance = np.cov(colours, bias=True) + epsilon * np.eye(3)
        slopes = np.linalg.solve(
            covariance, (colours * alpha).mean(1) - colours.mean(1) * alpha.mean()
        )
        fits[:3, i, j], fits[3, i, j] = slopes, alpha.mean() - slopes @ colours.mean(1)
    # Further than two radii from the border, where the way of going on beyond it has no say.
    inner = (slice(4, -4), slice(4, -4))
    exact = np.empty((14, 15))
    for i, j in np.ndindex(exact.shape):
        mean = fits[:, i : i + 2 * radius + 1, j : j + 2 * radius + 1].mean(axis=(1, 2))
        exact[i, j] = mean[:3] @ picture[:, i, j] + mean[3]
    found = colour_guided(picture, mask, radius, epsilon)
    assert np.abs(found - np.clip(exact, 0, 1))[inner].max() < 1e-4
