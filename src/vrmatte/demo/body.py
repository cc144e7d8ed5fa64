"""Anatomy and motion: the limbs of a waving person at a moment, and the relief of one limb.

Body coordinates are metres of a person 1.75 m tall: x to the viewer's right, `up` above the floor,
`out` towards the viewer. A limb is a bone with a radius that changes along it, seen from the front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vrmatte.demo.grain import Field

Point = tuple[float, float]
Material = Literal["skin", "shirt", "trousers", "shoes"]

HEIGHT_M = 1.75
"""Height of the body these coordinates describe."""


@dataclass(frozen=True, slots=True)
class Limb:
    """A rounded tube from `start` to `end`."""

    start: Point
    end: Point
    radii_m: tuple[float, ...]
    """Radius at evenly spaced places from start to end, smoothly joined."""
    out_m: float = 0.0
    """Distance of the bone towards the viewer."""
    depth_ratio: float = 1.0
    """Depth of the tube as a share of its width."""
    caps: tuple[float, float] = (1.0, 1.0)
    """Bulge of each end, as a share of the radius: 1 round, nearly 0 cut off."""


@dataclass(frozen=True, slots=True)
class Relief:
    """Front surface of a limb on a grid; all fields in metres and of the grid's shape."""

    inside: Field
    """Distance to the outline, positive inside."""
    height: Field
    """Distance of the surface towards the viewer."""
    along: Field
    across: Field
    """Position on the limb's skin, so that a texture moves with it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Limbs of one material that grow into each other."""

    material: Material
    limbs: tuple[Limb, ...]
    blend_m: float = 0.02
    """Width over which neighbouring limbs blend."""
    opening: Limb | None = None
    """Cut out of the cloth: the neckline."""


@dataclass(frozen=True, slots=True)
class Body:
    """All parts below the chin, ordered back to front, and the position of the head."""

    parts: tuple[Part, ...]
    head: Point
    """Centre of the head, half-way between chin and crown."""
    tilt: float
    """Roll of the head in radians, positive to the viewer's right."""


def relief_of(limb: Limb, x: Field, up: Field) -> Relief:
    """Return outline, surface and skin coordinates of a limb on a grid of body coordinates."""
    (start_x, start_up), (end_x, end_up) = limb.start, limb.end
    length = math.hypot(end_x - start_x, end_up - start_up)
    dir_x, dir_up = (end_x - start_x) / length, (end_up - start_up) / length
    along = (x - start_x) * dir_x + (up - start_up) * dir_up
    across = (x - start_x) * dir_up - (up - start_up) * dir_x
    on_bone = np.clip(along, 0, length)
    places, profile = _smooth_profile(limb.radii_m)
    radius = np.interp(on_bone, places * length, profile).astype(np.float32)
    cap = np.where(along < 0, np.float32(limb.caps[0]), np.float32(limb.caps[1]))
    distance = np.hypot(across, (along - on_bone) / cap)
    bulge = np.sqrt(np.maximum(radius**2 - distance**2, 0)) * np.float32(limb.depth_ratio)
    # Outside its outline a limb falls away, or it would show through a lower neighbour.
    height = np.float32(limb.out_m) + bulge - 3 * np.maximum(distance - radius, 0)
    return Relief(radius - distance, height, along, across)


def _smooth_profile(radii_m: tuple[float, ...]) -> tuple[Field, Field]:
    places = np.linspace(0, 1, 65, dtype=np.float32)
    profile = np.interp(places, np.linspace(0, 1, len(radii_m)), radii_m)
    smooth = np.convolve(np.pad(profile, 6, mode="edge"), np.hanning(15)[1:-1] / 7, "valid")
    return places, smooth.astype(np.float32)


