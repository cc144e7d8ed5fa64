"""Labels of people: the parts of a small matte assigned to people with known boxes.

Four cues assign a pixel to a person: the box, the colours, the assignment in the frame before
(moved along with the box), and the assignment of the neighbours. Where people are apart, boxes and
connected parts of the matte decide alone; where they cross, memory and colours do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import EYES, Eye, FloatArray, Mask
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.matting.exclusion.clothing_colours import Bins, ClothingColours
from vrmatte.matting.exclusion.lonlat_grid import LonLatGrid
from vrmatte.matting.exclusion.person_in_eye import PersonInEye
from vrmatte.view_memory import State

Labels = npt.NDArray[np.int32]

NOBODY = -1
"""Label of pixels that are too far from all boxes."""

_MATTE_FROM = 13
"""Least alpha, of 255, of a pixel that belongs to somebody."""
_SOLID_FROM = 230
"""Least alpha of a pixel that shows the person's colour only."""
_MAIN_SHARE = 0.25
"""Least share of the matte in a person's box that a connected part of that person contains."""

# Costs are log odds.
_FAR_COST, _NOBODY_COST, _STRANGER_COST = 8.0, 5.0, 4.0
_BOX_WEIGHT, _COLOUR_WEIGHT, _NEIGHBOUR_WEIGHT = 2.0, 1.0, 2.0
_FORGETTING = 0.2
"""Weight of forgetting the frame before; without it a mistake would stay forever."""
_NEIGHBOURHOOD_PX, _ROUNDS = 1.5, 2
_SURE = 0.9
"""Least certainty of a pixel whose colour is learned."""


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """Content of a window of a reduced eye: alpha 0..255 and the colour bin of each pixel."""

    alpha: npt.NDArray[np.uint8]
    colours: Bins


class PersonLabels:
    """Labels successive frames, with a memory of the positions and colours of people."""

    def __init__(self, chart: LonLatGrid) -> None:
        """Take the grid of a reduced eye."""
        self._chart = chart
        self._shares: dict[Eye, dict[int, FloatArray]] = {eye: {} for eye in EYES}
        """Share of each pixel that was a person's in the frame before, 0..1, by eye and number."""
        self.colours = ClothingColours()

    def state(self) -> dict[str, FloatArray]:
        """Return the memory, by name."""
        arrays = {f"colours/{number}": seen for number, seen in self.colours.state().items()}
        for eye, shares in self._shares.items():
            arrays |= {f"{eye.value}/{number}": share for number, share in shares.items()}
        return arrays

    def restore(self, state: State) -> None:
        """Continue from a saved state."""

        def part(name: str) -> dict[str, FloatArray]:
            start = name + "/"
            return {n.removeprefix(start): a for n, a in state.items() if n.startswith(start)}

        self.colours.restore(part("colours"))
        for eye in EYES:
            self._shares[eye] = {int(number): a for number, a in part(eye.value).items()}

    def forget(self, eye: Eye) -> None:
        """Drop the memory of one eye."""
        self._shares[eye] = {}

    def label(
        self, eye: Eye, standers: Sequence[PersonInEye], window: PixelRect, picture: SmallPicture
    ) -> Labels:
        """Return the number of the person, or NOBODY, at or nearest to each pixel of a window.

        Args:
            eye: the eye.
            standers: people who may be visible in the window.
            window: a rectangle of the reduced eye; the memory of the rest is dropped.
            picture: its content.
        """
        seen = picture.alpha >= _MATTE_FROM
        if not seen.any():
            self.forget(eye)
            return np.full(seen.shape, NOBODY, np.int32)
        numbers = [stander.number for stander in standers]
        across, down = self._chart.places(window)
        outside = np.stack([stander.box.outside(across, down) for stander in standers])
        cost = _strangers(outside == 0, seen)
        cost[:-1] += np.minimum(_BOX_WEIGHT * outside * outside, _FAR_COST)
        cost[-1] += _NOBODY_COST
        likely = self._memory(eye, standers, window)
        # NOBODY has no known colours, like a person who was never seen alone.
        likely += _COLOUR_WEIGHT * self.colours.evidence([*numbers, NOBODY], picture.colours)
        shares = _with_neighbours(likely - cost, picture.alpha)
        self._learn(numbers, outside == 0, shares, picture)
        best = _spread(np.argmax(shares, axis=0).astype(np.int32), seen)
        self.forget(eye)
        for number, share in zip(numbers, shares, strict=False):
            whole = np.zeros(2 * (self._chart.size_px,), np.float32)
            whole[window.slices] = share * seen
            self._shares[eye][number] = whole
        return np.array([*numbers, NOBODY], np.int32)[best]

    def _memory(self, eye: Eye, standers: Sequence[PersonInEye], window: PixelRect) -> FloatArray:
        """Return the log prior of each person and of NOBODY at each pixel, from the frame before.

        Where the former pixels of two people move over each other, the nearer person hides the
        other.
        """
        moved = np.zeros((len(standers), window.height, window.width), np.float32)
        for at, stander in enumerate(standers):
            share = self._shares[eye].get(stander.number)
            if share is not None:
                moved[at] = self._chart.carried(share, stander.before, stander.box, window)
        across, _ = self._chart.places(window)
        prior = np.full((len(standers) + 1, *moved.shape[1:]), _FORGETTING, np.float32)
        for at, stander in enumerate(standers):
            visible = moved[at].copy()
            for other, hiding in zip(standers, moved, strict=True):
                if other is not stander:
                    visible *= 1 - np.float32(other.nearer_than(stander)) * hiding
            prior[at] = visible + np.float32(_FORGETTING) * stander.box.occupied(across)
        return np.log(prior / prior.sum(axis=0))

    def _learn(
        self,
        numbers: Sequence[int],
        inside: Mask,
        shares: FloatArray,
        picture: SmallPicture,
    ) -> None:
        """Learn the colours of pixels that certainly belong to one person: in no other box."""
        alone = (picture.alpha >= _SOLID_FROM) & (inside.sum(axis=0) == 1)
        for at, number in enumerate(numbers):
            sure = alone & inside[at] & (shares[at] > _SURE)
            self.colours.learn(number, picture.colours[sure])


