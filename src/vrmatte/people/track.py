"""Tracking: detections in single frames are linked into one track per person.

Both eyes are linked together, so a person has the same id in both. A detection continues the track
whose predicted position, size and colours fit, so people who cross keep their ids.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import Eye, PlanarFrame, Plane, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import EyeProjection, Fisheye
from vrmatte.people.detect import StereoDetection

CONTINUES_FROM = 0.3
"""Least score that continues a track; starting one takes `detection.confidence_threshold`."""
LONGEST_GAP_SECONDS = 1.5
"""Longest time for which a person may be hidden without a new id."""
LEAST_SECONDS = 0.3
"""A person seen only once within this time is a false detection."""

_LEAST_LIKENESS = 0.3
_MOST_WAYS = 256
"""Most assignments of a frame's people that are explored at the same time."""
_BINS = 4
_MOST_TURN_DEG = 40.0
"""Largest angle by which a prediction moves a box."""

Colours = npt.NDArray[np.float32]
"""Histogram of brightness and colour that sums to 1, shape (_BINS ** 3,)."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A person detected in a frame, and the colours they wear."""

    detection: StereoDetection
    colours: Colours

    @property
    def box(self) -> AngularBox:
        """The approximate box in an eye halfway between both."""
        left, right = self.detection.left, self.detection.right
        boxes = [eye.box for eye in (left, right) if eye is not None]
        sums = [sum(side) / len(boxes) for side in zip(*map(astuple, boxes), strict=True)]
        return AngularBox(*sums)


@dataclass(frozen=True, slots=True)
class Sample:
    """All people detected in one frame."""

    frame: int
    seconds: float
    sightings: tuple[Sighting, ...]


@dataclass(slots=True)
class Track:
    """All sightings of one person in a shot, in order of time."""

    frames: list[int] = field(default_factory=list[int])
    seconds: list[float] = field(default_factory=list[float])
    sightings: list[Sighting] = field(default_factory=list[Sighting])
    speed: tuple[float, float] = (0.0, 0.0)
    """Recent yaw and pitch per second."""

    def add(self, frame: int, seconds: float, sighting: Sighting) -> None:
        """Extend the track by a sighting, after its last frame or before its first."""
        if self.frames and frame < self.frames[0]:
            at = 0
        else:
            at = len(self.frames)
            self._heed_motion(seconds, sighting)
        self.frames.insert(at, frame)
        self.seconds.insert(at, seconds)
        self.sightings.insert(at, sighting)

    def expected(self, seconds: float) -> AngularBox:
        """Return the expected box, from detections before and after or from the motion so far."""
        after = bisect_left(self.seconds, seconds)
        if after == 0:
            return self.sightings[0].box
        box, passed = self.sightings[after - 1].box, seconds - self.seconds[after - 1]
        if after < len(self.seconds):
            share = passed / (self.seconds[after] - self.seconds[after - 1])
            sides = zip(astuple(box), astuple(self.sightings[after].box), strict=True)
            return AngularBox(*((1 - share) * a + share * b for a, b in sides))
        yaw, pitch = (
            max(-_MOST_TURN_DEG, min(_MOST_TURN_DEG, speed * passed)) for speed in self.speed
        )
        return AngularBox(
            box.yaw_min_deg + yaw,
            box.yaw_max_deg + yaw,
            box.pitch_min_deg + pitch,
            box.pitch_max_deg + pitch,
        )

    def likeness(self, sighting: Sighting, seconds: float) -> float:
        """Return the likeness to the person of the track, 0..1; 0 if it cannot be them."""
        here, there = self.expected(seconds), sighting.box
        away_seconds, nearest = min(
            (abs(time - seconds), number) for number, time in enumerate(self.seconds)
        )
        reach_deg = 0.6 * max(_extent(here), _extent(there)) + 12 * min(away_seconds, 1.0)
        near = 1 - _apart_deg(here, there) / reach_deg
        if near <= 0:
            return 0.0
        areas = sorted((here.area_deg2, there.area_deg2))
        size = areas[0] / areas[1] if areas[1] > 0 else 0.0
        colours = float(np.minimum(self.sightings[nearest].colours, sighting.colours).sum())
        return 0.3 * here.iou(there) + 0.25 * near + 0.2 * size + 0.25 * colours

    def supports(self, threshold: float) -> int:
        """Return the number of sightings with at least this score."""
        return sum(sighting.detection.score >= threshold for sighting in self.sightings)

    def _heed_motion(self, seconds: float, sighting: Sighting) -> None:
        if not self.frames:
            return
        passed = seconds - self.seconds[-1]
        before, after = self.sightings[-1].box.center, sighting.box.center
        new = [(b - a) / passed for a, b in zip(before, after, strict=True)]
        share = 1.0 if len(self.frames) == 1 else 0.6
        yaw, pitch = (share * n + (1 - share) * old for n, old in zip(new, self.speed, strict=True))
        self.speed = yaw, pitch


