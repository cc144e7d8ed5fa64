"""Who is in a video, in which shots, and through what they are seen."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import astuple, dataclass
from fractions import Fraction
from itertools import islice
from typing import Literal

from vrmatte.frames import Eye
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import Projection
from vrmatte.geometry.viewport import Rotation, Turned, ViewportPath, rotation_of

VERSION = 1


PersonKind = Literal["person", "viewer_body"]


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which video a document speaks of."""

    fingerprint: str
    """Of the content, as of `media.scan.fingerprint`."""
    frames: int
    width: int
    height: int
    rate: Fraction
    """Frames per second on average; for people, frame numbers count."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames first..last-1 between two cuts."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TimedBox:
    """Where a person is in one frame; None in an eye that doesn't see them."""

    frame: int
    left: AngularBox | None
    right: AngularBox | None
    score: float
    """How surely this is a person, 0..1; of boxes drawn by hand 1."""

    def eye(self, eye: Eye) -> AngularBox | None:
        """The box in one eye."""
        return self.left if eye is Eye.LEFT else self.right

    @property
    def boxes(self) -> list[AngularBox]:
        """The boxes there are."""
        return [box for box in (self.left, self.right) if box is not None]


@dataclass(frozen=True, slots=True)
class TimedPoint:
    """A place that shows a person, or doesn't, as somebody said by hand."""

    frame: int
    eye: Literal["left", "right"]
    yaw_deg: float
    pitch_deg: float
    is_person: bool


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one shot, from the frame of the first box to that of the last."""

    id: int
    kind: PersonKind
    keep: bool
    """Whether the person belongs in the matte."""
    confidence: float
    """How surely it is a person, 0..1."""
    boxes: tuple[TimedBox, ...]
    """Rising frames; between two of them the person moves evenly."""
    points: tuple[TimedPoint, ...] = ()
    """For engines that follow whom they are pointed at."""

    @property
    def first(self) -> int:
        """The first frame that shows the person."""
        return self.boxes[0].frame

    @property
    def last(self) -> int:
        """One past the last frame that shows the person."""
        return self.boxes[-1].frame + 1

    def box_at(self, frame: int, eye: Eye) -> AngularBox | None:
        """Where one eye sees the person in any frame; None while it doesn't."""
        if not self.first <= frame < self.last:
            return None
        at = bisect_left(self.boxes, frame, key=lambda box: box.frame)
        later = next((box for box in islice(self.boxes, at, None) if box.eye(eye)), None)
        if later is None:
            return None
        after = later.eye(eye)
        if later.frame == frame:
            return after
        before = next((i for i in range(at - 1, -1, -1) if self.boxes[i].eye(eye)), None)
        if before is None:
            return None
        earlier = self.boxes[before]
        share = (frame - earlier.frame) / (later.frame - earlier.frame)
        a, b = earlier.eye(eye), after
        assert a is not None
        assert b is not None
        return AngularBox(
            *((1 - share) * x + share * y for x, y in zip(astuple(a), astuple(b), strict=True))
        )


@dataclass(frozen=True, slots=True)
class ExcludedRegion:
    """What lies here in frames first..last-1 leaves the matte, in both eyes."""

    first: int
    last: int
    box: AngularBox


@dataclass(frozen=True, slots=True)
class People:
    """All that people.json holds."""

    source: SourceIdentity
    shots: tuple[Shot, ...]
    """All frames of the video, without gaps."""
    people: tuple[Person, ...]
    viewports: tuple[ViewportPath, ...]
    exclude_regions: tuple[ExcludedRegion, ...] = ()
    lenses: LensAlignment | None = None
    """How the right lens stands to the left; None: not known, so rows are taken as they are."""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class LensAlignment:
    """How the right lens is turned against the left, and whether rows agree."""

    roll_deg: float
    """The right lens turned clockwise about its own axis."""
    pitch_deg: float
    """The right lens looks higher by this."""
    toe_in_deg: float
    """The right lens looks to the left by this; negative where the eyes look apart."""
    needs_correction: bool = True
    """Rows are off by more than stereo matching bears, and the turn mends them."""
    rows_agree: bool = True
    """False: rows don't match whatever is done, and disparity along rows can't be trusted."""
    row_error_px: float = 0.0
    """Median distance of a point's rows in both eyes, as recorded, with eyes of 1536 pixels."""
    corrected_row_error_px: float = 0.0
    """The same once the right eye is turned back."""
    matches: int = 0
    """Points it was found from; 0: told by hand."""

    @property
    def rotation(self) -> Rotation:
        """From directions as the right eye sees them to the left eye's."""
        return rotation_of(-self.toe_in_deg, self.pitch_deg, self.roll_deg)

    def right_eye(self, projection: Projection) -> Projection:
        """The right eye's picture as seen from the left eye's frame; itself if that is as good."""
        return Turned(projection, self.rotation) if self.needs_correction else projection
