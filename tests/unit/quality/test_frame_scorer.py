"""Scores without truth on exact mattes and on damaged ones; the margins are those docs tell."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from support.matting.score_damage import DAMAGES, scores_of
from support.matting.stereo_damage import DAMAGED, FRAMES, people_of
from support.matting.stereo_scenes import stereo_truth
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PlanarFrame
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.quality.frame_scorer import FrameScorer
from vrmatte.quality.frame_scores import FrameScore
from vrmatte.quality.summary import ScoreSummary, summed_up

NAME, PX = "walking", 384


@lru_cache(maxsize=8)
def scores(damage: str | None = None) -> list[FrameScore]:
    return scores_of(NAME, PX, DAMAGES[damage] if damage else None)


@lru_cache(maxsize=8)
def summary(damage: str | None = None) -> ScoreSummary:
    return summed_up(scores(damage))


def values(damage: str | None, of, person: int | None = 1, eye: str = "right") -> np.ndarray:
    """A measure in the frames that are damaged."""
    told = [
        of(score)
        for score in scores(damage)
        if score.frame in DAMAGED and score.person == person and score.eye == eye
    ]
    return np.array([value for value in told if value is not None])


def contour(name: str):
    return lambda score: score.contour and getattr(score.contour, name)


def motion(name: str):
    return lambda score: score.motion and getattr(score.motion, name)


def shown(damage: str) -> set[str]:
    """Why the four worst frames of a damaged clip are shown; they must be those that are."""
    worst = [frame for frame in summary(damage).worst_frames(4) if frame.beyond]
    # What changes from one frame to the next is told of the first frame after the damage too.
    assert worst
    assert all(frame.frame in (*DAMAGED, DAMAGED.stop) for frame in worst)
    return {event.measure for event in summary(damage).events}


def test_exact_mattes_show_nothing():
    assert summary().events == ()
    assert not any(frame.beyond for frame in summary().worst)
    assert summary().frames == FRAMES
    unrest = [f.worst for f in summary().figures if f.measure == "unrest"]
    assert len(unrest) == 6, "everybody and two people, in both eyes"
    assert max(unrest) < 1.5


def test_a_limb_missing_in_one_eye():
    changes = [abs(s.motion.area_change) for s in scores("limb") if s.motion and s.person == 1]
    assert max(changes) > 0.06
    assert max(abs(values(None, motion("area_change")))) < 0.01
    assert "area_change" in shown("limb")
    assert {e.eye for e in summary("limb").events if e.person == 1} == {"right"}


def test_an_outline_too_far_out():
    agreement, offset = contour("image_agreement"), contour("offset_px")
    assert values("fat", agreement).max() < values(None, agreement).min() - 0.4
    assert values("fat", offset).min() > values(None, offset).max() + 1.0
    assert "image_agreement" in shown("fat")


def test_an_outline_too_far_in():
    """The offset has a sign."""
    offset = contour("offset_px")
    assert values("flicker", offset).max() < values(None, offset).min()


def test_flicker():
    wander = motion("wander_px")
    assert np.median(values("flicker", wander)) > 4 * np.median(values(None, wander))
    assert "unrest" in shown("flicker")


def test_a_coarse_mask():
    jags = contour("jaggedness_px")
    assert values("coarse", jags).min() > values(None, jags).max() + 0.08
    assert {"jaggedness_px", "softness_px"} & shown("coarse")


def test_blurred_hair():
    """Calmer than the truth, but what it lost stands beside that."""
    wander, fine = motion("wander_px"), lambda score: score.fine_share
    assert np.median(values("hair", wander, 2)) < 1.1 * np.median(values(None, wander, 2))
    assert np.median(values("hair", fine, 2)) < 0.65 * np.median(values(None, fine, 2))
    soft = [values(damage, lambda score: score.softness_px, 2) for damage in ("hair", None)]
    assert soft[0].min() > soft[1].max() + 2
    assert "softness_px" in shown("hair")


def test_a_person_lost_for_ten_frames():
    coverage = [values(damage, lambda score: score.coverage, 2) for damage in ("lost", None)]
    assert coverage[0].max() < 0.02 < 0.3 < coverage[1].min()
    assert "coverage" in shown("lost")
    spans = {(e.first, e.last) for e in summary("lost").events if e.measure == "coverage"}
    assert spans == {(DAMAGED.start, DAMAGED.stop - 1)}
    whole = [s for s in scores("lost") if s.person is None and s.motion and s.eye == "left"]
    assert [s.frame for s in whole if s.motion.vanished] == [DAMAGED.start]
    assert [s.frame for s in whole if s.motion.appeared] == [DAMAGED.stop]


def test_outlines_are_looked_at_by_frame_number():
    sampled = {score.frame for score in scores() if score.contour}
    assert sampled == {0, 8}


def test_a_chunk_knows_nothing_of_the_one_before():
    """So scores are the same, whoever made the chunk before and when."""
    people = people_of(NAME, PX, range(FRAMES))
    scorer = FrameScorer(HalfEquirect(PX), people)
    for frame in range(7, 10):
        truth = stereo_truth(NAME, PX, frame)
        scorer.score(frame, truth.frame, truth.mattes)
    own = [score for score in scorer.scores if score.frame > 7]
    assert own == [score for score in scores() if score.frame in (8, 9)]
    assert all(score.motion is None for score in scorer.scores if score.frame == 7)


def test_ten_bits_score_like_eight():
    scorers = [FrameScorer(HalfEquirect(PX), []) for _ in range(2)]
    for frame in (7, 8):
        truth = stereo_truth(NAME, PX, frame)
        deep = [plane.astype(np.uint16) << 2 for plane in (truth.frame.y, truth.frame.u)]
        picture = PlanarFrame(deep[0], deep[1], deep[1], YUV420P10, truth.frame.color)
        scorers[0].score(frame, truth.frame, truth.mattes)
        scorers[1].score(frame, picture, truth.mattes)
    assert scorers[0].scores == scorers[1].scores


def test_an_empty_matte_is_scored_too():
    truth = stereo_truth(NAME, PX, 8)
    scorer = FrameScorer(HalfEquirect(PX), people_of(NAME, PX, range(FRAMES)))
    for frame in (8, 9):
        scorer.score(frame, truth.frame, np.zeros_like(truth.mattes))
    assert len(scorer.scores) == 12
    assert {score.area for score in scorer.scores} == {0.0}
    assert {score.coverage for score in scorer.scores} == {None, 0.0}


def test_who_leaves_the_matte_is_not_scored():
    first, second = people_of(NAME, PX, range(FRAMES))
    truth = stereo_truth(NAME, PX, 8)
    scorer = FrameScorer(HalfEquirect(PX), [replace(first, keep=False), second])
    scorer.score(8, truth.frame, truth.mattes)
    assert {score.person for score in scorer.scores} == {None, second.id}


@pytest.mark.parametrize("px", [16, 40])
def test_tiny_eyes(px):
    matte = np.zeros((px, 2 * px), np.uint8)
    matte[px // 4 : px // 2, px // 4 : px // 2] = 255
    scorer = FrameScorer(HalfEquirect(px), [])
    luma = np.arange(2 * px * px, dtype=np.uint8).reshape(px, 2 * px)
    chroma = np.full((px // 2, px), 128, np.uint8)
    frame = PlanarFrame(luma, chroma, chroma, YUV420P, ColorTags())
    for index in range(3):
        scorer.score(index, frame, matte)
    assert len(scorer.scores) == 6