def colours_in(
    frame: PlanarFrame, detection: StereoDetection, projection: EyeProjection | None = None
) -> Colours:
    """Return the colours of a person's clothes: a histogram of the middle of the better eye's box.

    `projection` is that of an eye, at any size; None: half-equirectangular.
    """
    seen = max(
        (
            (eye.score, side.value, eye.box)
            for side, eye in ((Eye.LEFT, detection.left), (Eye.RIGHT, detection.right))
            if eye is not None
        ),
        key=lambda item: item[0],
    )
    _, side, box = seen
    yaw, pitch = box.center
    upper = pitch + 0.1 * box.height_deg
    middle = AngularBox(
        yaw - 0.25 * box.width_deg,
        yaw + 0.25 * box.width_deg,
        upper - 0.25 * box.height_deg,
        upper + 0.25 * box.height_deg,
    )
    shift = frame.layout.bit_depth - 8
    if isinstance(projection, Fisheye):
        middle = _as_equirect(middle, projection)
    counts = _histogram(
        [_cut_out(half_of(p, Eye(side)), middle) >> shift for p in (frame.y, frame.u, frame.v)]
    )
    return counts / max(float(counts.sum()), 1.0)


def link(samples: Iterable[Sample], begins_from: float) -> list[Track]:
    """Link the sightings in the frames of one shot into tracks, in order of appearance.

    Args:
        samples: in order of frames, with people of score `CONTINUES_FROM` or more.
        begins_from: least score that starts a track.
    """
    ended: list[Track] = []
    going: list[Track] = []
    for sample in samples:
        over = [t for t in going if sample.seconds - t.seconds[-1] > LONGEST_GAP_SECONDS]
        ended += over
        going = [track for track in going if track not in over]
        taken = _assign(going, sample)
        for number, sighting in enumerate(sample.sightings):
            if number in taken:
                going[taken[number]].add(sample.frame, sample.seconds, sighting)
        for number, sighting in enumerate(sample.sightings):
            if number not in taken and sighting.detection.score >= begins_from:
                track = Track()
                track.add(sample.frame, sample.seconds, sighting)
                going.append(track)
    return sorted(ended + going, key=lambda t: (t.frames[0], t.sightings[0].box.center[0]))


def real_people(tracks: Sequence[Track], begins_from: float, shot_seconds: float) -> list[Track]:
    """Return the tracks of real people: detected twice over some time, and not part of another.

    Args:
        tracks: of one shot.
        begins_from: least score that counts.
        shot_seconds: length of the shot; in a very short one a single detection is enough.
    """
    kept = [
        track
        for track in tracks
        if shot_seconds <= LEAST_SECONDS
        or (
            track.supports(begins_from) >= 2
            and track.seconds[-1] - track.seconds[0] > LEAST_SECONDS
        )
    ]
    return [
        track for track in kept if not any(_is_part(track, of) for of in kept if of is not track)
    ]


