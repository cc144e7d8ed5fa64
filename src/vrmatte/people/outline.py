"""Outlines of people over time as directions, and their size on the plane of a viewport."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from vrmatte.frames import EYES, DoubleArray
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import Viewport
from vrmatte.subjects import Person

_POINTS = 32
_ROUNDNESS = 0.5
"""Corners of a box are rounded like those of |x|^4 + |y|^4 = 1: nobody fills them, and they bulge
most far from the horizon."""
_STEPS = 6
_BEHIND = 0.05
"""Least forward component of directions that a perspective view can show."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """The outlines of people in some frames of a shot, both eyes together."""

    frames: DoubleArray
    """Rising frame numbers, shape (n,)."""
    boxes: tuple[AngularBox, ...]
    """Bounds of all people in both eyes, by frame."""
    directions: DoubleArray
    """Unit directions along the outlines, shape (n, points, 3); those of absent people repeat
others."""

    @property
    def middles(self) -> list[tuple[float, float]]:
        """Yaw and pitch of the centre of each box."""
        return [box.center for box in self.boxes]


@dataclass(frozen=True, slots=True)
class Fit:
    """The direction that centres a set of directions on the plane, and half their size there."""

    yaw_deg: float
    pitch_deg: float
    half_width: float
    """On the plane of `Viewport`, where a radian in the middle has length 1; inf: does not fit."""
    half_height: float


def outlines_of(people: Sequence[Person], first: int, last: int, step: int) -> Outlines:
    """Return the outlines in every `step`-th frame of first..last-1 that shows people."""
    begin = max(first, min(person.first for person in people))
    end = min(last, max(person.last for person in people))
    steady = [_steady(person) for person in people]
    frames: list[int] = []
    boxes: list[AngularBox] = []
    directions: list[DoubleArray] = []
    for frame in sorted({*range(begin + (-begin) % step, end, step), begin, end - 1}):
        here = [
            box
            for person in steady
            for eye in EYES
            if (box := person.seen_box_at(frame, eye)) is not None
        ]
        if not here:
            continue
        frames.append(frame)
        boxes.append(_union(here))
        filled = [here[i % len(here)] for i in range(len(EYES) * len(people))]
        directions.append(np.concatenate([_outline(box) for box in filled]))
    return Outlines(np.array(frames), tuple(boxes), np.stack(directions))


def fit(directions: DoubleArray, *, stereographic: bool = False) -> Fit:
    """Centre a view on directions, shape (..., 3), as projected onto its plane."""
    flat = directions.reshape(-1, 3)
    mean = flat.mean(axis=0)
    yaw = math.degrees(math.atan2(mean[0], mean[2]))
    pitch = -math.degrees(math.atan2(mean[1], math.hypot(mean[0], mean[2])))
    for _ in range(_STEPS):
        low, high = _bounds(flat, yaw, pitch, stereographic)
        if not np.isfinite(high).all():
            break
        middle = (low + high) / 2
        view = Viewport(yaw, pitch, 90, 90)
        towards = view.rotation() @ np.array([middle[0], middle[1], 1.0])
        yaw = math.degrees(math.atan2(towards[0], towards[2]))
        pitch = -math.degrees(math.atan2(towards[1], math.hypot(towards[0], towards[2])))
    yaw, pitch = round(yaw, 2), round(pitch, 2)
    low, high = _bounds(flat, yaw, pitch, stereographic)
    half = np.maximum(np.abs(low), np.abs(high))
    return Fit(yaw, pitch, float(half[0]), float(half[1]))


def _bounds(
    flat: DoubleArray, yaw: float, pitch: float, stereographic: bool
) -> tuple[DoubleArray, DoubleArray]:
    right, down, ahead = Viewport(yaw, pitch, 90, 90).rotation().T @ flat.T
    if stereographic:
        depth = (1 + ahead) / 2
    elif ahead.min() < _BEHIND:
        return np.full(2, -np.inf), np.full(2, np.inf)
    else:
        depth = ahead
    plane = np.stack([right / depth, down / depth])
    return plane.min(axis=1), plane.max(axis=1)


def _steady(person: Person) -> Person:
    """Return the person without outliers: sides that stick out once, and in one eye only.

    Each side of a box becomes the median of three successive boxes, plus the part of its deviation
    on which both eyes agree: a raised arm is raised in both.
    """
    sides = np.array([[_known_sides(box.eye(eye)) for eye in EYES] for box in person.boxes])
    usual = np.stack([_median_of_three(sides[:, number]) for number in range(len(EYES))], axis=1)
    off = np.nan_to_num(sides - usual)
    agreed = np.where(
        np.sign(off).min(axis=1) == np.sign(off).max(axis=1),
        np.sign(off[:, 0]) * np.abs(off).min(axis=1),
        0,
    )
    steady = usual + agreed[:, None]
    boxes = tuple(
        replace(box, left=_as_box(left), right=_as_box(right))
        for box, (left, right) in zip(person.boxes, steady, strict=True)
    )
    return replace(person, boxes=boxes)


def _median_of_three(sides: DoubleArray) -> DoubleArray:
    """Return the running median over known rows, shape (n, 4); the others stay NaN."""
    known = ~np.isnan(sides[:, 0])
    found = sides[known]
    if len(found) < 3:
        return sides
    padded = np.concatenate([found[1:2], found, found[-2:-1]])
    result = sides.copy()
    result[known] = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    return result


def _known_sides(box: AngularBox | None) -> tuple[float, ...]:
    return (math.nan,) * 4 if box is None else astuple(box)


def _as_box(sides: DoubleArray) -> AngularBox | None:
    if np.isnan(sides).any():
        return None
    yaw_min, yaw_max, pitch_min, pitch_max = sides.tolist()
    return AngularBox(yaw_min, max(yaw_min, yaw_max), pitch_min, max(pitch_min, pitch_max))


def _outline(box: AngularBox) -> DoubleArray:
    """Return unit directions along a box with rounded corners, shape (points, 3)."""
    turn = np.linspace(0, 2 * math.pi, _POINTS, endpoint=False)
    x, y = (np.sign(v) * np.abs(v) ** _ROUNDNESS for v in (np.cos(turn), np.sin(turn)))
    yaw = np.radians(box.center[0] + box.width_deg / 2 * x)
    pitch = np.radians(box.center[1] + box.height_deg / 2 * y)
    return np.stack(
        [np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1
    )


def _union(boxes: Sequence[AngularBox]) -> AngularBox:
    result = boxes[0]
    for box in boxes[1:]:
        result = result.union(box)
    return result
