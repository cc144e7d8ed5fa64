"""Whose pixel is this: the parts of a small matte shared out among people whose boxes are known.

Four things speak for a person: their box, their colours, where they were in the frame before (moved
along with their box), and their neighbours. Where people are apart, their boxes and the connected
parts of the matte decide alone; where they cross, memory and colour do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import EYES, Eye
from vrmatte.matting.base import FloatArray, State

Labels = npt.NDArray[np.int32]

NOBODY = -1
"""Label of what is too far from everybody's box."""

_MATTE_FROM = 13
"""Alpha from which a pixel belongs to somebody, of 255."""
_SOLID_FROM = 230
"""Alpha from which a pixel's colour is a person's own."""
_MARGIN_SHARE, _MARGIN_LEAST_PX = 0.12, 2.5
"""How far people may well reach out of their boxes, which often cut hair, hands and feet."""
_MAIN_SHARE = 0.25
"""A connected part is a person's only if it holds this much of all matte in their box."""

# Costs are logarithms of odds.
_FAR_COST, _NOBODY_COST, _STRANGER_COST = 8.0, 5.0, 4.0
_BOX_WEIGHT, _COLOUR_WEIGHT, _NEIGHBOUR_WEIGHT = 2.0, 1.0, 2.0
_FORGETTING = 0.2
"""How little the frame before binds; without it a mistake would stay for ever."""
_NEIGHBOURHOOD_PX, _ROUNDS = 1.5, 2
_LEAST_OCCUPIED = 0.15
_DISPARITY_PX = 0.4
_STRANGE = 0.03
_BINS = 8
_LEARNING, _LEAST_PIXELS = 0.1, 20
_RARE = 0.002
"""How often any colour may turn up on anybody."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a reduced eye, in its pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class Box:
    """Where a person is in a reduced eye, in its pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def grown(self, share: float, least_px: float) -> Box:
        """The box with a margin around it, a share of its size but at least so much."""
        across = max(least_px, share * (self.right - self.left))
        down = max(least_px, share * (self.bottom - self.top))
        return Box(self.left - across, self.right + across, self.top - down, self.bottom + down)

    def meets(self, other: Box) -> bool:
        """Whether the boxes overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def union(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            max(self.right, other.right),
            min(self.top, other.top),
            max(self.bottom, other.bottom),
        )

    def warp_to(self, other: Box) -> npt.NDArray[np.float64]:
        """Shape (2, 3): from pixel centres in this box to those at the same place in another."""
        scale_x = (other.right - other.left) / max(self.right - self.left, 1.0)
        scale_y = (other.bottom - other.top) / max(self.bottom - self.top, 1.0)
        return np.array(
            [
                [scale_x, 0, other.left - scale_x * self.left + (scale_x - 1) / 2],
                [0, scale_y, other.top - scale_y * self.top + (scale_y - 1) / 2],
            ]
        )


@dataclass(frozen=True, slots=True)
class Stander:
    """A person in one eye of a frame."""

    number: int
    box: Box
    before: Box
    """Where they were in the frame before; the same as now for who has just come."""
    disparity_px: float | None = None
    """How far the eyes' views of them are apart: more for whoever is nearer; None: not known."""


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """What is in a window of a reduced eye: alpha 0..255 and the colour bin of each pixel."""

    alpha: npt.NDArray[np.uint8]
    colours: npt.NDArray[np.int32]


def colour_bins(y: FloatArray, u: FloatArray, v: FloatArray) -> npt.NDArray[np.int32]:
    """Bin of each pixel from 8-bit code values; bins of U and V are fine about grey."""
    luma = np.clip(y * (_BINS / 256), 0, _BINS - 1).astype(np.int32)
    blue, red = (
        np.clip((plane - 128) / 10 + _BINS / 2, 0, _BINS - 1).astype(np.int32) for plane in (u, v)
    )
    return (luma * _BINS + blue) * _BINS + red


