from __future__ import annotations

import numpy as np
import pytest

from support.matting.stereo_damage import matted, without_arm
from support.matting.stereo_scenes import stereo_truth
from vrmatte.frames import Eye
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.matting.stereo_matting import (
    AgreeingMatting,
    rules_of,
    stereo_parameters,
    with_agreement,
)
from vrmatte.settings.config import Config
from vrmatte.subjects import LensAlignment

NAME, PX = "walking", 512
TURNED = LensAlignment(roll_deg=1.0, pitch_deg=0.0, toe_in_deg=0.0)
STRAIGHT = LensAlignment(0.01, 0.0, 0.0, needs_correction=False)
BENT = LensAlignment(0.01, 0.0, 0.0, needs_correction=False, rows_agree=False)


class Found:
    """A matting that always answers the same."""

    def __init__(self, mattes):
        self.mattes = mattes

    def matte(self, index, frame):
        return self.mattes

    def again(self, index, frame):
        return self.mattes

    def state(self):
        return {}

    def restore(self, state):
        pass


def config(disparity=True, **stereo):
    return Config.model_validate(
        {"matting": {"use_disparity_mapping": disparity}, "stereo": stereo}
    )


def result_of(settings, lenses=None, index=5):
    truth = stereo_truth(NAME, PX, index)
    mattes = without_arm(matted(NAME, PX, index), truth, Eye.RIGHT, 0)
    findings = []
    matting = with_agreement(Found(mattes), settings, HalfEquirect(PX), [], lenses, findings.append)
    return matting, matting.matte(index, truth.frame), mattes, findings


def test_thresholds_of_the_settings():
    rules = rules_of(config(warn_threshold=0.9, validation_threshold=0.8, consistency_mode="joint"))
    assert (rules.warn_below, rules.correct_below, rules.mode) == (0.9, 0.8, "joint")
    rules = rules_of(config(warn_threshold=0.7, validation_threshold=0.8))
    assert rules.warn_below == 0.8, "what is corrected is warned of"
    assert rules_of(config(disparity=False)) is None


def test_without_disparity_nothing_happens_at_all():
    matting, result, mattes, findings = result_of(config(disparity=False))
    assert isinstance(matting, Found)
    assert result is mattes
    assert findings == []


def test_settings_reach_the_mattes():
    _, result, mattes, findings = result_of(config(consistency_mode="joint"))
    assert not np.array_equal(result, mattes)
    assert findings[0].done == "corrected"
    matting, result, mattes, findings = result_of(config(consistency_mode="independent"))
    assert isinstance(matting, AgreeingMatting)
    assert np.array_equal(result, mattes)
    assert findings[0].flagged


def test_what_is_known_of_the_lenses_is_used():
    """Straight lenses need nothing; telling them turned or bent reads other pixels."""
    straight, nothing, turned, rows = (
        result_of(config(consistency_mode="joint"), lenses)
        for lenses in (STRAIGHT, None, TURNED, BENT)
    )
    assert np.array_equal(straight[1], nothing[1])
    assert turned[3][0].agreement.iou < straight[3][0].agreement.iou - 0.01
    assert not np.array_equal(rows[1], straight[1])


def test_what_shapes_mattes_is_told():
    same = stereo_parameters(config(consistency_mode="joint"), None)
    assert same == stereo_parameters(config(consistency_mode="joint", warn_threshold=0.99), None)
    assert same == stereo_parameters(config(consistency_mode="joint"), STRAIGHT)
    others = [
        stereo_parameters(config(consistency_mode="master_slave"), None),
        stereo_parameters(config(consistency_mode="joint", correction_method="transfer"), None),
        stereo_parameters(config(consistency_mode="joint", correction_method="reprocess"), None),
        stereo_parameters(config(consistency_mode="joint", validation_threshold=0.5), None),
        stereo_parameters(config(consistency_mode="joint"), TURNED),
        stereo_parameters(config(consistency_mode="joint"), BENT),
    ]
    distinct = {repr(sorted(p.items(), key=str)) for p in [same, *others] if p}
    # One of the methods is what settings choose by themselves.
    assert len(distinct) >= len(others)


@pytest.mark.parametrize(
    "settings", [config(disparity=False), config(consistency_mode="independent")]
)
def test_mattes_that_stay_as_they_are_hang_on_nothing(settings):
    assert stereo_parameters(settings, TURNED) is None
