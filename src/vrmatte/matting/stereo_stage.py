"""Stereo agreement as settings ask for it: which eyes, which rules, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from vrmatte.config import Config
from vrmatte.geometry.person_boxes import PersonBoxes
from vrmatte.geometry.projection import EyeProjection
from vrmatte.matting.agreeing import AgreeingMatting, Timed
from vrmatte.matting.base import FrameMatting
from vrmatte.stereo.agreement import AgreementRules, Finding, StereoAgreement
from vrmatte.stereo.lenses import LensAlignment
from vrmatte.stereo.rectify import Rectifier

STEREO_VERSION = 3
"""Raised whenever the same mattes would be made to agree in another way."""


def rules_of(config: Config) -> AgreementRules | None:
    """What is asked of the eyes; None: they are not compared."""
    if not config.matting.use_disparity_mapping:
        return None
    stereo = config.stereo
    return AgreementRules(
        mode=stereo.mode,
        method=stereo.correction_method,
        warn_below=max(stereo.warn_threshold, stereo.validation_threshold),
        correct_below=stereo.validation_threshold,
    )


def stereo_parameters(config: Config, lenses: LensAlignment | None) -> Mapping[str, object] | None:
    """What shapes mattes in all this, as plain values; None where they stay as they were."""
    rules = rules_of(config)
    if rules is None or rules.mode == "independent":
        return None
    return {
        "version": STEREO_VERSION,
        "mode": rules.mode,
        "method": rules.method,
        "correct_below": rules.correct_below,
        "right_eye": list(lenses.rotation) if lenses and lenses.needs_correction else None,
        "rows_agree": lenses is None or lenses.rows_agree,
    }


def with_agreement(
    matting: FrameMatting,
    config: Config,
    eye: EyeProjection,
    people: Sequence[PersonBoxes],
    lenses: LensAlignment | None,
    tell: Callable[[Finding], None],
    timed: Timed = nullcontext,
) -> FrameMatting:
    """The matting with its eyes compared, where settings ask for it."""
    rules = rules_of(config)
    if rules is None:
        return matting
    rotation = lenses.rotation if lenses and lenses.needs_correction else None
    stereo = StereoAgreement(
        Rectifier(eye, rotation),
        people,
        rules,
        rows_agree=lenses is None or lenses.rows_agree,
    )
    return AgreeingMatting(matting, stereo, tell, timed)
