"""A mask source without weights: bright regions near a prompt are people. For trials and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vrmatte.frames import FloatArray
from vrmatte.masks.sam2_weights import MaskWeights
from vrmatte.masks.source import Prompt

BRIGHT_MASKS = MaskWeights("brightness", "", "", "Apache-2.0", verified=True)

_LEAST_MEAN = 0.5
_REACH_PX = 6


class BrightMasks:
    """Masks of bright pixels in and near the box of each person in the image before.

    It knows only prompted people, and its memory is all it goes by, so that runs which prompt
    nobody or lose the memory give other masks.
    """

    name = "brightness"
    provider = "NumPy on the CPU"

    def __init__(self, reach_px: int = _REACH_PX) -> None:
        """Start without memory; people move by `reach_px` at most from one image to the next."""
        self._reach_px = reach_px
        self._boxes: dict[str, FloatArray] = {}

    def masks(
        self, view: str, pictures: FloatArray, prompts: Sequence[Prompt]
    ) -> dict[int, FloatArray]:
        """Return masks of everybody prompted in a view, and move on to the next images."""
        for prompt in prompts:
            if prompt.box_px is not None:
                key = f"{view}/{prompt.person}"
                boxes = self._boxes.get(key, np.zeros((len(pictures), 4), np.float32)).copy()
                boxes[prompt.picture] = prompt.box_px
                self._boxes[key] = boxes
        found: dict[int, FloatArray] = {}
        for key in self._keys(view):
            masks, self._boxes[key] = _follow(self._boxes[key], pictures, self._reach_px)
            found[int(key.rpartition("/")[2])] = masks
        return found

    def before(
        self, frames: Sequence[FloatArray], prompts: Mapping[int, Sequence[Prompt]]
    ) -> list[dict[int, FloatArray]]:
        """Return masks of people before their first prompt."""
        back, later = BrightMasks(self._reach_px), set[int]()
        found: list[dict[int, FloatArray]] = [{} for _ in frames]
        for index in reversed(range(len(frames))):
            masks = back.masks("back", frames[index], prompts.get(index, ()))
            found[index] = {person: masks[person] for person in later}
            later |= {prompt.person for prompt in prompts.get(index, ())}
        return found

    def remembers(self, view: str) -> bool:
        """Report whether anybody was prompted in a view."""
        return bool(self._keys(view))

    def turn(self, view: str, pixel_map: npt.NDArray[np.float64]) -> None:
        """Move a view's boxes as its image moves."""
        for key in self._keys(view):
            moved: list[FloatArray] = []
            for columns in ((0, 1), (2, 3)):
                corners = np.ones((3, len(self._boxes[key])))
                corners[:2] = self._boxes[key][:, columns].T
                x, y, scale = pixel_map @ corners
                moved.append(np.stack([x / scale, y / scale]).astype(np.float32))
            self._boxes[key] = np.concatenate(moved).T

    def forget(self, view: str) -> None:
        """Drop a view's memory."""
        for key in self._keys(view):
            del self._boxes[key]

    def state(self) -> dict[str, FloatArray]:
        """Return the memory of all views."""
        return dict(self._boxes)

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from a saved state."""
        self._boxes = dict(state)

    def _keys(self, view: str) -> list[str]:
        return [key for key in self._boxes if key.rpartition("/")[0] == view]


def _follow(
    boxes: FloatArray, pictures: FloatArray, reach_px: int
) -> tuple[FloatArray, FloatArray]:
    """Return the masks in each image, and the boxes to look into in the next ones."""
    masks = np.zeros((len(pictures), *pictures.shape[2:]), np.float32)
    following = boxes.copy()
    for index, (left, top, right, bottom) in enumerate(boxes):
        if right <= left:
            continue
        near = np.zeros(pictures.shape[2:], bool)
        near[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1] = True
        shown = near & (pictures[index].mean(axis=0) > _LEAST_MEAN)
        masks[index] = shown
        if shown.any():
            ys, xs = np.nonzero(shown)
            following[index, :2] = xs.min() - reach_px, ys.min() - reach_px
            following[index, 2:] = xs.max() + reach_px, ys.max() + reach_px
    return masks, following
