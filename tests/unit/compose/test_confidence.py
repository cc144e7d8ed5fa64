"""Confidence is low where a matte is wrong, though nobody knows the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from support.matting.stereo_damage import (
    DAMAGED,
    FRAMES,
    matted,
    people_of,
    without_arm,
    without_person,
)
from support.matting.stereo_scenes import grey_frame, stereo_truth
from support.media.media_fixtures import BT709
from vrmatte.compose.composer import RECIPES, ComposerInputs
from vrmatte.compose.confidence import ConfidenceMap, DoubtFinder, Doubts, heat
from vrmatte.compose.view import Preparation, SourceView
from vrmatte.frames import EYES, YUV420P, Eye, PlanarFrame, half_of
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES, LensAlignment, Subjects

EYE = 512
SURE = 255
KNOWN = Subjects(None, tuple(people_of("one", EYE, range(FRAMES))))
NOBODY = WHOLE_EYES
ARM_MARGIN = 0.5
"""How far confidence falls, in the mean, where an arm is missing in one eye. 0.97 is measured."""
LOST_MARGIN = 0.5
"""The same where a person known to be there is missing. 0.98 is measured."""
UNKNOWN_LOST_MARGIN = 0.15
"""The same in the tenth frame without a person nobody had looked for. 0.21 is measured."""


def frame_of(at: int):
    return stereo_truth("one", EYE, at).frame


def damaged(kind: str, at: int) -> np.ndarray:
    truth, matte = stereo_truth("one", EYE, at), matted("one", EYE, at)
    if at not in DAMAGED or kind == "none":
        return matte
    if kind == "arm":
        return without_arm(matte, truth, Eye.RIGHT, 0)
    for eye in EYES:
        matte = without_person(matte, truth, eye, 0)
    return matte


@lru_cache(maxsize=8)
def maps(kind: str, subjects: Subjects = NOBODY) -> list[np.ndarray]:
    find = ConfidenceMap(HalfEquirect(EYE), subjects)
    return [find(at, frame_of(at), damaged(kind, at)) for at in range(FRAMES)]


def believed(found: list[np.ndarray], at: int, where: np.ndarray) -> float:
    return float(found[at][where].mean()) / SURE


def lost_pixels(kind: str, at: int) -> np.ndarray:
    """Solid pixels of the undamaged matte that the damaged one lacks."""
    return (matted("one", EYE, at) > 250) & (damaged(kind, at) < 5)


@pytest.mark.parametrize("at", [3, 7, 12])
def test_a_limb_missing_in_one_eye_is_in_doubt(at):
    gone = lost_pixels("arm", at)
    assert gone.sum() > 100
    whole, broken = (believed(maps(kind), at, gone) for kind in ("none", "arm"))
    assert broken < whole - ARM_MARGIN
    body = (damaged("arm", at) > 250) & (maps("none")[at] > 250)
    assert believed(maps("arm"), at, body) > 0.9, "what is right stays believed"


@pytest.mark.parametrize("at", DAMAGED)
def test_a_person_lost_for_ten_frames_is_in_doubt_in_each(at):
    gone = lost_pixels("person", at)
    assert gone.sum() > 1000
    whole, broken = (believed(maps(kind, KNOWN), at, gone) for kind in ("none", "person"))
    assert broken < whole - LOST_MARGIN


def test_somebody_lost_of_whom_nobody_knew_is_in_doubt_for_a_while():
    falls = [
        believed(maps("none"), at, lost_pixels("person", at))
        - believed(maps("person"), at, lost_pixels("person", at))
        for at in DAMAGED
    ]
    assert falls[0] > 0.7
    assert falls[-1] > UNKNOWN_LOST_MARGIN
    assert falls[0] > falls[-1]


def test_errors_lie_where_confidence_is_low():
    """The least believed tenth of the pixels around people has most of the error."""
    errors = {True: 0.0, False: 0.0}
    for at in (5, 9):
        truth = stereo_truth("one", EYE, at).mattes
        error = np.abs(truth.astype(int) - damaged("arm", at))
        near = (truth > 0) | (damaged("arm", at) > 0)
        found, error = maps("arm")[at][near], error[near]
        low = found <= np.quantile(found, 0.1)
        errors[True] += float(error[low].sum())
        errors[False] += float(error[~low].sum())
    # 0.68 is measured: most of the rest are soft edges that waves move a little.
    assert errors[True] > errors[False]


# --- each part --------------------------------------------------------------------------------


def parts(subjects: Subjects, matte: np.ndarray, number: int = 4) -> dict[Eye, Doubts]:
    return DoubtFinder(HalfEquirect(EYE), subjects)(number, frame_of(number), matte)


def scored(score: float) -> Subjects:
    (person,) = KNOWN.people
    boxes = tuple(replace(box, score=score) for box in person.boxes)
    return Subjects(None, (replace(person, boxes=boxes),))


def test_it_falls_with_the_entropy_of_alpha():
    find = ConfidenceMap(HalfEquirect(64))
    alpha = np.arange(256, dtype=np.uint8).repeat(32).reshape(64, 128)
    flat = grey_frame(*(np.full((64, 64), 90, np.uint8),) * 2)
    by_alpha = []
    for code in range(256):  # one alpha all over: nothing else is in doubt
        by_alpha.append(int(find(0, flat, np.full_like(alpha, code))[32, 32]))
        find = ConfidenceMap(HalfEquirect(64))
        if code == 128:
            break
    assert by_alpha[0] == SURE
    assert all(a >= b for a, b in pairwise(by_alpha))
    assert by_alpha[128] == pytest.approx(0.2 * SURE, abs=1)


def test_it_falls_with_each_part():
    rng = np.random.default_rng(1)
    low, high = np.sort(rng.random((2, 3, 8, 8)).astype(np.float32), axis=0)
    for part in range(3):
        more = [high[i] if i == part else low[i] for i in range(3)]
        assert (Doubts(*more).trust <= Doubts(*low).trust).all()
        assert (Doubts(*more).trust < Doubts(*low).trust).any()


def test_a_poor_score_lowers_it_where_the_matte_shows_the_person():
    matte = matted("one", EYE, 4)
    sure, unsure = (parts(scored(s), matte)[Eye.LEFT].people for s in (1.0, 0.4))
    assert sure.max() < 0.05
    assert (unsure >= sure - 1e-6).all()
    assert unsure.max() == pytest.approx(0.3, abs=0.02), "half of 1 - 0.4"


def test_what_nobody_found_is_in_doubt():
    matte = np.zeros((EYE, 2 * EYE), np.uint8)
    half_of(matte, Eye.LEFT)[300:340, 40:80] = SURE
    assert parts(scored(1.0), matte)[Eye.LEFT].people.max() > 0.45
    assert parts(NOBODY, matte)[Eye.LEFT].people.max() == 0, "nobody was looked for"


def test_excluded_people_are_not_missed():
    out = Subjects(None, tuple(replace(person, keep=False) for person in KNOWN.people))
    empty = np.zeros((EYE, 2 * EYE), np.uint8)
    assert parts(out, empty)[Eye.LEFT].people.max() == 0
    assert parts(KNOWN, empty)[Eye.LEFT].people.max() == 1


def test_rows_that_never_agree_are_matched():
    frame, matte = frame_of(4), matted("one", EYE, 4)
    bent = PlanarFrame(frame.y.copy(), frame.u, frame.v, frame.layout, frame.color)
    moved = matte.copy()
    for plane in (bent.y, moved):
        half_of(plane, Eye.RIGHT)[...] = np.roll(half_of(plane, Eye.RIGHT), 6, axis=0)
    doubts = []
    for rows_agree in (True, False):
        lenses = LensAlignment(0, 0, 0, needs_correction=False, rows_agree=rows_agree)
        found = DoubtFinder(HalfEquirect(EYE), Subjects(None, lenses=lenses))(4, bent, moved)
        doubts.append(sum(float(found[eye].eyes.sum()) for eye in EYES))
    assert doubts[1] < 0.6 * doubts[0]


# --- time -------------------------------------------------------------------------------------


def test_a_frame_without_one_before_it_has_no_flicker():
    """So a chunk's first frame is the same whoever made the chunk before, and when."""
    find = ConfidenceMap(HalfEquirect(EYE))
    fresh = find(6, frame_of(6), damaged("person", 6))
    for at in (2, 4):
        find(at, frame_of(at), damaged("person", at))
    np.testing.assert_array_equal(find(6, frame_of(6), damaged("person", 6)), fresh)
    find(5, frame_of(5), matted("one", EYE, 5))
    assert find(6, frame_of(6), damaged("person", 6)).mean() < fresh.mean() - 1


