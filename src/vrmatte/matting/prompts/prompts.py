"""Prompts in a view's images, from people's boxes on the sphere.

The prompts of a frame depend on that frame alone, never on earlier prompts, so an interrupted run
continues identically.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from vrmatte.frames import EYES, FloatArray
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import Projection
from vrmatte.masks.source import FollowsBack, Prompt, PromptPoint
from vrmatte.subjects import Person

LINGER_FRAMES = 8
"""Number of frames before their first and after their last box in which people may be present; the
scout resolves entries and exits to a tenth of a second."""
_OUTLINE_POINTS = 64
_LEAST_PX = 3.0
"""Smaller visible parts of a person are not prompted."""
_HIDDEN_SHARE = 0.5
"""No new prompt is given while this share of a person's box lies in that of somebody nearer."""

PictureBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ViewPrompts:
    """Knowledge about people in a view's next images."""

    seen: tuple[Prompt, ...]
    """Everybody visible in them; those not followed yet start with these prompts."""
    due: frozenset[int] = frozenset()
    """People whose prompts count although they are already followed."""
    kept: frozenset[int] = frozenset()
    """People present who belong in the matte."""
    excluded: frozenset[int] = frozenset()
    """People present who do not."""
    perhaps: tuple[Prompt, ...] = ()
    """People of the matte who are about to appear or have just left, with their possible places."""
    earlier: Mapping[int, FloatArray] = field(default_factory=dict[int, FloatArray])
    """Masks of people followed back to these images, shape (images, h, w)."""

    @property
    def coming(self) -> frozenset[int]:
        """People of the matte about to appear who were followed back to here."""
        return frozenset(prompt.person for prompt in self.perhaps) & self.earlier.keys()


@runtime_checkable
class PromptedEngine(Protocol):
    """An engine that takes prompts about people."""

    follows_back: FollowsBack | None
    """Mask source that follows people back in time; None: not supported."""

    def tell(self, view: str, told: ViewPrompts) -> None:
        """Pass prompts for the view's next images; used once, by the next `infer`."""
        ...


@dataclass(frozen=True, slots=True)
class Prompter:
    """Computes the prompts of each view in each frame."""

    people: Sequence[Person]
    """Everybody, kept or not."""
    interval: int = 30
    """Least number of frames between prompts for one person; 0: only on appearance."""
    _due: Mapping[int, frozenset[int]] = field(init=False, repr=False)
    _by_hand: Mapping[int, frozenset[int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        due = {
            person.id: frozenset(_spaced(person.frames, self.interval)) for person in self.people
        }
        by_hand = {person.id: frozenset(person.frames_by_hand) for person in self.people}
        object.__setattr__(self, "_due", due)
        object.__setattr__(self, "_by_hand", by_hand)

    def told(
        self, index: int, picture: Projection, earlier: Mapping[int, FloatArray] | None = None
    ) -> ViewPrompts:
        """Return the prompts of a view in frame `index`.

        Args:
            index: of the frame.
            picture: layout of the view's images.
            earlier: masks of people followed back to this frame.
        """
        seen: list[Prompt] = []
        perhaps: list[Prompt] = []
        due: set[int] = set()
        for person in self.people:
            first, last = person.boxes[0].frame, person.boxes[-1].frame
            if first <= index <= last:
                boxes = _boxes(person, index, picture)
                seen += boxes
                by_hand = index in self._by_hand[person.id]
                if by_hand or (index in self._due[person.id] and not self._hidden(person, index)):
                    due.add(person.id)
            elif person.keep and first - LINGER_FRAMES <= index <= last + LINGER_FRAMES:
                perhaps += _boxes(person, first if index < first else last, picture)
        # Excluded people count as present for a little longer than they are visible.
        there = [p for p in self.people if p.is_there(index)]
        return ViewPrompts(
            tuple(seen),
            frozenset(due),
            frozenset(p.id for p in there if p.keep),
            frozenset(p.id for p in there if not p.keep),
            tuple(perhaps),
            earlier or {},
        )

    def first_prompts(self, person: Person, picture: Projection) -> tuple[Prompt, ...]:
        """Return a person's prompts in the frame of their first detection."""
        return tuple(_boxes(person, person.boxes[0].frame, picture))

    def _hidden(self, person: Person, index: int) -> bool:
        """Return True if somebody nearer is in the way, in either eye."""
        own_shift = person.disparity_deg(index) or 0.0
        for other in self.people:
            if other is person or (other.disparity_deg(index) or 0.0) < own_shift:
                continue
            for eye in EYES:
                a, b = person.box_at(index, eye), other.box_at(index, eye)
                if a is not None and b is not None and a.flat_share_in(b) > _HIDDEN_SHARE:
                    return True
        return False


def _boxes(person: Person, index: int, picture: Projection) -> list[Prompt]:
    """Return a prompt for each picture that shows the person, with the points set by hand."""
    prompts: list[Prompt] = []
    for number, eye in enumerate(EYES):
        bounds = person.box_at(index, eye)
        box = None if bounds is None else box_in_picture(bounds, picture)
        points = tuple(
            PromptPoint(*at, point.is_person)
            for point in person.points
            if point.frame == index
            and point.eye == eye.value
            and (at := _place(point.yaw_deg, point.pitch_deg, picture)) is not None
        )
        if box is not None or points:
            prompts.append(Prompt(person.id, number, box, points))
    return prompts


def box_in_picture(bounds: AngularBox, picture: Projection) -> PictureBox | None:
    """Return the box in an image of a person with these bounds; None if hardly anything shows.

    People touch the middles of a box's sides and leave its corners free, so the ellipse inscribed
    in the bounds is projected, as boxes are detected from images.
    """
    turn = np.linspace(0, 2 * math.pi, _OUTLINE_POINTS, endpoint=False)
    yaw0, yaw1, pitch0, pitch1 = astuple(bounds)
    yaw = (yaw0 + yaw1) / 2 + (yaw1 - yaw0) / 2 * np.cos(turn)
    pitch = (pitch0 + pitch1) / 2 + (pitch1 - pitch0) / 2 * np.sin(turn)
    x, y = picture.pixels(*_directions(yaw, pitch))
    before = np.isfinite(x) & np.isfinite(y)
    if not before.any():
        return None
    x, y = x[before].clip(0, picture.width), y[before].clip(0, picture.height)
    box = float(x.min()), float(y.min()), float(x.max()), float(y.max())
    large = box[2] - box[0] >= _LEAST_PX and box[3] - box[1] >= _LEAST_PX
    return box if large else None


def _place(yaw_deg: float, pitch_deg: float, picture: Projection) -> tuple[float, float] | None:
    """Return the position of a direction in an image; None outside it."""
    x, y = picture.pixels(*_directions(np.array([yaw_deg]), np.array([pitch_deg])))
    return (float(x[0]), float(y[0])) if picture.covers(x, y)[0] else None


def _directions(
    yaw_deg: np.ndarray, pitch_deg: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    return np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)


def _spaced(frames: Sequence[int], interval: int) -> list[int]:
    """Keep the first of rising frames, and each that follows the last kept one by the interval."""
    taken: list[int] = []
    for frame in frames:
        if not taken or (interval > 0 and frame - taken[-1] >= interval):
            taken.append(frame)
    return taken
