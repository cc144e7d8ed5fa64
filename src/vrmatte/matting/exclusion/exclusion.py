"""Removal of excluded people and regions from mattes, without damage to the people who are kept.

It works on reduced eyes, and only around excluded people. There each pixel is assigned to a person.
A gate, 1 for kept and 0 for excluded people, is upsampled to full size and multiplied with the
matte. Transparent pixels are assigned to the nearest person, so soft edges stay with their person,
and wherever people are apart the edge of the gate runs through transparent pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TypeVar, cast

import cv2
import numpy as np

from vrmatte.frames import EYES, Eye, FloatArray, Matte, PlanarFrame, Plane, half_of
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import EyeProjection
from vrmatte.matting.base import FrameMatting
from vrmatte.matting.exclusion.clothing_colours import colour_bins
from vrmatte.matting.exclusion.lonlat_grid import LonLatGrid, RegionGates
from vrmatte.matting.exclusion.person_in_eye import GridBox, PersonInEye
from vrmatte.matting.exclusion.person_labels import PersonLabels, SmallPicture
from vrmatte.subjects import ExcludedRegion, Person
from vrmatte.view_memory import State

_REDUCED_PX = 288
"""Approximate size of a reduced eye."""
_AROUND_SHARE, _AROUND_LEAST_DEG = 0.35, 8.0
"""Distance around an excluded person's box within which pixels can be assigned to them."""
_BLUR_PX = 0.7
"""Blur that removes the steps of the reduced gate, in its pixels."""
_STEEPER = np.clip((np.arange(256) - 127.5) * 4 + 127.5, 0, 255).round().astype(np.uint8)
"""Steepens the blurred edge after upsampling, to about two pixels of a 1024 px eye."""
STATE_PREFIX = "exclusion/"
_FRAME = STATE_PREFIX + "frame"

_PlaneT = TypeVar("_PlaneT", Plane, Matte)