class PersonLabels:
    """Labels frame after frame, with a memory of where people were and what they wear."""

    def __init__(self, size_px: int) -> None:
        """Take the size of a reduced eye."""
        self._size_px = size_px
        self._shares: dict[Eye, dict[int, FloatArray]] = {eye: {} for eye in EYES}
        """How surely each pixel of an eye was a person's in the frame before, 0..1."""
        self._colours: dict[int, FloatArray] = {}
        """How often each colour was seen on a person, as shares of 1."""

    def state(self) -> dict[str, FloatArray]:
        """All that is remembered, by name."""
        arrays = {f"colours/{number}": seen for number, seen in self._colours.items()}
        for eye, shares in self._shares.items():
            arrays |= {f"shares/{eye.value}/{number}": share for number, share in shares.items()}
        return arrays

    def restore(self, state: State) -> None:
        """Go on from a saved state."""
        self.forget()
        for name, array in state.items():
            kind, *place, number = name.split("/")
            of = self._shares[Eye(place[0])] if kind == "shares" else self._colours
            of[int(number)] = array

    def forget(self, eye: Eye | None = None) -> None:
        """Drop where people were in one eye, or everything."""
        if eye is not None:
            self._shares[eye] = {}
            return
        self._shares = {eye: {} for eye in EYES}
        self._colours = {}

    def forget_absent(self, there: Iterable[int]) -> None:
        """Drop what is known of people who have gone."""
        gone = self._colours.keys() - set(there)
        for number in gone:
            del self._colours[number]

    def label(
        self, eye: Eye, standers: Sequence[Stander], window: Window, picture: SmallPicture
    ) -> Labels:
        """The number of the person, or NOBODY, at or nearest to each pixel of a window.

        Args:
            eye: whose window.
            standers: who may be seen in it.
            window: a rectangle of the reduced eye; what was known of the rest is forgotten.
            picture: what is in it.
        """
        seen = picture.alpha >= _MATTE_FROM
        if not seen.any():
            self.forget(eye)
            return np.full(seen.shape, NOBODY, np.int32)
        outside = np.stack([_outside(stander.box, window) for stander in standers])
        cost = np.minimum(_BOX_WEIGHT * outside * outside, _FAR_COST)
        nobody = np.full((1, *seen.shape), _NOBODY_COST, np.float32)
        cost = np.concatenate([cost, nobody]) + _strangers(outside == 0, seen)
        cost -= self._memory(eye, standers, window)
        cost -= _COLOUR_WEIGHT * self._colour_evidence(standers, picture.colours)
        shares = _with_neighbours(-cost, picture.alpha)
        self._learn(standers, outside == 0, shares, picture)
        best = _spread(np.argmax(shares, axis=0).astype(np.int32), seen)
        self.forget(eye)
        for at, stander in enumerate(standers):
            whole = np.zeros((self._size_px, self._size_px), np.float32)
            whole[window.slices] = shares[at] * seen
            self._shares[eye][stander.number] = whole
        return np.array([*(stander.number for stander in standers), NOBODY], np.int32)[best]

    def _memory(self, eye: Eye, standers: Sequence[Stander], window: Window) -> FloatArray:
        """Log of how likely each person is at each pixel, by the frame before."""
        moved = np.zeros((len(standers) + 1, window.height, window.width), np.float32)
        size = window.width, window.height
        for at, stander in enumerate(standers):
            share = self._shares[eye].get(stander.number)
            if share is not None:
                warp = stander.box.warp_to(stander.before)
                warp[:, 2] += warp[:, :2] @ (window.left, window.top)
                flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                moved[at] = cv2.warpAffine(share, warp, size, flags=flags)
        prior = moved.copy()
        for behind, stander in enumerate(standers):
            for before, other in enumerate(standers):
                if behind != before:
                    hidden = np.float32(_nearer(other, stander))
                    prior[behind] *= 1 - hidden * moved[before]
            prior[behind] += np.float32(_FORGETTING) * _occupied(stander.box, window)
        prior[-1] = np.float32(_FORGETTING)
        return np.log(prior / prior.sum(axis=0))

    def _colour_evidence(
        self, standers: Sequence[Stander], colours: npt.NDArray[np.int32]
    ) -> FloatArray:
        """Log-likelihood of each pixel's colour; whoever isn't known yet gets the others' mean."""
        result = np.full((len(standers) + 1, *colours.shape), math.log(_STRANGE), np.float32)
        for at, stander in enumerate(standers):
            seen = self._colours.get(stander.number)
            if seen is not None:
                result[at] = _log_likelihood(seen)[colours]
        return result

    def _learn(
        self,
        standers: Sequence[Stander],
        inside: npt.NDArray[np.bool_],
        shares: FloatArray,
        picture: SmallPicture,
    ) -> None:
        """Heed the colours of pixels that are surely one person's: in no other's box."""
        alone = (picture.alpha >= _SOLID_FROM) & (inside.sum(axis=0) == 1)
        for at, stander in enumerate(standers):
            sure = picture.colours[alone & inside[at] & (shares[at] > 0.9)]
            if sure.size >= _LEAST_PIXELS:
                counts = np.bincount(sure, minlength=_BINS**3).astype(np.float32) / sure.size
                old = self._colours.get(stander.number)
                new = counts if old is None else old + (counts - old) * np.float32(_LEARNING)
                self._colours[stander.number] = new.astype(np.float32)


