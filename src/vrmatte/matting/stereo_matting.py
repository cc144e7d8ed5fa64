"""Stereo agreement as settings ask for it: which eyes, which rules, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from vrmatte.frames import FloatArray, Matte, PlanarFrame
from vrmatte.geometry.projection import EyeProjection
from vrmatte.matting.base import FrameMatting
from vrmatte.settings.config import Config
from vrmatte.stereo.agreement import STATE_PREFIX, AgreementRules, Finding, StereoAgreement
from vrmatte.stereo.rectify import Rectifier
from vrmatte.subjects import LensAlignment, Person
from vrmatte.view_memory import State

Timed = Callable[[], AbstractContextManager[None]]
"""Counts the time inside."""


class AgreeingMatting:
    """Mattes of another matting, compared between the eyes and mended."""

    def __init__(
        self,
        matting: FrameMatting,
        stereo: StereoAgreement,
        tell: Callable[[Finding], None],
        timed: Timed = nullcontext,
    ) -> None:
        """Take the matting, the judge, who is told what was found, and who counts the time."""
        self._timed = timed
        self._matting = matting
        self._stereo = stereo
        self._tell = tell

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of frame `index`, shape (H, W), in which the eyes agree."""
        matte = self._matting.matte(index, frame)
        with self._timed():
            return self._agreed(index, frame, matte)

    def _agreed(self, index: int, frame: PlanarFrame, matte: Matte) -> Matte:
        compared = self._stereo.compare(index, frame, matte)
        if compared is None:
            self._stereo.forget()
            return matte
        rules = self._stereo.rules
        if rules.method == "reprocess" and compared.worst() < rules.correct_below:
            fresh = self._matting.again(index, frame)
            recompared = self._stereo.compare(index, frame, fresh)
            if recompared is not None and recompared.worst() > compared.worst():
                matte, compared = fresh, recompared
        settled, findings = self._stereo.settle(matte, compared)
        for finding in findings:
            self._tell(finding)
        return settled

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of a frame as it is found without memory; nothing is mended."""
        return self._matting.again(index, frame)

    def state(self) -> dict[str, FloatArray]:
        """Both memories."""
        return self._matting.state() | self._stereo.state()

    def restore(self, state: State) -> None:
        """Give both their memories back."""
        own = {name: array for name, array in state.items() if name.startswith(STATE_PREFIX)}
        self._stereo.restore(own)
        self._matting.restore({name: state[name] for name in state.keys() - own.keys()})


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
    people: Sequence[Person],
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