def _is_part(track: Track, of: Track) -> bool:
    """Return True if a track shows a part of another's person: inside it, and far smaller."""
    others = dict(zip(of.frames, of.sightings, strict=True))
    pairs = [
        (sighting.box, others[f].box)
        for f, sighting in zip(track.frames, track.sightings, strict=True)
        if f in others
    ]
    if len(pairs) < len(track.frames):
        return False
    return all(
        own.share_in(other) > 0.9 and own.area_deg2 < 0.3 * other.area_deg2 for own, other in pairs
    )


def _assign(tracks: Sequence[Track], sample: Sample) -> dict[int, int]:
    """Return the likeliest assignment of all detections of a frame: detection -> track."""
    # By set of assigned detections: the best sum of likenesses, and the assignment.
    best: dict[frozenset[int], tuple[float, dict[int, int]]] = {frozenset(): (0.0, {})}
    for row, track in enumerate(tracks):
        gains = [track.likeness(sighting, sample.seconds) for sighting in sample.sightings]
        grown = dict(best)
        for taken, (total, pairs) in best.items():
            for column, gain in enumerate(gains):
                if gain < _LEAST_LIKENESS or column in taken:
                    continue
                key = taken | {column}
                if key not in grown or total + gain > grown[key][0]:
                    grown[key] = total + gain, pairs | {column: row}
        likeliest = sorted(grown.items(), key=lambda item: -item[1][0])
        best = dict(likeliest[:_MOST_WAYS])
    return max(best.values(), key=lambda way: way[0])[1]


def _extent(box: AngularBox) -> float:
    """Return the larger apparent side, in degrees."""
    return max(box.width_deg * math.cos(math.radians(box.center[1])), box.height_deg)


def _apart_deg(a: AngularBox, b: AngularBox) -> float:
    """Return the angle between the centres of two boxes."""
    (yaw_a, pitch_a), (yaw_b, pitch_b) = ([math.radians(x) for x in c.center] for c in (a, b))
    cosine = math.sin(pitch_a) * math.sin(pitch_b) + math.cos(pitch_a) * math.cos(pitch_b) * (
        math.cos(yaw_a - yaw_b)
    )
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _as_equirect(box: AngularBox, eye: Fisheye) -> AngularBox:
    """Return the box that covers in a half-equirectangular eye the pixels of `box` in a fisheye."""
    yaw, pitch = np.radians(box.center)
    sides = np.radians([[box.yaw_min_deg, box.yaw_max_deg], [box.pitch_min_deg, box.pitch_max_deg]])
    lon, lat = np.array([*sides[0], yaw, yaw]), np.array([pitch, pitch, *sides[1]])
    x, y = eye.pixels(np.sin(lon) * np.cos(lat), -np.sin(lat), np.cos(lon) * np.cos(lat))
    across, down = (np.sort(at) * 180 / eye.size - 90 for at in (x, -y))
    return AngularBox(across[0], across[-1], down[0] + 180, down[-1] + 180)


def _cut_out(plane: Plane, box: AngularBox) -> npt.NDArray[np.int64]:
    """Return the pixels of a half-equirectangular plane in a box, at 16 x 16."""
    height, width = plane.shape
    left = int(width * (box.yaw_min_deg + 90) / 180)
    right = int(width * (box.yaw_max_deg + 90) / 180) + 1
    top = int(height * (90 - box.pitch_max_deg) / 180)
    bottom = int(height * (90 - box.pitch_min_deg) / 180) + 1
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    part = plane[top : max(bottom, top + 1), left : max(right, left + 1)]
    return np.asarray(cv2.resize(part, (16, 16), interpolation=cv2.INTER_AREA), np.int64)


def _histogram(planes: Sequence[npt.NDArray[np.int64]]) -> Colours:
    """Count colours: luma in even steps, chroma in finer ones near grey, where most colours are."""
    luma = np.clip((planes[0] - 16) * _BINS // 220, 0, _BINS - 1)
    edges = (116, 128, 140)
    blue, red = (np.digitize(plane, edges) for plane in planes[1:])
    index = (luma * _BINS + blue) * _BINS + red
    return np.bincount(index.ravel(), minlength=_BINS**3).astype(np.float32)
