"""Mattes on top of masks: the engine that knows who is who.

A mask source follows everybody who was pointed at. The masks of those who belong in the matte make
a trimap, a refiner makes a soft edge of it. Whom the matte leaves out is followed too, so that what
is theirs is taken from neighbours whose masks reach over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vrmatte.frames import DoubleArray, FloatArray, Mask
from vrmatte.masks.source import FollowsBack, MaskSource, Prompt
from vrmatte.matting.base import Coefficients
from vrmatte.matting.edges.refiners import Refiner
from vrmatte.matting.edges.trimap import Trimap, distance_to, trimap_of
from vrmatte.matting.prompts.prompts import ViewPrompts
from vrmatte.view_memory import State

MASKED_VERSION = 2
"""Raised whenever the same pictures, prompts and networks would give another matte."""
_SOURCE, _REFINER, _KNOWN, _BEFORE = "mask/", "matte/", "known/", "before/"


class MaskedEngine:
    """Mattes of people that were pointed at."""

    name = "sam2"
    settling_frames = 0
    """A refiner that needs it settles by itself; a mask is as good at once."""

    def __init__(self, source: MaskSource, refiner: Refiner) -> None:
        """Take who follows people, and who makes the edge."""
        self.provider = f"{source.name}: {source.provider}; {refiner.name}: {refiner.provider}"
        self.follows_back = source if isinstance(source, FollowsBack) else None
        self._source = source
        self._refiner = refiner
        self._told: dict[str, ViewPrompts] = {}
        self._known: dict[str, frozenset[int]] = {}
        """Who was ever pointed at in a view."""
        self._before: dict[str, FloatArray] = {}
        """The masks of those kept, of a view's pictures before these."""

    def tell(self, view: str, told: ViewPrompts) -> None:
        """What is known of the view's next pictures."""
        self._told[view] = told

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        """Coefficients of a view's next pictures.

        Where nothing was told of them, there is no telling who is who: the refiner's own matte.

        Raises:
            ValueError: number or size of the view's pictures changed.
        """
        told = self._told.pop(view, None)
        if told is None:
            return self._refiner.refine(view, pictures, None, None)
        known = self._known.get(view, frozenset())
        prompts = [p for p in told.seen if p.person in told.due or p.person not in known]
        self._known[view] = known | {prompt.person for prompt in prompts}
        followed = self._source.masks(view, pictures, prompts) if self._known[view] else {}
        found = {**followed, **told.earlier}
        shape = len(pictures), *pictures.shape[2:]
        kept = _most(found, told.kept | told.coming, shape)
        excluded = _most(found, told.excluded, shape)
        kept = np.where(excluded > kept, np.float32(0), kept)
        before = self._before.get(view)
        perhaps = _unfollowed(told, found, shape) | _lost(told, found, shape)
        trimaps = [
            _without(
                _open_where(trimap_of(mask, None if before is None else before[at]), perhaps[at]),
                excluded[at],
            )
            for at, mask in enumerate(kept)
        ]
        self._before[view] = kept
        return self._refiner.refine(view, pictures, trimaps, kept)

    def remembers(self, view: str) -> bool:
        """Whether anything is known of a view."""
        return view in self._known or self._refiner.remembers(view)

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Turn what follows and what mattes; how far masks moved can't be told over a turn."""
        self._source.turn(view, pixel_map)
        self._refiner.turn(view, pixel_map)
        self._before.pop(view, None)

    def forget(self, view: str) -> None:
        """Drop a view's memory."""
        self._source.forget(view)
        self._refiner.forget(view)
        for kept in (self._told, self._known, self._before):
            kept.pop(view, None)

    def state(self) -> dict[str, FloatArray]:
        """The source's state, the refiner's, and who is known, each under its own beginning."""
        state = {_SOURCE + name: array for name, array in self._source.state().items()}
        state |= {_REFINER + name: array for name, array in self._refiner.state().items()}
        for view, people in self._known.items():
            state[_KNOWN + view] = np.array(sorted(people), np.float32)
        return state | {_BEFORE + view: masks for view, masks in self._before.items()}

    def restore(self, state: State) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it is not a state of this engine.
        """
        beginnings = (_SOURCE, _REFINER, _KNOWN, _BEFORE)
        strange = sorted(name for name in state if not name.startswith(beginnings))
        if strange:
            raise ValueError(f"not a state of this engine: it holds {strange}")
        self._source.restore(_part(state, _SOURCE))
        self._refiner.restore(_part(state, _REFINER))
        self._known = {
            view: frozenset(people.astype(int).tolist())
            for view, people in _part(state, _KNOWN).items()
        }
        self._before = _part(state, _BEFORE)
        self._told = {}

    def reset(self) -> None:
        """Forget all views."""
        self.restore({})


def _part(state: State, beginning: str) -> dict[str, FloatArray]:
    return {n.removeprefix(beginning): a for n, a in state.items() if n.startswith(beginning)}


def _most(
    found: Mapping[int, FloatArray], people: frozenset[int], shape: tuple[int, ...]
) -> FloatArray:
    """How surely a pixel shows any of these people."""
    result = np.zeros(shape, np.float32)
    for person in sorted(people & found.keys()):
        result = np.maximum(result, found[person])
    return result


def _places(
    prompts: Sequence[Prompt], found: Mapping[int, FloatArray], shape: tuple[int, ...]
) -> Mask:
    """Where people may be: by their mask, else by their box."""
    result = np.zeros(shape, np.bool_)
    for prompt in prompts:
        at = prompt.picture
        if prompt.person in found:
            result[at] |= found[prompt.person][at] > np.float32(0.5)
        elif prompt.box_px is not None:
            left, top, right, bottom = (round(side) for side in prompt.box_px)
            result[at, top:bottom, left:right] = True
    return result


def _unfollowed(told: ViewPrompts, found: Mapping[int, FloatArray], shape: tuple[int, ...]) -> Mask:
    """Where those may be who are about to come and weren't followed back, or have just gone."""
    return _places([p for p in told.perhaps if p.person not in told.coming], found, shape)


def _lost(told: ViewPrompts, found: Mapping[int, FloatArray], shape: tuple[int, ...]) -> Mask:
    """The boxes of kept people who should be seen, and whom the source doesn't see all the same."""
    result = np.zeros(shape, np.bool_)
    expected = [p for p in told.seen if p.person in told.kept]
    for prompt in (*expected, *(p for p in told.perhaps if p.person in told.coming)):
        masks = found.get(prompt.person)
        if masks is None or not (masks[prompt.picture] > np.float32(0.5)).any():
            result |= _places((prompt,), {}, shape)
    return result


def _open_where(trimap: Trimap, perhaps: Mask) -> Trimap:
    """Nothing is sure where somebody may be."""
    if not perhaps.any():
        return trimap
    near = distance_to(perhaps) <= trimap.reach_px
    unsure = near & ~trimap.inside
    depth = np.where(unsure, np.maximum(trimap.depth_px, 0), trimap.depth_px)
    return replace(trimap, outside=trimap.outside & ~near, depth_px=depth)


def _without(trimap: Trimap, excluded: FloatArray) -> Trimap:
    """Who is left out is outside, and so is what is nearer to them than to anybody kept."""
    theirs = excluded > np.float32(0.5)
    if not theirs.any():
        return trimap
    gone = theirs | (distance_to(theirs) < -trimap.depth_px)
    return replace(trimap, inside=trimap.inside & ~gone, outside=trimap.outside | gone)
