"""The people, shots, excluded regions, viewports and lens alignment of a video."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np

from vrmatte.frames import Eye
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import Rotation, ViewportPath, rotation_of

VERSION = 1
LINGER_SECONDS = 0.25
"""Excluded people count as present this long before their first and after their last box: the scout
times their coming and going to a tenth of a second, and misses the first and last bit of them."""
_BOXES_FOR_DISPARITY = 5


PersonKind = Literal["person", "viewer_body"]


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """The video that a document belongs to."""

    fingerprint: str
    """Of the content, as computed by `media.scan.fingerprint`."""
    frames: int
    width: int
    height: int
    rate: Fraction
    """Average frames per second; the document itself counts in frames."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames first..last-1 between two cuts."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TimedBox:
    """The boxes of a person in one frame; None for an eye that doesn't see them."""

    frame: int
    left: AngularBox | None
    right: AngularBox | None
    score: float
    """Confidence of the detector, 0..1; 1 for boxes drawn by hand."""

    def eye(self, eye: Eye) -> AngularBox | None:
        """Return the box in one eye."""
        return self.left if eye is Eye.LEFT else self.right

    @property
    def boxes(self) -> list[AngularBox]:
        """The boxes of the eyes that see the person."""
        return [box for box in (self.left, self.right) if box is not None]


@dataclass(frozen=True, slots=True)
class TimedPoint:
    """A direction marked by hand as showing a person, or as not showing them."""

    frame: int
    eye: Literal["left", "right"]
    yaw_deg: float
    pitch_deg: float
    is_person: bool


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one shot, present in frames `first` to `last` - 1.

    Raises:
        ValueError: there are no boxes, or their frames don't rise.
    """

    id: int
    kind: PersonKind
    keep: bool
    """True if the person belongs in the matte."""
    confidence: float
    """Confidence that this is a person, 0..1."""
    boxes: tuple[TimedBox, ...]
    """In order of their frames; the person moves linearly between two boxes."""
    points: tuple[TimedPoint, ...] = ()
    """Prompts for engines that follow people."""
    lead_frames: int = 0
    """Frames before the first box in which the person counts as present too."""
    linger_frames: int = 0
    """The same after the last box."""

    def __post_init__(self) -> None:
        if not self.boxes or any(b.frame <= a.frame for a, b in pairwise(self.boxes)):
            raise ValueError(f"person {self.id} needs at least one box, and frames that rise")

    @property
    def first(self) -> int:
        """First frame in which the person is present."""
        return self.boxes[0].frame - self.lead_frames

    @property
    def last(self) -> int:
        """One past the last frame in which the person is present."""
        return self.boxes[-1].frame + 1 + self.linger_frames

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames of the boxes."""
        return tuple(box.frame for box in self.boxes)

    @property
    def frames_by_hand(self) -> tuple[int, ...]:
        """The frames with points, or with a box of score 1, in order."""
        drawn = {box.frame for box in self.boxes if box.score == 1}
        return tuple(sorted(drawn | {point.frame for point in self.points}))

    def is_there(self, frame: int) -> bool:
        """Return True if the person is present in a frame."""
        return self.first <= frame < self.last

    def widened(self, frames: int, first: int, last: int) -> Person:
        """Return the person as present `frames` earlier and later, within first..last-1."""
        lead = max(0, min(frames, self.boxes[0].frame - first))
        linger = max(0, min(frames, last - self.boxes[-1].frame - 1))
        return replace(self, lead_frames=lead, linger_frames=linger)

    def box_at(self, frame: int, eye: Eye) -> AngularBox | None:
        """Return the person's box in one eye, interpolated between the two nearest boxes.

        The person stands still before the first and after the last box of that eye.

        Returns:
            None where the person isn't present, and in an eye that never sees them.
        """
        if not self.is_there(frame):
            return None
        earlier, later = self._around(frame, eye)
        if earlier is None or later is None:
            nearest = earlier or later
            return None if nearest is None else nearest.eye(eye)
        return _between(earlier, later, frame, eye)

    def seen_box_at(self, frame: int, eye: Eye) -> AngularBox | None:
        """Return `box_at`, but None before the first and after the last box of that eye."""
        earlier, later = self._around(frame, eye)
        if earlier is None or later is None:
            return None
        return _between(earlier, later, frame, eye)

    def _around(self, frame: int, eye: Eye) -> tuple[TimedBox | None, TimedBox | None]:
        """Return the last box of an eye up to a frame, and the first from it on."""
        at = bisect_left(self.boxes, frame, key=lambda box: box.frame)
        later = next((b for b in self.boxes[at:] if b.eye(eye) is not None), None)
        if later is not None and later.frame == frame:
            return later, later
        earlier = next((b for b in reversed(self.boxes[:at]) if b.eye(eye) is not None), None)
        return earlier, later

    def score_at(self, frame: int) -> float:
        """Return the detector's confidence, 0..1: linear between boxes, constant beyond them."""
        return float(np.interp(frame, self.frames, [box.score for box in self.boxes]))

    def disparity_deg(self, frame: int) -> float | None:
        """Return how much further right the left eye sees the person: the nearer, the more.

        The mean over the few boxes nearest in time, since the error of a single box is nearly as
        large as the difference.

        Returns:
            None if no box shows the person in both eyes.
        """
        both = [
            (
                abs(timed.frame - frame),
                (a.yaw_min_deg + a.yaw_max_deg - b.yaw_min_deg - b.yaw_max_deg) / 2,
            )
            for timed in self.boxes
            if (a := timed.left) is not None and (b := timed.right) is not None
        ]
        nearest = sorted(both)[:_BOXES_FOR_DISPARITY]
        return sum(disparity for _, disparity in nearest) / len(nearest) if nearest else None


