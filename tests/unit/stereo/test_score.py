from __future__ import annotations

import numpy as np
import pytest

from support.matting.stereo_damage import (
    dilated,
    evidence_of,
    labels_of,
    matted,
    rectifier_of,
    without_arm,
    without_person,
)
from support.matting.stereo_scenes import stereo_truth
from vrmatte.frames import EYES, Eye
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.stereo.evidence import EyeEvidence
from vrmatte.stereo.score import NOBODY, Agreement, agreement, label_people

SIZE = 128
PERFECT = Agreement(1.0, 0.0, 0.0, 0.0, 1.0, 0.5)
BODY = np.s_[20:110, 40:80]


def scored(name, eye_px, mattes, frame=7):
    """Everybody's agreement in one frame."""
    truth, rectifier = stereo_truth(name, eye_px, frame), rectifier_of(eye_px)
    evidence, labels = evidence_of(rectifier, truth.frame, mattes), labels_of(rectifier, truth)
    found = [agreement(evidence, labels, person) for person in truth.people]
    print([a and f"{a.score:.3f} {a}" for a in found])
    return found


def drawn(*, left=(), right=(), seen=True):
    """Both eyes' evidence of bodies without disparity: what one lacks the other tells."""
    mattes = {}
    for eye, parts in ((Eye.LEFT, left), (Eye.RIGHT, right)):
        mattes[eye] = np.zeros((SIZE, SIZE), np.float32)
        for part in parts:
            mattes[eye][part] = 1
    everywhere = np.full((SIZE, SIZE), float(seen), np.float32)
    return {
        eye: EyeEvidence(mattes[eye], mattes[other], everywhere, np.zeros((SIZE, SIZE), np.float32))
        for eye, other in (EYES, EYES[::-1])
    }


EVERYBODY = dict.fromkeys(EYES, np.zeros((SIZE, SIZE), np.int16))


@pytest.mark.parametrize(
    ("change", "score"),
    [
        ({}, 1.0),
        ({"iou": 0.87}, 0.87),
        ({"offset_px": 2.0}, 0.88),
        ({"offset_px": -2.0}, 0.88),
        ({"limb_share": 0.04}, 0.9),
        ({"limb_share": 1.0}, 0.5),
        ({"iou": 0.95, "offset_px": 1.5, "limb_share": 0.01}, 0.91),
        ({"offset_px": 30.0}, 0.0),
        ({"band_error": 0.2, "seen_share": 0.3, "right_area_share": 0.9}, 1.0),
    ],
)
def test_the_score_is_the_worst_of_three(change, score):
    values = {name: getattr(PERFECT, name) for name in PERFECT.__slots__} | change
    assert Agreement(**values).score == pytest.approx(score)


def test_equal_eyes_are_perfect():
    found = agreement(drawn(left=[BODY], right=[BODY]), EVERYBODY, 0)
    assert found == PERFECT
    assert found.score == 1


def test_whom_one_eye_lacks_has_no_agreement():
    for eyes in ({"left": [BODY]}, {"right": [BODY]}):
        found = agreement(drawn(**eyes), EVERYBODY, 0)
        assert found is not None
        assert found.score == 0
        assert found.right_area_share == (1 if "right" in eyes else 0)


def test_a_limb_counts_by_its_share():
    limb = np.s_[40:60, 80:90]
    found = agreement(drawn(left=[BODY, limb], right=[BODY]), EVERYBODY, 0)
    assert found is not None
    # An opening rounds off the corners that stand out.
    assert found.limb_share == pytest.approx(200 / 3800, rel=0.1)
    strip = np.s_[20:110, 80:81]
    found = agreement(drawn(left=[BODY, strip], right=[BODY]), EVERYBODY, 0)
    assert found is not None
    assert found.limb_share < 0.002


def test_an_outline_farther_out_is_told_in_pixels_of_1024():
    """One column more at both sides of a picture of 128: eight pixels of 1024, at half its rim."""
    wider = np.s_[20:110, 39:81]
    found = agreement(drawn(left=[BODY], right=[wider]), EVERYBODY, 0)
    assert found is not None
    sides, rim = 2 * 90, 2 * (90 + 42)
    assert found.offset_px == pytest.approx(8 * sides / rim, rel=0.1)
    mirrored = agreement(drawn(left=[wider], right=[BODY]), EVERYBODY, 0)
    assert mirrored is not None
    assert mirrored.offset_px == pytest.approx(-found.offset_px)


