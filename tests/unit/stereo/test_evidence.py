from __future__ import annotations

import cv2
import numpy as np
import pytest

from support.matting.stereo_damage import dilated, evidence_of, rectifier_of, without_person
from support.matting.stereo_scenes import SCENES, in_cassini, shrunk, stereo_truth
from vrmatte.frames import EYES, Eye
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.stereo.evidence import NEAREST_SHARE, compare_eyes, extended, window_of

SIZE = 512
NOBODY = np.zeros((SIZE, SIZE), np.float32)


def overlap(evidence):
    """IoU of what is told with the truth, where both eyes see, and the share of people seen."""
    seen = evidence.seen > 0
    alpha, warped = evidence.alpha > 0.5, evidence.warped > 0.5
    return (
        (alpha & warped & seen).sum() / ((alpha | warped) & seen).sum(),
        evidence.alpha[seen].sum() / evidence.alpha.sum(),
    )


def hidden_from_the_other(truth, eye, near, far):
    """Where an eye sees the far one and the other eye has the near one before that place."""
    size = SIZE
    alpha = in_cassini(shrunk(truth.share(eye, far), size), size) > 240
    other = Eye.LEFT if eye is Eye.RIGHT else Eye.RIGHT
    before = in_cassini(shrunk(truth.matte(other, near), size), size) > 240
    rows, columns = np.nonzero(alpha)
    sign = 1 if eye is Eye.RIGHT else -1
    there = columns + sign * truth.disparity(eye, far, size)[rows, columns]
    result = np.zeros_like(alpha)
    result[rows, columns] = before[rows, np.clip(np.rint(there).astype(int), 0, size - 1)]
    return result


@pytest.mark.parametrize(
    ("name", "eye_px"),
    [
        ("several", 512),
        ("crossing", 512),
        *(pytest.param(name, 1536, marks=pytest.mark.slow) for name in SCENES),
    ],
)
def test_people_arrive_by_the_disparity_that_is_found(name, eye_px):
    """With the truth as both eyes' matte; of what is hidden from one eye nothing is asked."""
    truth = stereo_truth(name, eye_px)
    found = evidence_of(rectifier_of(eye_px), truth.frame, truth.mattes)
    for eye in EYES:
        iou, seen = overlap(found[eye])
        print(f"{name} {eye_px} {eye.value}: IoU {iou:.4f}, {100 * seen:.1f} % seen")
        assert iou >= (0.97 if name != "half hidden" else 0.96)
        assert seen >= 0.9


def test_a_fine_match_is_nearer_the_truth():
    truth = stereo_truth("one", 512)
    fine, fast = (
        evidence_of(rectifier_of(512), truth.frame, truth.mattes, fine=fine)
        for fine in (True, False)
    )
    for eye in EYES:
        assert overlap(fine[eye])[0] > overlap(fast[eye])[0] + 0.008
        assert overlap(fast[eye])[0] > 0.955


@pytest.mark.parametrize(("eye", "most"), [(Eye.LEFT, 0.35), (Eye.RIGHT, 0.05)])
def test_what_one_eye_alone_sees_is_not_disputed(eye, most):
    """The far one beside the near one's outline: the other eye looks at the near one there.

    A stripe as narrow as the left eye's takes part in the near one's disparity for a third.
    """
    truth = stereo_truth("half hidden", 512)
    hidden = hidden_from_the_other(truth, eye, near=0, far=2)
    assert hidden.sum() > 150
    found = evidence_of(rectifier_of(512), truth.frame, truth.mattes)[eye]
    assert found.seen[hidden].mean() < most