def body_at(seconds: float) -> Body:
    """Return the body at a moment: weight shifts between the legs, one arm waves, one hangs."""
    sway = 0.018 * math.sin(1.9 * seconds)
    hips: Point = (sway, 0.9)
    chest: Point = (0.6 * sway, 1.40)
    wave = math.sin(2 * math.pi * 1.1 * seconds)
    raised = _arm((chest[0] + 0.175, 1.405), 0.95 + 0.06 * wave, 2.85 - 0.38 * wave, 0.09)
    swing = 0.05 * math.sin(2.3 * seconds)
    hanging = _arm((chest[0] - 0.175, 1.405), -0.20 + swing, -0.10 + 1.6 * swing, 0.012)
    legs = [limb for side in (-1, 1) for limb in _leg(hips, side)]
    shoes = tuple(
        Limb((s * 0.124, 0.085), (s * 0.140, 0.030), (0.040, 0.043, 0.049), 0.05, 1.0, (1, 0.6))
        for s in (-1, 1)
    )
    pelvis = Limb((hips[0] - 0.06, 0.90), (hips[0] + 0.06, 0.90), (0.105, 0.105), 0.0, 0.9)
    neck = Limb((1.1 * chest[0], 1.57), (chest[0], 1.41), (0.046, 0.046, 0.047, 0.052, 0.085), 0.02)
    neckline = Limb((chest[0], 1.52), (chest[0], 1.462), (0.055, 0.060))
    parts = (
        Part("shoes", shoes),
        Part("trousers", (pelvis, *legs), 0.03),
        Part("skin", hanging[0], 0.012),
        Part("skin", raised[0], 0.012),
        Part("skin", (neck,)),
        Part("shirt", (*_torso(hips, chest), *hanging[1], *raised[1]), 0.03, neckline),
    )
    return Body(parts, (1.2 * chest[0], 1.632), 0.05 * math.sin(1.9 * seconds + 0.7))


def _torso(hips: Point, chest: Point) -> tuple[Limb, ...]:
    widths = (0.163, 0.161, 0.151, 0.146, 0.150, 0.158, 0.165, 0.160, 0.150)
    trunk = Limb((hips[0], 0.875), (chest[0], 1.385), widths, 0.0, 0.62, (0.05, 0.4))
    shoulders = [
        Limb((chest[0] + s * 0.03, 1.445), (chest[0] + s * 0.16, 1.402), (0.045, 0.05, 0.055))
        for s in (-1, 1)
    ]
    return trunk, *shoulders


def _leg(hips: Point, side: int) -> tuple[Limb, ...]:
    hip = (hips[0] + side * 0.088, 0.87)
    knee = (0.5 * hips[0] + side * 0.108, 0.485)
    ankle = (side * 0.122, 0.085)
    return (
        Limb(hip, knee, (0.094, 0.090, 0.080, 0.068, 0.062), 0.0),
        Limb(knee, ankle, (0.062, 0.063, 0.059, 0.054, 0.057), 0.0, 1.0, (1, 0.1)),
    )


def _towards(start: Point, angle: float, length_m: float) -> Point:
    """Return the point `length_m` away, `angle` radians from straight down, positive right."""
    return start[0] + length_m * math.sin(angle), start[1] - length_m * math.cos(angle)


def _arm(
    shoulder: Point, upper_angle: float, lower_angle: float, spread: float
) -> tuple[tuple[Limb, ...], tuple[Limb, ...]]:
    """Return skin and sleeve of an arm whose fingers are `spread` radians apart."""
    elbow = _towards(shoulder, upper_angle, 0.29)
    wrist = _towards(elbow, lower_angle, 0.25)
    knuckles = _towards(wrist, lower_angle, 0.085)
    side = 1 if shoulder[0] > 0 else -1
    skin = [
        Limb(shoulder, elbow, (0.050, 0.046, 0.042, 0.038), 0.02),
        Limb(elbow, wrist, (0.039, 0.042, 0.037, 0.029, 0.025), 0.03),
        Limb(wrist, knuckles, (0.026, 0.034, 0.038), 0.04, 0.5, (1, 0.6)),
    ]
    for finger, length_m in zip((-1.5, -0.5, 0.5, 1.5), (0.062, 0.076, 0.080, 0.070), strict=True):
        angle = lower_angle + finger * spread
        across = finger * 0.0175
        root = (
            knuckles[0] + across * math.cos(lower_angle),
            knuckles[1] + across * math.sin(lower_angle),
        )
        tip = _towards(root, angle, length_m)
        skin.append(Limb(root, tip, (0.0095, 0.0085, 0.007), 0.045))
    thumb_angle = lower_angle - side * (0.55 if spread > 0.05 else 0.25)
    palm = _towards(wrist, lower_angle, 0.03)
    thumb_root = _towards(palm, lower_angle - side * math.pi / 2, 0.022)
    tip = _towards(thumb_root, thumb_angle, 0.062)
    skin.append(Limb(thumb_root, tip, (0.013, 0.011, 0.009), 0.05))
    cuff = _towards(shoulder, upper_angle, 0.175)
    sleeve = Limb(shoulder, cuff, (0.054, 0.060, 0.060, 0.060), 0.01, 1.0, (1, 0.08))
    return tuple(skin), (sleeve,)
