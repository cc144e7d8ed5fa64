"""Metrics against truth: numbers worked out by hand, an independent way, or plain slow loops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vrmatte.errors import InputError
from vrmatte.quality.truth.field_metrics import connectivity_error, gradient_error, moving_error
from vrmatte.quality.truth.truth_metrics import TruthScorer

H, W = 64, 128


def blob(x: float = 32, y: float = 32, radius: float = 14, soft: float = 6) -> np.ndarray:
    """One eye's half with a soft disc, repeated in the other: shape (H, W)."""
    rows, columns = np.mgrid[:H, : W // 2] + 0.5
    alpha = np.clip((radius - np.hypot(columns - x, rows - y)) / soft + 0.5, 0, 1)
    return np.tile(alpha, 2).astype(np.float32)


def scored(mattes, truths, trimap=None, **how):
    scorer = TruthScorer(**how)
    for matte, truth in zip(mattes, truths, strict=True):
        scorer.add(matte, truth, trimap)
    return scorer.result()


def noisy(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.2, (H, W))
    return np.clip(blob() + noise, 0, 1).astype(np.float32)


# --- all of them ---------------------------------------------------------------------------------


def test_the_truth_itself_is_free_of_error():
    score = scored([blob(), blob(34)], [blob(), blob(34)], blob()).scores["whole"]
    assert score.iou == 1
    found = {name: getattr(score, name) for name in score.__dataclass_fields__ if name != "iou"}
    assert found == dict.fromkeys(found, 0)


def test_plain_sums_are_those_of_the_definitions():
    matte, truth, trimap = noisy(1), blob(), blob()
    score = scored([matte], [truth], trimap).scores["whole"]
    d = np.abs(matte.astype(np.float64) - truth)
    soft = (truth > 0.02) & (truth < 0.98)
    halves = [soft[:, : W // 2], soft[:, W // 2 :]]
    band = np.hstack([cv2.dilate(h.astype(np.uint8), np.ones((9, 9))) > 0 for h in halves])
    unknown = (trimap > 0.1) & (trimap < 0.9)
    both = ((matte > 0.5) & (truth > 0.5)).sum() / ((matte > 0.5) | (truth > 0.5)).sum()
    assert score.mad == pytest.approx(1e3 * d.mean(), abs=1e-3)
    assert score.mse == pytest.approx(1e3 * (d**2).mean(), abs=1e-3)
    assert score.sad == pytest.approx(d.sum() / 2 / 1e3, abs=1e-3)
    assert score.band_mad == pytest.approx(1e3 * d[band].mean(), abs=1e-3)
    assert score.trimap_mad == pytest.approx(1e3 * d[unknown].mean(), abs=1e-3)
    assert score.fg_mad == pytest.approx(1e3 * d[truth > 0.5].mean(), abs=1e-3)
    assert score.bg_mad == pytest.approx(1e3 * d[truth <= 0.02].mean(), abs=1e-3)
    assert score.iou == pytest.approx(both, abs=1e-3)


def test_an_error_in_one_eye_stands_with_that_eye():
    matte = blob()
    matte[:, W // 2 :] = 0
    scores = scored([matte], [blob()]).scores
    assert (scores["left"].mad, scores["left"].iou, scores["right"].iou) == (0, 1, 0)
    assert scores["whole"].mad == pytest.approx(scores["right"].mad / 2, rel=1e-3)
    assert scores["whole"].sad == pytest.approx(scores["right"].sad / 2, rel=1e-3)


def test_what_cant_be_told_is_none():
    empty = np.zeros((H, W), np.float32)
    score = scored([empty], [empty]).scores["whole"]
    told = (score.iou, score.band_mad, score.fg_mad, score.trimap_mad, score.dtssd, score.messddt)
    assert told == (None,) * 6


def test_frames_skipped_dont_count_but_are_the_frame_before():
    mattes = [blob() * 0, blob(), blob()]
    score = scored(mattes, [blob()] * 3, skip=1)
    assert (score.frames, score.scored, score.scores["whole"].mad) == (3, 2, 0)
    # From the frame left out to the first that counts the error changes, then it stays.
    jump = 100 * float(np.sqrt(np.square(blob()).mean()))
    assert score.scores["whole"].dtssd == pytest.approx(jump / 2, rel=1e-3)


def test_slow_metrics_are_those_of_every_nth_frame():
    mattes, truths = [noisy(i) for i in range(5)], [blob()] * 5
    rare = scored(mattes, truths, every=4).scores["whole"]
    expected = [
        connectivity_error(m[:, h], blob()[:, h])
        for m in (mattes[0], mattes[4])
        for h in (slice(0, W // 2), slice(W // 2, W))
    ]
    assert rare.conn == pytest.approx(np.mean(expected) / 1e3, abs=1e-4)
    none = scored(mattes, truths, every=0).scores["whole"]
    assert (none.conn, none.messddt) == (None, None)
    assert none.mad == rare.mad


def test_the_worst_frames_are_named():
    mattes = [blob(32 + shift) for shift in (0, 1, 0, 6, 3, 0, 2, 0, 5)]
    worst = scored(mattes, [blob()] * 9).worst
    assert [each.frame for each in worst] == [3, 8, 4, 6, 1]


@pytest.mark.parametrize("which", [0, 1])
def test_other_sizes_are_refused(which):
    frames = [blob(), blob(), blob()]
    frames[2 * which] = frames[0][:-2]
    with pytest.raises(InputError, match="one size"):
        TruthScorer().add(*frames)


def test_nothing_left_to_score_is_refused():
    scorer = TruthScorer(skip=2)
    scorer.add(blob(), blob())
    with pytest.raises(InputError, match="nothing is left to compare"):
        scorer.result()


# --- Grad ----------------------------------------------------------------------------------------


def test_gradient_is_that_of_the_whole_kernel():
    """The separable form against one 9 x 9 kernel made as the first evaluators made it."""
    half, sigma = 4, 1.4
    at = np.arange(-half, half + 1)
    bell = np.exp(-(at**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    kernel = np.outer(bell, -at * bell / sigma**2)
    kernel /= np.sqrt((kernel**2).sum())

    def slope(a):
        parts = [
            cv2.filter2D(a, cv2.CV_64F, k, borderType=cv2.BORDER_REPLICATE)
            for k in (kernel, kernel.T)
        ]
        return np.hypot(*parts)

    matte, truth = noisy(3)[:, : W // 2], blob()[:, : W // 2]
    expected = ((slope(matte) - slope(truth)) ** 2).sum()
    assert gradient_error(matte, truth) == pytest.approx(expected, rel=1e-4)


# --- Conn ----------------------------------------------------------------------------------------


def slow_connectivity(matte: np.ndarray, truth: np.ndarray) -> float:
    """Word by word as published, over the whole picture, with a flood fill."""
    steps = np.arange(0, 1.01, 0.1)
    level = -np.ones_like(matte, float)
    for i in range(1, len(steps)):
        both = (matte >= np.float32(steps[i])) & (truth >= np.float32(steps[i]))
        largest = largest_part(both)
        level[(level == -1) & ~largest] = steps[i - 1]
    level[level == -1] = 1
    phi = [1 - (a - level) * ((a - level) >= 0.15) for a in (matte, truth)]
    return float(np.abs(phi[0] - phi[1]).sum())


def largest_part(mask: np.ndarray) -> np.ndarray:
    left, best = mask.copy(), np.zeros_like(mask)
    while left.any():
        stack, part = [tuple(np.argwhere(left)[0])], np.zeros_like(mask)
        left[stack[0]] = False
        while stack:
            y, x = stack.pop()
            part[y, x] = True
            for ny, nx in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= ny < mask.shape[0] and 0 <= nx < mask.shape[1] and left[ny, nx]:
                    left[ny, nx] = False
                    stack.append((ny, nx))
        if part.sum() > best.sum():
            best = part
    return best


def test_connectivity_is_the_published_algorithm():
    matte, truth = noisy(4)[8:56, 8:56], blob()[8:56, 8:56]
    assert connectivity_error(matte, truth) == pytest.approx(
        slow_connectivity(matte, truth), rel=1e-3
    )


def test_parts_touch_by_their_sides_alone():
    matte = np.zeros((8, 8), np.float32)
    matte[0:4, 0:4] = matte[4:6, 4:6] = 1
    truth = matte.copy()
    truth[4:6, 4:6] = 0.5
    # Hung to the corner by its own corner alone, the small square hangs in the air in both.
    assert connectivity_error(matte, truth) == pytest.approx(4 * 0.5)


def test_what_hangs_in_the_air_costs_and_what_is_connected_does_not():
    truth = np.zeros((32, 32), np.float32)
    truth[4:20, 4:20] = 1
    grown, floating = truth.copy(), truth.copy()
    grown[20:22, 4:20] = 0.1
    floating[26:28, 4:20] = 1
    assert connectivity_error(grown, truth) == 0
    assert connectivity_error(floating, truth) == pytest.approx(32)


# --- dtSSD and MESSDdt ---------------------------------------------------------------------------


def test_flicker_is_what_changes_not_what_is_wrong():
    fat, thin = blob(radius=16), blob(radius=12)
    steady = scored([fat] * 4, [blob()] * 4).scores["whole"]
    flicker = scored([fat, thin] * 2, [blob()] * 4).scores["whole"]
    assert (steady.dtssd, steady.messddt) == (0, 0)
    expected = 100 * np.sqrt(np.square(fat - thin).mean())
    assert flicker.dtssd == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("step", [(3, 0), (0, 3)])
def test_an_error_that_rides_along_is_forgiven(step):
    """Beside the same error left behind, and beside comparing in place: a third at most."""
    places = (30, 30), (30 + step[0], 30 + step[1])
    truths = [blob(*place)[:, : W // 2] for place in places]
    riding = [blob(*place, radius=17)[:, : W // 2] for place in places]
    staying = [np.maximum(truth, riding[0]) for truth in truths]
    still = np.abs(np.square(riding[0] - truths[0]) - np.square(riding[1] - truths[1])).sum()
    carried = moving_error(riding[0], truths[0], riding[1], truths[1])
    left_behind = moving_error(staying[0], truths[0], staying[1], truths[1])
    assert carried < 0.35 * still
    assert carried < 0.35 * left_behind


def test_where_nothing_moves_the_squared_errors_are_compared_in_place():
    truth, before, now = blob(), noisy(6), noisy(7)
    expected = np.abs(np.square(before - truth) - np.square(now - truth)).sum()
    assert moving_error(before, truth, now, truth) == pytest.approx(expected, rel=1e-5)
