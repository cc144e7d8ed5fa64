from __future__ import annotations

import cv2
import numpy as np
import pytest

from support.matting.stereo_damage import (
    DAMAGED,
    matted,
    people_of,
    rectifier_of,
    without_arm,
    without_person,
)
from support.matting.stereo_scenes import stereo_truth
from vrmatte.frames import Eye
from vrmatte.matting.stereo_matting import AgreeingMatting
from vrmatte.stereo.agreement import AgreementRules, StereoAgreement

NAME, PX = "walking", 512
STATE = {"rvm/left": np.arange(6, dtype=np.float32)}


class Damaging:
    """A matting that loses an arm of the right eye in some frames, but not without its memory."""

    def __init__(self, again=None):
        self.looked_again = []
        self.restored = None
        self._again = again or (lambda index: matted(NAME, PX, index))

    def matte(self, index, frame):
        if index in DAMAGED:
            return lacking(index)
        return matted(NAME, PX, index)

    def again(self, index, frame):
        self.looked_again.append(index)
        return self._again(index)

    def state(self):
        return dict(STATE)

    def restore(self, state):
        self.restored = dict(state)


def lacking(index):
    truth = stereo_truth(NAME, PX, index)

    return without_arm(matted(NAME, PX, index), truth, Eye.RIGHT, 0)


def agreeing(method="reprocess", mode="joint", matting=None):
    findings = []
    stereo = StereoAgreement(
        rectifier_of(PX), people_of(NAME, PX, range(8)), AgreementRules(mode, method, 0.95, 0.9)
    )
    matting = matting or Damaging()
    return AgreeingMatting(matting, stereo, findings.append), matting, findings


def frame_of(index):
    return stereo_truth(NAME, PX, index).frame


def error(mattes, index):
    return float(cv2.absdiff(mattes, stereo_truth(NAME, PX, index).mattes).sum())


def test_poor_frames_are_looked_at_again():
    ours, matting, findings = agreeing()
    for index in range(1, 6):
        result = ours.matte(index, frame_of(index))
        # As good as if the arm had never been missing.
        assert error(result, index) <= 1.05 * error(matted(NAME, PX, index), index)
    assert matting.looked_again == [3, 4, 5]
    assert [f.frame for f in findings if f.person == 1] == [1, 2, 3, 4, 5]


def test_what_is_no_better_is_not_taken():
    """The second look lacks the arm too: what the other eye tells mends it."""
    ours, matting, findings = agreeing(matting=Damaging(again=lacking))
    ours.matte(2, frame_of(2))
    result = ours.matte(3, frame_of(3))
    assert matting.looked_again == [3]
    assert error(result, 3) < 1.3 * error(matted(NAME, PX, 3), 3)
    assert findings[-2].done == "corrected"


def test_what_is_worse_is_not_taken():
    def nobody_right(index):
        truth = stereo_truth(NAME, PX, index)
        return without_person(matted(NAME, PX, index), truth, Eye.RIGHT, 0)

    ours, _, findings = agreeing(matting=Damaging(again=nobody_right))
    ours.matte(3, frame_of(3))
    assert findings[0].agreement.score > 0.5, "told of the matte that was kept"


@pytest.mark.parametrize("method", ["ensemble", "transfer"])
def test_other_methods_look_once(method):
    ours, matting, _ = agreeing(method)
    for index in (2, 3):
        ours.matte(index, frame_of(index))
    assert matting.looked_again == []


def test_independent_eyes_are_left_as_they_are():
    ours, _, findings = agreeing("ensemble", "independent")
    assert np.array_equal(ours.matte(3, frame_of(3)), lacking(3))
    assert findings[0].flagged


def test_nobody_is_nothing_to_tell_and_drops_what_was_agreed():
    class Empty(Damaging):
        def matte(self, index, frame):
            return super().matte(index, frame) * np.uint8(index != 2)

    ours, _, findings = agreeing("ensemble", matting=Empty())
    ours.matte(1, frame_of(1))
    assert any(name.startswith("stereo/") for name in ours.state())
    warped = len(findings)
    assert not ours.matte(2, frame_of(2)).any()
    assert len(findings) == warped
    assert ours.state().keys() == STATE.keys()


def test_both_memories_are_kept_and_given_back():
    ours, _, _ = agreeing("ensemble")
    for index in (1, 2, 3):
        ours.matte(index, frame_of(index))
    state = ours.state()
    assert STATE.keys() < state.keys()
    other, matting, _ = agreeing("ensemble")
    other.restore(state)
    assert matting.restored.keys() == STATE.keys(), "names of the other room are kept from it"
    assert np.array_equal(ours.matte(4, frame_of(4)), other.matte(4, frame_of(4)))
    assert ours.state().keys() == other.state().keys()


def test_a_second_look_is_not_mended():
    ours, _, _ = agreeing(matting=Damaging(again=lacking))
    assert np.array_equal(ours.again(3, frame_of(3)), lacking(3))