def test_who_cannot_be_judged_is_not():
    assert agreement(drawn(), EVERYBODY, 0) is None
    speck = [np.s_[50:53, 50:53]]
    assert agreement(drawn(left=speck, right=speck), EVERYBODY, 0) is None
    assert agreement(drawn(left=[BODY], right=[BODY], seen=False), EVERYBODY, 0) is None
    assert agreement(drawn(left=[BODY], right=[BODY]), EVERYBODY, 1) is None


def test_what_is_not_seen_by_both_does_not_count():
    evidence = drawn(left=[BODY, np.s_[40:60, 80:100]], right=[BODY])
    for part in evidence.values():
        part.seen[:, 80:] = 0
    found = agreement(evidence, EVERYBODY, 0)
    assert found is not None
    assert found.iou == 1
    assert found.limb_share == 0
    assert found.seen_share == pytest.approx(7200 / 7600, rel=1e-3)


def test_people_are_told_apart_by_their_boxes():
    yaw, pitch = np.meshgrid(np.linspace(-45, 45, 91), np.linspace(45, -45, 91))
    boxes = [AngularBox(-30, -10, -20, 20), None, AngularBox(-15, 25, -20, 20)]
    labels = label_people(boxes, yaw.astype(np.float32), pitch.astype(np.float32))
    assert labels[45, 45 - 28] == 0
    assert labels[45, 45 + 20] == 2
    assert labels[45, 45 - 12] == 0, "at its rim, but inside the other's too"
    assert labels[45, 45 - 5] == 2
    assert labels[45, 45 - 33] == 0, "boxes are grown a little"
    assert labels[45, 45 - 40] == labels[10, 45] == NOBODY
    assert not (labels == 1).any()


# --- real scenes ----------------------------------------------------------------------------------


EYE_SIZES = [pytest.param(1024, marks=pytest.mark.slow), 512]


@pytest.mark.parametrize("eye_px", EYE_SIZES)
@pytest.mark.parametrize("name", ["one", "walking", "crossing", "several"])
def test_perfect_eyes_score_high(name, eye_px):
    """As a whole and each person; who is small or mostly hidden has more edge than body."""
    truth, rectifier = stereo_truth(name, eye_px), rectifier_of(eye_px)
    everybody = dict.fromkeys(EYES, np.zeros((rectifier.picture_px,) * 2, np.int16))
    whole = agreement(evidence_of(rectifier, truth.frame, truth.mattes), everybody, 0)
    assert whole is not None
    assert whole.score >= 0.96
    assert abs(whole.offset_px) < 0.3
    found = scored(name, eye_px, truth.mattes)
    assert found[0].score >= 0.96
    assert all(a.score >= 0.92 for a in found)
    assert all(abs(a.offset_px) < 1.1 and a.limb_share == 0 for a in found)


@pytest.mark.parametrize("eye_px", EYE_SIZES)
def test_mattes_as_a_network_finds_them_are_not_blamed(eye_px):
    found = scored("walking", eye_px, matted("walking", eye_px, 7))
    assert all(a.score >= 0.95 for a in found)


@pytest.mark.slow
@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", ["one", "walking", "several"])
def test_two_pixels_of_fat_are_found(name, eye):
    found = scored(name, 1024, dilated(stereo_truth(name, 1024).mattes, eye, 2))
    sign = 1 if eye is Eye.RIGHT else -1
    for a in found:
        assert a.score <= 0.9
        assert sign * a.offset_px == pytest.approx(2, abs=0.7)


@pytest.mark.parametrize("eye_px", EYE_SIZES)
@pytest.mark.parametrize("eye", EYES)
def test_a_missing_person_is_found_and_the_others_are_not_blamed(eye, eye_px):
    truth = stereo_truth("walking", eye_px, 0)
    for person, other in ((0, 1), (1, 0)):
        mattes = without_person(truth.mattes, truth, eye, person)
        found = scored("walking", eye_px, mattes, frame=0)
        assert found[person].score <= 0.85
        assert found[other].score >= 0.95


@pytest.mark.parametrize("eye_px", EYE_SIZES)
@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", ["one", "walking"])
def test_a_missing_arm_is_found(name, eye, eye_px):
    truth = stereo_truth(name, eye_px)
    found = scored(name, eye_px, without_arm(truth.mattes, truth, eye, 0))
    assert found[0].score <= 0.9
    assert found[0].limb_share > 0.01
    assert all(a.score >= 0.95 for a in found[1:])