class Exclusion:
    """Removes excluded people from the mattes of successive side-by-side frames."""

    def __init__(
        self, people: Sequence[Person], regions: Sequence[ExcludedRegion], eye: EyeProjection
    ) -> None:
        """Take all people, kept or excluded, the excluded regions, and the projection of an eye."""
        self._people = people
        self._regions = regions
        self._factor = max(1, round(eye.size / _REDUCED_PX))
        self._chart = LonLatGrid(eye, self._factor)
        self._labels = PersonLabels(self._chart)
        self._gates = RegionGates(eye)
        self._index: int | None = None

    def apply(self, index: int, frame: PlanarFrame, matte: Matte) -> Matte:
        """Return the matte of frame `index` of the video without excluded people.

        Frames come in order; where the order jumps, the memory is dropped.

        Args:
            index: frame number in the whole video.
            frame: side by side.
            matte: of that frame; it is not changed.

        Returns:
            The same matte if nothing is excluded in the frame, else a new one.
        """
        before = self._index
        if before is None or index not in (before, before + 1):
            self._labels.restore({})
            before = index
        self._labels.colours.forget_absent(
            n for n, p in enumerate(self._people) if p.is_there(index)
        )
        self._index = index
        result = matte
        for eye in EYES:
            standers = self._standers(index, before, eye)
            window = self._window(standers)
            regions = [at for region in self._regions if (at := region.box_at(index)) is not None]
            if (window or regions) and result is matte:
                result = matte.copy()
            half = half_of(result, eye)
            if window is None:
                self._labels.forget(eye)
            else:
                self._shut_people_out(eye, standers, window, frame.eye(eye), half)
            for bounds in regions:
                self._gates.shut(bounds, half)
        return result

    def state(self) -> dict[str, FloatArray]:
        """Return everything needed to continue exactly; empty before the first frame."""
        if self._index is None:
            return {}
        arrays = {STATE_PREFIX + name: array for name, array in self._labels.state().items()}
        # Whole numbers are exact in fp32 up to 2^24: six days of video.
        return arrays | {_FRAME: np.array([self._index], np.float32)}

    def restore(self, state: State) -> None:
        """Continue from a saved state; names without this class's prefix are ignored."""
        own = {name: array for name, array in state.items() if name.startswith(STATE_PREFIX)}
        frame = own.pop(_FRAME, None)
        self._index = None if frame is None else int(frame[0])
        self._labels.restore({name.removeprefix(STATE_PREFIX): own[name] for name in own})

    def _standers(self, index: int, before: int, eye: Eye) -> list[PersonInEye]:
        """Return the people in an eye, with boxes in pixels of the reduced eye."""
        standers: list[PersonInEye] = []
        for number, person in enumerate(self._people):
            bounds, earlier = person.box_at(index, eye), person.box_at(before, eye)
            if bounds is not None:
                box = self._chart.box(bounds)
                disparity = person.disparity_deg(index)
                standers.append(
                    PersonInEye(
                        number,
                        box,
                        self._chart.box(earlier) if earlier else box,
                        None if disparity is None else disparity * self._chart.px_per_deg,
                    )
                )
        return standers

    def _window(self, standers: Sequence[PersonInEye]) -> PixelRect | None:
        """Return the area around excluded people and people near them; None: nobody is excluded."""
        around = [
            s.box.grown(_AROUND_SHARE, _AROUND_LEAST_DEG * self._chart.px_per_deg)
            for s in standers
            if not self._people[s.number].keep
        ]
        if not around:
            return None
        whole = reduce(GridBox.union, around)
        # Nearby people as a whole; otherwise their colours would be learned from a hand alone.
        near = [s.box for s in standers if any(s.box.meets(box) for box in around)]
        return self._chart.window(reduce(GridBox.union, near, whole))

    def _shut_people_out(
        self,
        eye: Eye,
        standers: Sequence[PersonInEye],
        window: PixelRect,
        picture: PlanarFrame,
        matte: Matte,
    ) -> None:
        """Remove excluded people from the matte of one eye, in place."""
        size = GridBox(window.left, window.right, window.top, window.bottom)
        seen = [s for s in standers if self._chart.rectangle(s.box).meets(size)]
        small = self._reduced(window, picture, matte)
        labels = self._labels.label(eye, seen, window, small)
        out = [s.number for s in seen if not self._people[s.number].keep]
        shut = np.isin(labels, out)
        if not shut.any():
            return
        part = self._full_size(window, matte)
        soft = cv2.GaussianBlur(np.where(shut, np.uint8(0), np.uint8(255)), (0, 0), _BLUR_PX)
        size_px = window.width * self._factor, window.height * self._factor
        gate = cv2.LUT(cv2.resize(soft, size_px, interpolation=cv2.INTER_LINEAR), _STEEPER)
        cv2.multiply(part, gate[: part.shape[0], : part.shape[1]], dst=part, scale=1 / 255)

    def _reduced(self, window: PixelRect, picture: PlanarFrame, matte: Matte) -> SmallPicture:
        """Return alpha and colours in a window of the reduced eye."""
        shift_x, shift_y = picture.layout.chroma_shift_x, picture.layout.chroma_shift_y
        y, u, v = (
            self._shrunk(window, plane, *shifts).astype(np.float32)
            / np.float32(1 << (picture.layout.bit_depth - 8))
            for plane, shifts in (
                (picture.y, (0, 0)),
                (picture.u, (shift_x, shift_y)),
                (picture.v, (shift_x, shift_y)),
            )
        )
        return SmallPicture(self._shrunk(window, matte), colour_bins(y, u, v))

    def _shrunk(
        self, window: PixelRect, plane: _PlaneT, shift_x: int = 0, shift_y: int = 0
    ) -> _PlaneT:
        """Return a window of a plane at the reduced size."""
        part = self._full_size(window, plane, shift_x, shift_y)
        size = window.width, window.height
        missing = [
            (count * self._factor >> shift) - there
            for count, shift, there in zip(
                size, (shift_x, shift_y), reversed(part.shape), strict=True
            )
        ]
        if any(missing):
            right, bottom = missing
            part = cv2.copyMakeBorder(part, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        return cast(_PlaneT, cv2.resize(part, size, interpolation=cv2.INTER_AREA))

    def _full_size(
        self, window: PixelRect, plane: _PlaneT, shift_x: int = 0, shift_y: int = 0
    ) -> _PlaneT:
        """Return a window of a full-size plane, as a view."""
        top, bottom = (at * self._factor >> shift_y for at in (window.top, window.bottom))
        left, right = (at * self._factor >> shift_x for at in (window.left, window.right))
        return cast(_PlaneT, plane[top:bottom, left:right])


class ExcludingMatting:
    """A matting, with excluded people and regions removed from its mattes."""

    def __init__(self, matting: FrameMatting, exclusion: Exclusion) -> None:
        """Take a matting of all people, and the exclusion."""
        self._matting = matting
        self._exclusion = exclusion

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """Return the matte of frame `index`, shape (H, W), without excluded people."""
        return self._exclusion.apply(index, frame, self._matting.matte(index, frame))

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """Return the same, computed without the memory of the matting."""
        return self._exclusion.apply(index, frame, self._matting.again(index, frame))

    def state(self) -> dict[str, FloatArray]:
        """Return the states of the matting and of the exclusion."""
        return self._matting.state() | self._exclusion.state()

    def restore(self, state: State) -> None:
        """Continue both from a saved state."""
        own = {name: array for name, array in state.items() if name.startswith(STATE_PREFIX)}
        self._exclusion.restore(own)
        self._matting.restore({name: state[name] for name in state.keys() - own.keys()})