def _between(earlier: TimedBox, later: TimedBox, frame: int, eye: Eye) -> AngularBox:
    a, b = earlier.eye(eye), later.eye(eye)
    assert a is not None
    assert b is not None
    if earlier is later:
        return a
    share = (frame - earlier.frame) / (later.frame - earlier.frame)
    return AngularBox(
        *((1 - share) * x + share * y for x, y in zip(astuple(a), astuple(b), strict=True))
    )


@dataclass(frozen=True, slots=True)
class ExcludedRegion:
    """A box whose content leaves the matte of both eyes in frames first..last-1."""

    first: int
    last: int
    box: AngularBox

    def box_at(self, frame: int) -> AngularBox | None:
        """Return the box; None in frames where the region doesn't apply."""
        return self.box if self.first <= frame < self.last else None


@dataclass(frozen=True, slots=True)
class People:
    """The content of people.json."""

    source: SourceIdentity
    shots: tuple[Shot, ...]
    """All frames of the video, without gaps."""
    people: tuple[Person, ...]
    viewports: tuple[ViewportPath, ...]
    exclude_regions: tuple[ExcludedRegion, ...] = ()
    lenses: LensAlignment | None = None
    """Alignment of the right lens with the left; None: unknown, so rows are taken as they are."""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Subjects:
    """The people to matte, the viewports to matte them through, and what to exclude."""

    viewports: tuple[ViewportPath, ...] | None
    """None: whole eyes go into the network."""
    people: tuple[Person, ...] = ()
    """Everybody who was detected, kept or not."""
    regions: tuple[ExcludedRegion, ...] = ()
    lenses: LensAlignment | None = None
    """Alignment of the right lens with the left; None: unknown."""

    @classmethod
    def of(cls, document: People) -> Subjects:
        """Return the subjects of a document; excluded people linger for `LINGER_SECONDS`."""
        frames = round(LINGER_SECONDS * document.source.rate)
        people = tuple(
            person if person.keep else _lingering(person, document.shots, frames)
            for person in document.people
        )
        return cls(document.viewports, people, document.exclude_regions, document.lenses)

    @property
    def anything_leaves(self) -> bool:
        """True if any person or region is excluded."""
        return bool(self.regions) or not all(person.keep for person in self.people)


WHOLE_EYES = Subjects(None)


def _lingering(person: Person, shots: Sequence[Shot], frames: int) -> Person:
    starts = [shot.first for shot in shots if shot.first <= person.first]
    ends = [shot.last for shot in shots if shot.last >= person.last]
    return person.widened(frames, starts[-1], ends[0])


@dataclass(frozen=True, slots=True)
class LensAlignment:
    """Rotation of the right lens against the left, and whether rows match once it is undone."""

    roll_deg: float
    """Clockwise turn of the right lens about its axis."""
    pitch_deg: float
    """Angle by which the right lens points higher."""
    toe_in_deg: float
    """Angle by which the right lens points to the left; negative if the lenses diverge."""
    needs_correction: bool = True
    """True if rows are off by more than stereo matching tolerates, and the rotation fixes it."""
    rows_agree: bool = True
    """False if no rotation makes rows match, so that disparity along rows can't be trusted."""
    row_error_px: float = 0.0
    """Median row difference of matched points as recorded, with eyes of 1536 pixels."""
    corrected_row_error_px: float = 0.0
    """The same after the right eye is rotated."""
    matches: int = 0
    """Number of matched points; 0 if the values were entered by hand."""

    @property
    def rotation(self) -> Rotation:
        """Rotation of directions from the right eye's frame to the left eye's."""
        return rotation_of(-self.toe_in_deg, self.pitch_deg, self.roll_deg)
