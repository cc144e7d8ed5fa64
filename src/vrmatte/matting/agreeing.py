"""Any matting, with both eyes made to agree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from vrmatte.frames import Matte, PlanarFrame
from vrmatte.matting.base import FloatArray, FrameMatting, State
from vrmatte.stereo.agreement import STATE_PREFIX, Finding, StereoAgreement

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