def test_a_single_frame_is_compared_with_no_frame_before():
    find = ConfidenceMap(HalfEquirect(EYE))
    first = find(3, frame_of(3), damaged("person", 3))
    find(2, frame_of(2), damaged("person", 2))
    np.testing.assert_array_equal(find.alone(3, frame_of(3), damaged("person", 3)), first)
    find(2, frame_of(2), damaged("person", 2))
    assert find(3, frame_of(3), damaged("person", 3)).mean() < first.mean() - 1


def test_in_another_view_nothing_is_in_doubt_where_nothing_is_shown():
    view = SourceView(YUV420P, BT709, Fisheye(64, 180), HalfEquirect(64))
    prepare = Preparation(view, Config())
    compose = RECIPES["confidence"].build(ComposerInputs(Config(), view, YUV420P, BT709, False))
    flat = grey_frame(*(np.full((64, 64), 90, np.uint8),) * 2)
    half = compose(prepare(flat, np.full((64, 128), 128, np.uint8)))
    assert isinstance(half, PlanarFrame)
    assert half.y[32, 32] < 80
    view = replace(view, source=HalfEquirect(64), target=Fisheye(64, 190))
    prepare = Preparation(view, Config())
    compose = RECIPES["confidence"].build(ComposerInputs(Config(), view, YUV420P, BT709, False))
    round_one = compose(prepare(flat, np.full((64, 128), 128, np.uint8)))
    assert isinstance(round_one, PlanarFrame)
    assert round_one.y[32, 32] < 80
    assert round_one.y[0, 0] == round_one.y[0, 64] == 235


# --- heat ---------------------------------------------------------------------------------------


def test_heat_glows_where_confidence_is_low_in_both_eyes():
    at = 7
    frame, matte = frame_of(at), matted("one", EYE, at)
    confidence = np.full_like(matte, SURE)
    for eye in EYES:
        half_of(confidence, eye)[100:120, 100:120] = 0
    picture = heat(frame, matte, confidence, 512)
    assert picture.shape == (256, 512, 3)
    red = picture[..., 0].astype(int) - picture[..., 2]
    for start in (50, 306):
        assert red[52:58, start + 2 : start + 8].min() > 200
    calm = np.ones(red.shape, bool)
    for start in (50, 306):
        calm[48:62, start - 2 : start + 12] = False
    assert np.abs(red[calm]).max() < 10, "the rest is grey"


def test_heat_keeps_a_hair_of_doubt():
    frame, matte = frame_of(7), matted("one", EYE, 7)
    confidence = np.full_like(matte, SURE)
    confidence[100, 40:300] = 0
    picture = heat(frame, np.zeros_like(matte), confidence, 256).astype(int)
    assert (picture[..., 0] - picture[..., 2]).max() > 200, "a quarter of it shows half as much"
