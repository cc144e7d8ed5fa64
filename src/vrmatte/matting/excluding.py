"""Any matting, without those who are excluded."""

from __future__ import annotations

from vrmatte.frames import Matte, PlanarFrame
from vrmatte.matting.base import FloatArray, FrameMatting, State
from vrmatte.matting.exclusion import STATE_PREFIX, Exclusion


class ExcludingMatting:
    """Mattes of another matting from which excluded people and regions are taken out."""

    def __init__(self, matting: FrameMatting, exclusion: Exclusion) -> None:
        """Take the matting that finds everybody, and who leaves."""
        self._matting = matting
        self._exclusion = exclusion

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of frame `index`, shape (H, W), without the excluded."""
        return self._exclusion.apply(index, frame, self._matting.matte(index, frame))

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """The same, found without the matting's memory."""
        return self._exclusion.apply(index, frame, self._matting.again(index, frame))

    def state(self) -> dict[str, FloatArray]:
        """Both memories."""
        return self._matting.state() | self._exclusion.state()

    def restore(self, state: State) -> None:
        """Give both their memories back."""
        own = {name: array for name, array in state.items() if name.startswith(STATE_PREFIX)}
        self._exclusion.restore(own)
        self._matting.restore({name: state[name] for name in state.keys() - own.keys()})