def _outside(box: Box, window: Window) -> FloatArray:
    """How far each pixel lies outside a box, in margins; 0 inside."""
    columns = np.arange(window.left, window.right, dtype=np.float32) + 0.5
    rows = np.arange(window.top, window.bottom, dtype=np.float32) + 0.5

    def beyond(at: FloatArray, low: float, high: float) -> FloatArray:
        margin = max(_MARGIN_LEAST_PX, _MARGIN_SHARE * (high - low))
        return (np.maximum(np.maximum(low - at, at - high), 0) / margin).astype(np.float32)

    across = beyond(columns, box.left, box.right)
    down = beyond(rows, box.top, box.bottom)
    return np.hypot(across[None, :], down[:, None])


def _nearer(one: Stander, other: Stander) -> float:
    """How likely one person is nearer than another, 0..1."""
    if one.disparity_px is None or other.disparity_px is None:
        return 0.5
    return 1 / (1 + math.exp((other.disparity_px - one.disparity_px) / _DISPARITY_PX))


def _occupied(box: Box, window: Window) -> FloatArray:
    """How much of each column of a window a person in this box may fill, shape (columns)."""
    columns = np.arange(window.left, window.right, dtype=np.float32) + np.float32(0.5)
    half = max((box.right - box.left) / 2, 0.5)
    off = (columns - np.float32((box.left + box.right) / 2)) / np.float32(half)
    return np.maximum(1 - off * off, np.float32(_LEAST_OCCUPIED))


def _strangers(inside: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Cost, for each person and for nobody, of parts of the matte that are others'.

    A connected part belongs to those who have much of themselves in it; one that reaches a little
    into another's box doesn't become the other's. Parts of nobody in particular cost nothing.
    """
    count, parts = cv2.connectedComponents(seen.astype(np.uint8))
    costs = np.zeros((len(inside) + 1, count), np.float32)
    for person, box in enumerate(inside):
        held = np.bincount(parts[box & seen], minlength=count)
        costs[person] = (held > 0) & (held >= _MAIN_SHARE * held.sum())
    owned = costs.any(axis=0)
    owned[0] = False
    return (_STRANGER_COST * owned * (1 - costs))[:, parts].astype(np.float32)


def _with_neighbours(evidence: FloatArray, alpha: npt.NDArray[np.uint8]) -> FloatArray:
    """Shares that sum to 1, by evidence and by the shares of what is around (mean field)."""
    weight = alpha.astype(np.float32)
    around = cv2.GaussianBlur(weight, (0, 0), _NEIGHBOURHOOD_PX) + np.float32(1e-3)
    shares = _softmax(evidence)
    for _ in range(_ROUNDS):
        voices = np.stack(
            [cv2.GaussianBlur(share * weight, (0, 0), _NEIGHBOURHOOD_PX) for share in shares]
        )
        shares = _softmax(evidence + np.float32(_NEIGHBOUR_WEIGHT) * voices / around)
    return shares


def _softmax(evidence: FloatArray) -> FloatArray:
    powers = np.exp(evidence - evidence.max(axis=0))
    return powers / powers.sum(axis=0)


def _log_likelihood(frequencies: FloatArray) -> FloatArray:
    """Of each colour, from how often it was seen; colours next to each other help each other."""
    cube = frequencies.reshape(_BINS, _BINS, _BINS)
    for axis in range(3):
        padded = np.pad(cube, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (
            np.take(padded, range(start, start + _BINS), axis=axis) for start in (0, 2)
        )
        cube = cube / 2 + (before + after) / 4
    return np.log(cube.reshape(-1) + np.float32(_RARE)).astype(np.float32)


def _spread(best: Labels, seen: npt.NDArray[np.bool_]) -> Labels:
    """Each pixel that isn't seen takes the label of the nearest that is."""
    _, nearest = cv2.distanceTransformWithLabels(
        np.logical_not(seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the seen pixels in an order of its own, from 1.
    of_number = np.empty(int(nearest.max()) + 1, np.int32)
    of_number[nearest[seen]] = best[seen]
    return of_number[nearest]
