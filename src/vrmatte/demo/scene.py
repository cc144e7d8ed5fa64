"""Stereo images of people in a room, with the exact alpha of each person.

Cameras: parallel, half-equirectangular, side by side. Each person is a flat card that faces the
cameras at a known depth ("billboard stereo"), so disparity and alpha are known, not estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.demo.body import HEIGHT_M
from vrmatte.demo.figure import FOOT_M, LEFT_M, RIGHT_M, TOP_M, Appearance, Card, draw_figure
from vrmatte.demo.grain import Field
from vrmatte.demo.room import Room, room_view
from vrmatte.errors import ConfigError
from vrmatte.geometry.projection import HalfEquirect

_FINER = 4
_CARD_DENSITY = 1.6
"""Card pixels for an eye pixel straight ahead."""


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """A person: position, motion and look."""

    x_m: float = 0.0
    """Position to the right of the middle between the eyes."""
    z_m: float = 1.0
    """Depth in front of the eyes."""
    height_m: float = HEIGHT_M
    x_speed_m_s: float = 0.0
    z_speed_m_s: float = 0.0
    look: Appearance = field(default_factory=Appearance)
    phase_seconds: float = 0.0
    """Time offset of the person's motion at the first frame."""
    first_frame: int = 0
    last_frame: int | None = None
    """The person is visible from `first_frame` to `last_frame`, inclusive; None: to the end."""

    def place(self, seconds: float) -> tuple[float, float]:
        """Return the position (x, z) in metres at a moment."""
        return self.x_m + self.x_speed_m_s * seconds, self.z_m + self.z_speed_m_s * seconds

    def is_there(self, frame_index: int) -> bool:
        """Return True if the person is visible in this frame."""
        return self.first_frame <= frame_index and (
            self.last_frame is None or frame_index <= self.last_frame
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """People, room and cameras."""

    people: tuple[DemoPerson, ...] = field(default_factory=lambda: (DemoPerson(),))
    room: Room = field(default_factory=Room)
    baseline_m: float = 0.064
    frame_rate: float = 30.0
    noise: float = 0.008
    """Standard deviation of the sensor noise, of 0..1."""
    seed: int = 0

    def eye_x_m(self) -> tuple[float, float]:
        """Return the x of the left and the right eye."""
        return -self.baseline_m / 2, self.baseline_m / 2


@dataclass(frozen=True, slots=True)
class StereoPicture:
    """One frame of both eyes (left first), and its ground truth."""

    rgb: npt.NDArray[np.uint8]
    """Shape (2, H, W, 3)."""
    alpha: Field
    """Union of all people, shape (2, H, W), 0..1: the alpha the frame was composited with."""
    person_alpha: Field
    """Alpha of each person alone, shape (people, 2, H, W); 1 - union = prod(1 - alpha)."""
    depth_m: tuple[float, ...]
    """Depth of each person in this frame."""
    foreground: Field
    """Colours of the people times `alpha`, before noise, shape (2, H, W, 3), 0..1."""

    def side_by_side(self) -> npt.NDArray[np.uint8]:
        """Return both eyes as one image, shape (H, 2 W, 3)."""
        return np.concatenate((self.rgb[0], self.rgb[1]), axis=1)

    def alpha_side_by_side(self) -> npt.NDArray[np.uint8]:
        """Return the union alpha of both eyes, shape (H, 2 W), 0..255."""
        return np.round(np.concatenate((self.alpha[0], self.alpha[1]), axis=1) * 255).astype(
            np.uint8
        )


def render_pair(scene: Scene, eye_px: int, frame_index: int) -> StereoPicture:
    """Render both eyes of one frame, `eye_px` square each.

    Raises:
        ConfigError: a person is nearer than 0.2 m in this frame.
    """
    seconds = frame_index / scene.frame_rate
    eyes = scene.eye_x_m()
    alphas = np.zeros((len(scene.people), 2, eye_px, eye_px), np.float32)
    pictures = [room_view(scene.room, eye_px, eye_x_m).copy() for eye_x_m in eyes]
    fronts = np.zeros((2, eye_px, eye_px, 3), np.float32)
    depths = tuple(person.place(seconds)[1] for person in scene.people)
    for number in sorted(range(len(depths)), key=lambda n: -depths[n]):
        person = scene.people[number]
        if not person.is_there(frame_index):
            continue
        if depths[number] < 0.2:
            raise ConfigError(
                f"demo person {number} is {depths[number]:.2f} m away in frame {frame_index}; "
                "people must stay at least 0.2 m away"
            )
        card = _card_of(person, eye_px, depths[number], seconds)
        for eye, eye_x_m in enumerate(eyes):
            layers = (pictures[eye], fronts[eye])
            _place(card, person, scene, seconds, eye_x_m, layers, alphas[number, eye])
    union = 1 - np.prod(1 - alphas, axis=0)
    noisy = [_with_noise(p, scene, frame_index, eye) for eye, p in enumerate(pictures)]
    return StereoPicture(np.stack(noisy), union.astype(np.float32), alphas, depths, fronts)


def _card_of(person: DemoPerson, eye_px: int, depth_m: float, seconds: float) -> Card:
    density = _CARD_DENSITY * eye_px / math.pi / depth_m * person.height_m / HEIGHT_M
    return draw_figure(person.look, seconds + person.phase_seconds, min(density, 1600))


def _place(
    card: Card,
    person: DemoPerson,
    scene: Scene,
    seconds: float,
    eye_x_m: float,
    pictures: tuple[Field, ...],
    alpha: Field,
) -> None:
    """Composite the card over images of one eye and into its alpha, within the card's box only."""
    x_m, z_m = person.place(seconds)
    scale = person.height_m / HEIGHT_M
    eye_px = alpha.shape[0]
    left, right = (x_m - eye_x_m + side * scale for side in (LEFT_M, RIGHT_M))
    low, high = (scene.room.floor_m - up * scale for up in (FOOT_M, TOP_M))
    columns, rows = _box(eye_px, left, right, high, low, z_m)
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return
    x, y = ((np.arange(s.start * _FINER, s.stop * _FINER) + 0.5) / _FINER for s in (columns, rows))
    dx, dy, dz = HalfEquirect(eye_px).directions(x[None], y[:, None])
    to_card = z_m / np.maximum(dz, 1e-6)
    body_x = (eye_x_m + dx * to_card - x_m) / scale
    body_up = (scene.room.floor_m - dy * to_card) / scale
    card_x, card_y = card.pixels(body_x.astype(np.float32), body_up.astype(np.float32))
    fine = cv2.remap(card.rgba, card_x - 0.5, card_y - 0.5, cv2.INTER_LINEAR)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    layer = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
    for picture in pictures:
        picture[rows, columns] = layer[..., :3] + (1 - layer[..., 3:]) * picture[rows, columns]
    alpha[rows, columns] = layer[..., 3]


def _box(
    eye_px: int, left: float, right: float, high: float, low: float, z_m: float
) -> tuple[slice, slice]:
    """Return the columns and rows an upright rectangle at depth z can touch, from the origin."""
    nearest = 0.0 if left < 0 < right else min(abs(left), abs(right))
    farthest = max(abs(left), abs(right))
    lons = (math.atan2(left, z_m), math.atan2(right, z_m))
    # A level edge bends towards the horizon with distance, so the bounds have different extremes.
    lats = (
        math.atan2(high, math.hypot(nearest if high < 0 else farthest, z_m)),
        math.atan2(low, math.hypot(nearest if low > 0 else farthest, z_m)),
    )
    edges = [(angle / math.pi + 0.5) * eye_px for angle in (*lons, *lats)]
    bounds = [min(max(v, 0), eye_px) for v in (math.floor(edges[0]) - 1, math.ceil(edges[1]) + 1)]
    levels = [min(max(v, 0), eye_px) for v in (math.floor(edges[2]) - 1, math.ceil(edges[3]) + 1)]
    return slice(*bounds), slice(*levels)


def _with_noise(picture: Field, scene: Scene, frame_index: int, eye: int) -> npt.NDArray[np.uint8]:
    """Return the 8-bit image with sensor noise: repeatable, different in every frame and eye."""
    rng = np.random.default_rng((scene.seed, frame_index, eye))
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(scene.noise)
    return np.round(np.clip(picture + noise, 0, 1) * 255).astype(np.uint8)
