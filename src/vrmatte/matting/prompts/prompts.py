"""People's boxes on the sphere as prompts in a view's pictures.

What is said of a frame hangs on that frame alone, never on what was said before, so a run that was
interrupted goes on as it would have.
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
"""How long before their first and after their last box people may be there; a scout tells their
coming and going to a tenth of a second."""
_OUTLINE_POINTS = 64
_LEAST_PX = 3.0
"""Less than this of somebody in a picture is not pointed at."""
_HIDDEN_SHARE = 0.5
"""Nobody is pointed at anew while so much of their box lies in that of somebody nearer."""

PictureBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ViewPrompts:
    """What is known of people in a view's next pictures."""

    seen: tuple[Prompt, ...]
    """Everybody seen in them; who isn't followed yet is pointed at by these."""
    due: frozenset[int] = frozenset()
    """Whose prompts count although they are followed."""
    kept: frozenset[int] = frozenset()
    """Who is there and belongs in the matte."""
    excluded: frozenset[int] = frozenset()
    """Who is there and doesn't."""
    perhaps: tuple[Prompt, ...] = ()
    """Who belongs in the matte and is about to come or has just gone: where they may be."""
    earlier: Mapping[int, FloatArray] = field(default_factory=dict[int, FloatArray])
    """Masks of people who weren't seen yet and were followed back here, shape (pictures, h, w)."""

    @property
    def coming(self) -> frozenset[int]:
        """Who belongs in the matte, is about to come, and was followed back here."""
        return frozenset(prompt.person for prompt in self.perhaps) & self.earlier.keys()


@runtime_checkable
class PromptedEngine(Protocol):
    """An engine that is told where people are."""

    follows_back: FollowsBack | None
    """What it follows people back in time with; None: it can't."""

    def tell(self, view: str, told: ViewPrompts) -> None:
        """What is known of the view's next pictures; heeded by the next `infer`, once."""
        ...


@dataclass(frozen=True, slots=True)
class Prompter:
    """Knows what to say of people in each view of each frame."""

    people: Sequence[Person]
    """Everybody, kept or not."""
    interval: int = 30
    """People are pointed at anew after so many frames at least; 0: only when they appear."""
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
        """What is known of a view of frame `index`, whose pictures are laid out so.

        Args:
            index: of the frame.
            picture: how the view's pictures are laid out.
            earlier: masks of those who were followed back to this frame.
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
        # Excluded people count as there for a little longer than they are seen.
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
        """What somebody is pointed at by in the frame they are first seen in."""
        return tuple(_boxes(person, person.boxes[0].frame, picture))

    def _hidden(self, person: Person, index: int) -> bool:
        """Whether somebody nearer is in the way, in either eye."""
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
    """The box in a picture of a person with these bounds; None where hardly anything shows.

    People touch the middles of a box's sides and leave its corners free, so the oval inscribed in
    the bounds is followed, as boxes are made from pictures.
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
    """Where a direction lies in a picture; None outside it."""
    x, y = picture.pixels(*_directions(np.array([yaw_deg]), np.array([pitch_deg])))
    return (float(x[0]), float(y[0])) if picture.covers(x, y)[0] else None


def _directions(
    yaw_deg: np.ndarray, pitch_deg: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    return np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)


def _spaced(frames: Sequence[int], interval: int) -> list[int]:
    """Of rising frames the first, and each that comes so long after the last one taken."""
    taken: list[int] = []
    for frame in frames:
        if not taken or (interval > 0 and frame - taken[-1] >= interval):
            taken.append(frame)
    return taken
