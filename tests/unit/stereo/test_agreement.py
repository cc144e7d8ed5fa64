"""Damage done to one eye is found and mended from the other, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from support.matting.stereo_damage import (
    DAMAGED,
    FRAMES,
    dilated,
    matted,
    people_of,
    rectifier_of,
    without_arm,
    without_person,
)
from support.matting.stereo_scenes import grey_frame, stereo_truth
from vrmatte.frames import EYES, Eye, half_of
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.geometry.remap import make_sampling_grid, resample
from vrmatte.geometry.viewport import Turned, rotation_of
from vrmatte.stereo.agreement import STATE_PREFIX, AgreementRules, StereoAgreement
from vrmatte.stereo.rectify import Rectifier

NAME = "walking"
PX = 512
DAMAGES = {
    "arm": lambda mattes, truth, eye: without_arm(mattes, truth, eye, 0),
    "person": lambda mattes, truth, eye: without_person(mattes, truth, eye, 0),
    "dilated": lambda mattes, truth, eye: dilated(mattes, eye, 4),
}


def other_of(eye):
    return Eye.RIGHT if eye is Eye.LEFT else Eye.LEFT


def rules(mode="joint", method="ensemble"):
    return AgreementRules(mode, method, warn_below=0.95, correct_below=0.9)


@cache
def people(name=NAME, eye_px=PX):
    return people_of(name, eye_px, range(FRAMES))


def judge(mode="joint", method="ensemble", *, name=NAME, eye_px=PX):
    return StereoAgreement(rectifier_of(eye_px), people(name, eye_px), rules(mode, method))


def frame_of(index, name=NAME, eye_px=PX):
    return stereo_truth(name, eye_px, index).frame


def damaged(index, kind, eye=Eye.RIGHT, name=NAME, eye_px=PX):
    mattes = matted(name, eye_px, index)
    if kind == "none" or index not in DAMAGED:
        return mattes
    return DAMAGES[kind](mattes, stereo_truth(name, eye_px, index), eye)


def settled(stereo, index, frame, mattes):
    compared = stereo.compare(index, frame, mattes)
    assert compared is not None
    return stereo.settle(mattes, compared)


def error(mattes, index, eye, name=NAME, eye_px=PX):
    """Sum of absolute errors in full pixels."""
    truth = half_of(stereo_truth(name, eye_px, index).mattes, eye)
    return float(cv2.absdiff(half_of(mattes, eye), truth).sum()) / 255


def run_clip(kind, method="ensemble", eye=Eye.RIGHT, mode="joint", name=NAME, eye_px=PX):
    """Errors (undamaged, damaged, mended; the other eye's before and after), all findings."""
    stereo, rows, findings = judge(mode, method, name=name, eye_px=eye_px), [], []
    for index in range(FRAMES):
        mattes = damaged(index, kind, eye, name, eye_px)
        result, found = settled(stereo, index, frame_of(index, name, eye_px), mattes)
        findings.append(found)
        if index in DAMAGED:
            places = (index, eye, name, eye_px), (index, other_of(eye), name, eye_px)
            undamaged = matted(name, eye_px, index)
            mine = [error(m, *places[0]) for m in (undamaged, mattes, result)]
            rows.append(mine + [error(m, *places[1]) for m in (mattes, result)])
    return np.array(rows), findings


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize(
    ("method", "eye", "eye_px"),
    [
        ("ensemble", Eye.RIGHT, 512),
        *(
            pytest.param(method, eye, eye_px, marks=pytest.mark.slow)
            for method, eye, eye_px in (
                ("transfer", Eye.RIGHT, 512),
                ("ensemble", Eye.LEFT, 512),
                ("ensemble", Eye.RIGHT, 768),
                ("transfer", Eye.LEFT, 768),
            )
        ),
    ],
)
def test_damage_is_flagged_and_mended(method, eye, eye_px, kind):
    rows, findings = run_clip(kind, method, eye, eye_px=eye_px)
    undamaged, harmed, mended, other, other_after = rows.mean(axis=0)
    print(f"{kind} {method}: {mended / undamaged:.2f} of {harmed / undamaged:.1f}")
    assert harmed > 3 * undamaged
    assert mended <= 1.3 * undamaged
    assert rows[:, 2].max() <= 1.6 * undamaged, "in no frame"
    assert other_after <= 1.05 * other
    for index in DAMAGED:
        (first, *_) = [f for f in findings[index] if f.person == 1]
        assert first.flagged
        assert first.done == "corrected"
        assert first.frame == index


@pytest.mark.slow
def test_where_people_overlap_most_is_mended():
    """What only one eye sees of those behind stays damaged: no eye tells."""
    rows, _ = run_clip("dilated", name="crossing")
    undamaged, harmed, mended, other, other_after = rows.mean(axis=0)
    assert mended - undamaged < 0.3 * (harmed - undamaged)
    assert other_after <= 1.05 * other


@pytest.mark.parametrize("method", ["ensemble", pytest.param("transfer", marks=pytest.mark.slow)])
def test_undamaged_mattes_get_no_worse(method):
    rows, findings = run_clip("none", method)
    undamaged, _, after, other, other_after = rows.mean(axis=0)
    assert after <= undamaged
    assert other_after <= other
    assert {f.done for found in findings for f in found} == {"balanced"}


def test_the_eyes_come_nearer_to_each_other():
    """A whole eye half a pixel fat: too little to be mended, shared out instead."""
    before, after = [], []
    stereo = judge()
    for index in range(4):
        # One pixel of 512 is two of 1024; half of that matte.
        mattes = matted(NAME, PX, index).copy()
        fat = dilated(mattes, Eye.RIGHT, 2)
        mattes[:, PX:] = mattes[:, PX:] // 2 + fat[:, PX:] // 2
        result, found = settled(stereo, index, frame_of(index), mattes)
        assert all(f.done == "balanced" for f in found)
        again = stereo.compare(index, frame_of(index), result)
        assert again is not None
        before.append(found[0].agreement.offset_px)
        after.append(again.scores[0].offset_px)
    assert np.mean(before) > 0.6
    assert abs(np.mean(after)) < 0.5 * np.mean(before)


# --- what is left alone ---------------------------------------------------------------------------


def test_what_only_one_eye_can_see_stays_to_the_byte():
    """Beside the near one's outline; a hole is punched there, which no other eye could fill."""
    name, eye = "half hidden", Eye.LEFT
    mattes = stereo_truth(name, PX).mattes.copy()
    half = half_of(mattes, eye)
    half_of(mattes, Eye.RIGHT)[...] = cv2.dilate(half_of(mattes, Eye.RIGHT), np.ones((5, 5)))
    half[230:260, :PX:7] = 0
    stereo = StereoAgreement(rectifier_of(PX), [], rules())
    compared = stereo.compare(7, frame_of(7, name), mattes)
    assert compared is not None
    assert compared.worst() < 0.9
    result, _ = stereo.settle(mattes, compared)
    assert not np.array_equal(result, mattes)
    seen = cv2.dilate(compared.evidence[eye].seen, np.ones((9, 9)))
    alone = rectifier_of(PX).back(seen, eye) == 0
    hard = alone & ((half == 0) | (half == 255))
    assert ((half == 255) & hard).sum() > 30
    assert np.array_equal(half_of(result, eye)[hard], half[hard])


def test_the_given_matte_stays():
    mattes = damaged(5, "arm")
    kept = mattes.copy()
    result, _ = settled(judge(), 5, frame_of(5), mattes)
    assert np.array_equal(mattes, kept)
    assert not np.shares_memory(result, mattes)


def test_where_nobody_is_there_is_nothing_to_compare():
    stereo = judge()
    assert stereo.compare(0, frame_of(0), np.zeros((PX, 2 * PX), np.uint8)) is None


def test_without_people_everybody_is_judged_together():
    stereo = StereoAgreement(rectifier_of(PX), [], rules())
    _, found = settled(stereo, 5, frame_of(5), damaged(5, "person"))
    assert [f.person for f in found] == [None]
    assert found[0].flagged


def test_people_are_judged_while_they_are_there():
    stereo = judge()
    _, found = settled(stereo, 5, frame_of(5), damaged(5, "none"))
    assert [f.person for f in found] == [1, 2]
    person = people()[0]
    person = replace(person, boxes=tuple(b for b in person.boxes if b.frame >= 6))
    late = StereoAgreement(rectifier_of(PX), [person], rules())
    assert late.compare(5, frame_of(5), damaged(5, "none")).scores == {}
    assert late.compare(5, frame_of(5), damaged(5, "none")).worst() == 1


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_going_on_after_a_stop_gives_the_same_bytes(stop):
    through, first, second = judge(), judge(), judge()
    assert first.state() == {}
    for index in range(8):
        if index == stop:
            state = first.state()
            assert all(name.startswith(STATE_PREFIX) for name in state)
            assert all(array.dtype == np.float32 for array in state.values())
            second.restore({name: array.copy() for name, array in state.items()})
        stereo = first if index < stop else second
        mattes = damaged(index, "arm")
        whole, found = settled(through, index, frame_of(index), mattes)
        parts, again = settled(stereo, index, frame_of(index), mattes)
        assert np.array_equal(whole, parts)
        assert found == again
    fresh = judge()
    fresh.restore({})
    assert fresh.state() == {}


def test_history_counts_and_a_jump_drops_it():
    """An outline further out in one eye: only the frame before tells which eye is right."""
    truth = stereo_truth(NAME, PX, 4)
    whole, fat = matted(NAME, PX, 4), damaged(4, "dilated")

    def after(index):
        stereo = judge()
        settled(stereo, index, frame_of(3), matted(NAME, PX, 3))
        return settled(stereo, 4, truth.frame, fat)[0]

    fresh = settled(judge(), 4, truth.frame, fat)[0]
    followed, jumped, backwards = after(3), after(2), after(5)
    assert np.array_equal(jumped, fresh)
    assert np.array_equal(backwards, fresh)
    left = [np.abs(m.astype(int) - whole).mean() for m in (followed, fresh)]
    assert left[0] < 0.5 * left[1]


def test_forgetting_is_a_fresh_start():
    stereo = judge()
    settled(stereo, 3, frame_of(3), damaged(3, "none"))
    assert stereo.state()
    stereo.forget()
    assert stereo.state() == {}
    ours, _ = settled(stereo, 4, frame_of(4), damaged(4, "arm"))
    fresh, _ = settled(judge(), 4, frame_of(4), damaged(4, "arm"))
    assert np.array_equal(ours, fresh)


# --- modes ----------------------------------------------------------------------------------------


def test_independent_eyes_are_only_reported():
    stereo = judge("independent")
    for index in (2, 3, 4):
        mattes = damaged(index, "arm")
        result, found = settled(stereo, index, frame_of(index), mattes)
        assert np.array_equal(result, mattes)
        assert found[0].flagged == (index in DAMAGED)
        assert {f.done for f in found} == {"nothing"}


@pytest.mark.parametrize("eye", [Eye.RIGHT, pytest.param(Eye.LEFT, marks=pytest.mark.slow)])
def test_the_other_eye_follows_the_reference(eye):
    """The one that sees more of them, which itself moves for nobody but who it follows."""
    rows, _ = run_clip("arm", mode="reference_eye", eye=eye)
    undamaged, harmed, mended, other, other_after = rows.mean(axis=0)
    assert mended < undamaged + 0.1 * (harmed - undamaged)
    assert other_after <= 1.02 * other
    stereo = judge("reference_eye")
    mattes = damaged(5, "arm", eye)
    result, _ = settled(stereo, 5, frame_of(5), mattes)
    moved = {}
    for e in EYES:
        theirs = stereo_truth(NAME, PX, 5).share(e, 0) > 2
        moved[e] = (half_of(result, e) != half_of(mattes, e))[theirs].sum()
    assert moved[eye] > 20 * moved[other_of(eye)]


def swapped(mattes):
    """What is seen in a mirror: left and right change places and sides."""
    return np.ascontiguousarray(mattes[:, ::-1])


def test_joint_eyes_are_treated_alike():
    stereo, mirror = (StereoAgreement(rectifier_of(PX), [], rules()) for _ in range(2))
    for index in (2, 3, 4):
        frame, mattes = frame_of(index), damaged(index, "arm")
        halves = [np.ascontiguousarray(half_of(frame.y, e)[:, ::-1]) for e in EYES[::-1]]
        there, found = settled(stereo, index, frame, mattes)
        back, again = settled(mirror, index, grey_frame(*halves), swapped(mattes))
        # Patches of the flow start at the left, whichever way the picture is turned.
        assert cv2.absdiff(there, swapped(back)).mean() < 0.1
        assert cv2.absdiff(there, mattes).mean() > (0.5 if index > 2 else 0)
        assert found[0].agreement.score == pytest.approx(again[0].agreement.score, abs=0.02)
        assert found[0].agreement.offset_px == pytest.approx(
            -again[0].agreement.offset_px, abs=0.25
        )


# --- eyes that are not as they should be ----------------------------------------------------------


def bent(picture, *, back=False):
    """Rows of an eye smoothly moved by up to 2.6 of 512."""
    size = picture.shape[0]
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    rows = 2.6 * size / 512 * np.cos((x / size - 0.45) * 7) * np.cos((y / size - 0.5) * 5)
    sign = -1 if back else 1
    return cv2.remap(picture, x, (y + sign * rows).astype(np.float32), cv2.INTER_CUBIC)


def warped(frame, mattes, how):
    """The right eye of both seen another way."""
    left, right = (np.ascontiguousarray(half_of(frame.y, eye)) for eye in EYES)
    result = mattes.copy()
    half_of(result, Eye.RIGHT)[...] = how(np.ascontiguousarray(half_of(mattes, Eye.RIGHT)))
    return grey_frame(left, how(right)), result


def mended_by(stereo, how, indices=range(2, 8), kind="arm"):
    """Error of the right eye left after mending, and of the damage, against the undamaged."""
    left_over, harm, worst = 0.0, 0.0, 1.0
    for index in indices:
        frame, undamaged = warped(frame_of(index), matted(NAME, PX, index), how)
        _, mattes = warped(frame_of(index), damaged(index, kind), how)
        compared = stereo.compare(index, frame, mattes)
        result, _ = stereo.settle(mattes, compared)
        if index in DAMAGED:
            harm += float(cv2.absdiff(mattes, undamaged).sum()) / 255
            left_over += float(cv2.absdiff(result, undamaged).sum()) / 255
        else:
            worst = compared.worst()
    return left_over / harm, worst


def test_bent_rows_are_followed_when_told_so():
    share, undamaged_score = {}, {}
    for agree in (False, True):
        stereo = StereoAgreement(rectifier_of(PX), [], rules(), rows_agree=agree)
        share[agree], undamaged_score[agree] = mended_by(stereo, bent)
    print(share, undamaged_score)
    assert share[False] < 0.3
    assert share[True] > 1.3 * share[False]
    assert undamaged_score[False] > undamaged_score[True] + 0.01


def test_a_turned_right_lens_is_no_hindrance():
    rotation = rotation_of(0.0, 0.0, 1.0)
    eye = HalfEquirect(PX)

    def turned(picture):
        """What the right eye sees with its lens turned."""
        return resample(picture, make_sampling_grid(Turned(eye, rotation), eye))

    def none(picture):
        return picture

    def judged(how, **kwargs):
        return mended_by(StereoAgreement(Rectifier(eye, **kwargs), [], rules()), how)

    aligned = judged(none)
    mended = judged(turned, right_rotation=rotation)
    unmended = judged(turned)
    print(aligned, mended, unmended)
    assert mended[0] < aligned[0] + 0.05
    assert mended[1] > aligned[1] - 0.01
    assert unmended[1] < mended[1] - 0.02


def test_fisheye_eyes():
    fisheye, eye = Fisheye(PX, 190), HalfEquirect(PX)
    grid = make_sampling_grid(fisheye, eye)
    stereo = StereoAgreement(Rectifier(fisheye), people(), rules())
    for index in range(2, 6):
        frame = frame_of(index)
        luma = [resample(np.ascontiguousarray(half_of(frame.y, e)), grid) for e in EYES]

        def as_fisheye(mattes):
            halves = [resample(np.ascontiguousarray(half_of(mattes, e)), grid) for e in EYES]
            return np.concatenate(halves, axis=1)

        undamaged = as_fisheye(matted(NAME, PX, index))
        mattes = as_fisheye(damaged(index, "arm"))
        result, found = settled(stereo, index, grey_frame(*luma), mattes)
        assert found[0].flagged == (index in DAMAGED)
        if index in DAMAGED:
            harm, after = (cv2.absdiff(m, undamaged).sum() for m in (mattes, result))
            assert after < 0.3 * harm
        else:
            assert all(f.agreement.score > 0.94 for f in found)