@pytest.mark.parametrize("eye", EYES)
def test_somebody_missing_beside_somebody_else_is_seen_by_both(eye):
    """Their arm lies before the other one, whose surroundings are believed to be known."""
    truth = stereo_truth("crossing", 512)
    found = evidence_of(
        rectifier_of(512), truth.frame, without_person(truth.mattes, truth, eye, 0)
    )[eye]
    missing = in_cassini(truth.matte(eye, 0), SIZE) > 250
    missing &= found.alpha < 0.02
    beside = cv2.distanceTransform((found.alpha < 0.6).astype(np.uint8), cv2.DIST_L2, 5) < 9
    assert found.seen[missing].mean() > 0.985
    assert found.seen[missing & beside].mean() > 0.93
    assert found.warped[missing & (found.seen > 0)].mean() > 0.97


def test_a_fat_outline_is_seen_by_both():
    truth = stereo_truth("one", 512)
    found = evidence_of(rectifier_of(512), truth.frame, dilated(truth.mattes, Eye.RIGHT, 4))
    for eye, sign in ((Eye.RIGHT, 1), (Eye.LEFT, -1)):
        fat = found[eye].alpha - found[eye].warped
        assert found[eye].seen[sign * fat > 0.5].mean() > 0.9
        assert sign * (fat * found[eye].seen).sum() > 200


def test_mirrored_eyes_give_mirrored_evidence():
    truth = stereo_truth("crossing", 512)
    there = evidence_of(rectifier_of(512), truth.frame, truth.mattes)
    greys = {e: rectifier_of(512).grey(truth.frame.eye(e), e) for e in EYES}
    flip = {Eye.LEFT: Eye.RIGHT, Eye.RIGHT: Eye.LEFT}
    mattes = {e: np.ascontiguousarray(there[flip[e]].alpha[:, ::-1]) for e in EYES}
    window = window_of(mattes)
    assert window is not None
    turned = {e: np.ascontiguousarray(greys[flip[e]][:, ::-1]) for e in EYES}
    back = compare_eyes(turned, mattes, window, fine=True)
    for eye in EYES:
        # Patches of the flow start at the left, whichever way the picture is turned.
        assert (there[eye].seen != back[flip[eye]].seen[:, ::-1]).mean() < 0.004
        assert np.abs(there[eye].warped - back[flip[eye]].warped[:, ::-1]).mean() < 0.002


def test_outside_the_window_nothing_is_said():
    truth = stereo_truth("one", 512)
    small = {e: in_cassini(truth.matte(e), SIZE) / np.float32(255) for e in EYES}
    window = window_of(small)
    assert window is not None
    outside = np.ones((SIZE, SIZE), np.bool_)
    outside[window.slices] = False
    assert outside.any()
    found = evidence_of(rectifier_of(512), truth.frame, truth.mattes)
    for eye in EYES:
        assert not found[eye].seen[outside].any()
        assert not found[eye].warped[outside].any()
        assert np.isneginf(found[eye].near[outside]).all()


def test_the_window_holds_everybody_and_where_the_other_eye_sees_them():
    matte = NOBODY.copy()
    matte[100:300, 200:220] = 0.03
    window = window_of({Eye.LEFT: matte, Eye.RIGHT: NOBODY})
    assert window is not None
    reach = NEAREST_SHARE * SIZE
    assert window.top <= 100 - 10
    assert window.bottom >= 300 + 10
    assert window.left <= 200 - reach
    assert window.right >= 220 + reach
    assert window.width < SIZE / 2
    assert window_of({Eye.LEFT: NOBODY, Eye.RIGHT: NOBODY + np.float32(0.01)}) is None


def test_the_window_stays_within_the_picture():
    window = window_of({Eye.LEFT: NOBODY + 1, Eye.RIGHT: NOBODY})
    assert window is not None
    assert window == PixelRect(0, 0, SIZE, SIZE)


def test_disparity_goes_on_around_what_was_carried():
    near = np.full((8, 8), -np.inf, np.float32)
    assert not extended(near).any()
    near[4, 2], near[4, 6] = 3, 5
    found = extended(near)
    assert np.isfinite(found).all()
    assert found[0, 0] == 3
    assert found[7, 7] == 5