def _strangers(inside: Mask, seen: Mask) -> FloatArray:
    """Return the cost, for each person and for NOBODY, of connected parts of other people.

    A part belongs to the people who have much of their matte in it. A part that only touches
    somebody's box does not become theirs. Parts that belong to no person cost nothing.
    """
    count, parts = cv2.connectedComponents(seen.astype(np.uint8))
    parts = np.asarray(parts, np.intp)
    owns = np.zeros((len(inside) + 1, count), np.bool_)
    for person, box in enumerate(inside):
        held = np.bincount(parts[box & seen], minlength=count)
        owns[person] = (held > 0) & (held >= _MAIN_SHARE * held.sum())
    strange = owns.any(axis=0) & ~owns
    return np.where(strange, np.float32(_STRANGER_COST), np.float32(0))[:, parts]


def _with_neighbours(evidence: FloatArray, alpha: npt.NDArray[np.uint8]) -> FloatArray:
    """Return shares that sum to 1, from the evidence and from the neighbours (mean field)."""
    weight = alpha.astype(np.float32)
    around = _blurred(weight) + np.float32(1e-3)
    shares = _softmax(evidence)
    for _ in range(_ROUNDS):
        voices = np.stack([_blurred(share * weight) for share in shares])
        voices *= np.float32(_NEIGHBOUR_WEIGHT) / around
        shares = _softmax(evidence + voices)
    return shares


def _blurred(values: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _NEIGHBOURHOOD_PX), np.float32)


def _softmax(evidence: FloatArray) -> FloatArray:
    powers = np.exp(evidence - evidence.max(axis=0))
    return powers / powers.sum(axis=0)


def _spread(best: Labels, seen: Mask) -> Labels:
    """Give each transparent pixel the label of the nearest pixel that is not transparent."""
    _, found = cv2.distanceTransformWithLabels(
        np.logical_not(seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(found, np.intp)
    # OpenCV numbers the seen pixels from 1, in an unspecified order.
    of_number = np.empty(int(nearest.max()) + 1, np.int32)
    of_number[nearest[seen]] = best[seen]
    return of_number[nearest]
