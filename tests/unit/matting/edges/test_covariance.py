from __future__ import annotations

import numpy as np

from vrmatte.matting.edges.colour_model import PAIRS, factored, solved, whitened

NOISE = 1e-4


def spreads(count=200):
    samples = np.random.default_rng(1).normal(size=(count, 3, 8)).astype(np.float32) / 10
    full = samples @ samples.transpose(0, 2, 1) / 8
    return full, [full[:, i, j] for i, j in PAIRS]


def test_factors_are_those_of_cholesky():
    full, spread = spreads()
    exact = np.linalg.cholesky(full.astype(np.float64) + NOISE * np.eye(3))
    rows, columns = zip((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), strict=True)
    found = factored(spread, NOISE)
    assert np.abs(found - exact[:, rows, columns].T).max() < 1e-5, "single precision"


def test_solving_undoes_multiplying():
    full, spread = spreads()
    colours = np.random.default_rng(2).normal(size=(3, len(full))).astype(np.float32)
    found = solved(factored(spread, 1e-9), colours)
    assert np.allclose(np.einsum("nij,jn->in", full, found), colours, atol=2e-3), "single precision"
    # As long as in standard deviations: z'z = c' S^-1 c.
    length = np.square(whitened(factored(spread, 1e-9), colours)).sum(axis=0)
    assert np.allclose(length, (found * colours).sum(axis=0), rtol=1e-3)


def test_flat_and_impossible_covariances_stay_finite():
    grey = np.full(5, 0.04, np.float32)
    none, too_much = np.zeros(5, np.float32), np.full(5, 0.05, np.float32)
    impossible = (
        [np.full(5, -0.01, np.float32)] * 6,
        [grey, too_much, none, grey, none, grey],
        [grey, none, too_much, grey, none, grey],
    )
    for spread in ([grey] * 6, [none] * 6, *impossible):
        factors = factored(spread, NOISE)
        assert np.isfinite(factors).all()
        assert factors[[0, 2, 5]].min() >= np.sqrt(NOISE) * 0.999
