"""Room behind the people: painted walls and a few boxes of furniture, with true parallax.

Room coordinates are metres from the middle between the eyes: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.demo.grain import Field, sample, tile
from vrmatte.errors import ConfigError
from vrmatte.geometry.projection import HalfEquirect

Picture = npt.NDArray[np.float32]
Rgb = tuple[float, float, float]

_FINER = 2
_PX_PER_M = 220


@dataclass(frozen=True, slots=True)
class Room:
    """Size and mood of the room; it must hold the window and the furniture.

    Raises:
        ConfigError: the room is too small for them.
    """

    half_width_m: float = 2.6
    depth_m: float = 3.2
    ceiling_m: float = 1.15
    """Height of the ceiling above the eyes."""
    floor_m: float = 1.35
    """Height of the eyes above the floor."""
    wall: Rgb = (0.72, 0.70, 0.65)
    brightness: float = 1.0
    seed: int = 7

    def __post_init__(self) -> None:
        height_m = self.ceiling_m + self.floor_m
        if self.half_width_m < 2.1 or self.depth_m < 2.5 or height_m < 2.1:
            raise ConfigError(
                f"demo room of {2 * self.half_width_m:.1f} x {self.depth_m:.1f} x {height_m:.1f} m:"
                " choose at least 4.2 x 2.5 x 2.1 (width, depth, height)"
            )


@dataclass(frozen=True, slots=True)
class _Block:
    """An axis-aligned piece of furniture, from `low` to `high` (x, y, z)."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    rgb: Rgb
    grain: float


@lru_cache(maxsize=8)
def room_view(room: Room, eye_px: int, eye_x_m: float) -> Picture:
    """Return the empty room seen by an eye at x = `eye_x_m`: shape (H, W, 3), RGB 0..1."""
    size = eye_px * _FINER
    centres = np.arange(size, dtype=np.float64) + 0.5
    dx, dy, dz = HalfEquirect(size).directions(centres[None], centres[:, None])
    rays: list[Field] = [np.broadcast_to(d, (size, size)).astype(np.float32) for d in (dx, dy, dz)]
    colour, reach = _walls(room, rays, eye_x_m)
    for block in _furniture(room):
        _put_block(colour, reach, rays, eye_x_m, block, room.seed)
    view = cv2.resize(colour, (eye_px, eye_px), interpolation=cv2.INTER_AREA)
    return np.clip(view * np.float32(room.brightness), 0, 1).astype(np.float32)


def _walls(room: Room, rays: list[Field], eye_x_m: float) -> tuple[Picture, Field]:
    """Return colour and distance of the walls, floor and ceiling along each ray."""
    dx, dy, dz = rays
    with np.errstate(divide="ignore", invalid="ignore"):
        side = np.where(dx > 0, room.half_width_m - eye_x_m, -room.half_width_m - eye_x_m) / dx
        level = np.where(dy > 0, room.floor_m, -room.ceiling_m) / dy
        back = room.depth_m / dz
    reach = np.minimum(np.minimum(side, level), back)
    x, y, z = eye_x_m + reach * dx, reach * dy, reach * dz
    height_px = (y + room.ceiling_m) * _PX_PER_M
    surfaces = (
        (reach == back, _back_wall(room), (x + room.half_width_m) * _PX_PER_M, height_px),
        ((reach == side) & (dx < 0), _side_wall(room, 1), z * _PX_PER_M, height_px),
        ((reach == side) & (dx > 0), _side_wall(room, 2), z * _PX_PER_M, height_px),
        (
            (reach == level) & (dy > 0),
            _floor(room),
            (x + room.half_width_m) * _PX_PER_M,
            z * _PX_PER_M,
        ),
        (
            (reach == level) & (dy < 0),
            _ceiling(room),
            (x + room.half_width_m) * _PX_PER_M,
            z * _PX_PER_M,
        ),
    )
    colour = np.zeros((*dx.shape, 3), np.float32)
    for mask, paint, u, v in surfaces:
        painted = cv2.remap(
            paint,
            u.astype(np.float32) - 0.5,
            v.astype(np.float32) - 0.5,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        colour[mask] = painted[mask]
    return colour, reach.astype(np.float32)


def _plaster(
    width_m: float, height_m: float, rgb: Rgb, seed: int, grain: float = 0.02, stain: float = 0.03
) -> Picture:
    width, height = round(width_m * _PX_PER_M), round(height_m * _PX_PER_M)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x / _PX_PER_M, y / _PX_PER_M
    fine = sample(tile(seed, 0.7), x / 1.3, y / 1.3)
    stains = sample(tile(seed + 1, 1.8), x / 4.1, y / 4.1)
    light = 1 + grain * fine + stain * stains
    return (light[..., None] * np.array(rgb, np.float32)).astype(np.float32)


def _rect(paint: Picture, left: float, top: float, right: float, bottom: float, rgb: Rgb) -> None:
    """Fill a rectangle given in metres on the wall."""
    at = [round(w * _PX_PER_M) for w in (left, top, right, bottom)]
    cv2.rectangle(paint, (at[0], at[1]), (at[2], at[3]), rgb, -1)


def _back_wall(room: Room) -> Picture:
    width, height = 2 * room.half_width_m, room.ceiling_m + room.floor_m
    paint = _plaster(width, height, room.wall, room.seed)
    _rect(paint, 0, height - 0.10, width, height, (0.86, 0.85, 0.82))
    left = 0.35
    _rect(paint, left - 0.07, 0.38, left + 1.27, 1.62, (0.90, 0.89, 0.86))
    sky = np.linspace(0, 1, round(1.1 * _PX_PER_M), dtype=np.float32)[:, None, None]
    view = (1 - sky) * np.array((0.80, 0.89, 0.98)) + sky * np.array((0.95, 0.96, 0.92))
    rows, columns = round(0.45 * _PX_PER_M), round(left * _PX_PER_M)
    wide = round(1.2 * _PX_PER_M)
    paint[rows : rows + len(view), columns : columns + wide] = view
    trees = sample(
        tile(room.seed + 5, 1.3),
        *np.meshgrid(
            np.arange(wide, dtype=np.float32) / 700, np.arange(90, dtype=np.float32) / 500
        ),
    )
    leaves = np.clip(0.42 + 0.10 * trees, 0.1, 0.9)[..., None] * np.array((0.75, 1.0, 0.55))
    bottom = rows + len(view)
    paint[bottom - 90 : bottom, columns : columns + wide] = leaves
    for bar in (left + 0.585, left - 0.01, left + 1.18):
        _rect(paint, bar, 0.43, bar + 0.03, 1.56, (0.92, 0.91, 0.88))
    _rect(paint, left, 0.98, left + 1.2, 1.01, (0.92, 0.91, 0.88))
    for at, top, wide_m, rgb in (
        (width - 1.75, 0.62, 0.55, (0.42, 0.52, 0.60)),
        (width - 1.05, 0.50, 0.42, (0.70, 0.55, 0.35)),
    ):
        _rect(paint, at - 0.03, top - 0.03, at + wide_m + 0.03, top + 0.70, (0.24, 0.20, 0.17))
        _rect(paint, at, top, at + wide_m, top + 0.67, (0.90, 0.89, 0.85))
        _rect(paint, at + 0.08, top + 0.08, at + wide_m - 0.08, top + 0.36, rgb)
        _rect(paint, at + 0.08, top + 0.36, at + wide_m - 0.08, top + 0.58, (0.46, 0.50, 0.38))
    return _lit_from_left(_softened(paint), 0.22)


def _softened(paint: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(paint, (0, 0), 0.8), np.float32)


def _lit_from_left(paint: Picture, fall: float) -> Picture:
    light = np.linspace(1 + fall / 2, 1 - fall, paint.shape[1], dtype=np.float32)[None, :, None]
    return (paint * light).astype(np.float32)


def _side_wall(room: Room, number: int) -> Picture:
    height = room.ceiling_m + room.floor_m
    shade = 0.80 if number == 1 else 0.92
    rgb = (room.wall[0] * shade, room.wall[1] * shade, room.wall[2] * shade)
    paint = _plaster(room.depth_m, height, rgb, room.seed + 10 * number)
    if number == 1:
        _rect(paint, 1.5, height - 2.05, 2.4, height, (0.50, 0.40, 0.31))
        _rect(paint, 1.62, height - 1.9, 2.28, height - 1.15, (0.46, 0.365, 0.28))
        _rect(paint, 1.62, height - 1.0, 2.28, height - 0.15, (0.46, 0.365, 0.28))
    else:
        _rect(paint, 0.9, 0.6, 2.0, 1.3, (0.25, 0.22, 0.20))
        _rect(paint, 0.94, 0.64, 1.96, 1.26, (0.58, 0.60, 0.50))
        _rect(paint, 0.94, 1.0, 1.96, 1.26, (0.40, 0.46, 0.36))
    _rect(paint, 0, height - 0.10, room.depth_m, height, (0.80, 0.79, 0.76))
    return _softened(paint)


def _floor(room: Room) -> Picture:
    paint = _plaster(2 * room.half_width_m, room.depth_m, (0.50, 0.37, 0.25), room.seed + 30, 0.0)
    rows, columns = np.indices(paint.shape[:2], dtype=np.float32) / _PX_PER_M
    plank = np.floor(columns / 0.14)
    tone = np.random.default_rng(room.seed).normal(1, 0.09, 400).astype(np.float32)
    joint = np.floor((rows + 0.61 * plank) / 1.1)
    light = tone[np.mod(plank * 7 + joint * 13, 400).astype(int)]
    grain = sample(tile(room.seed + 31, 1.0), columns * 2.3, rows * 0.25 + 0.137 * plank)
    gap = (np.mod(columns, 0.14) < 0.006) | (np.mod(rows + 0.61 * plank, 1.1) < 0.006)
    paint *= (light * (1 + 0.06 * grain) * np.where(gap, 0.62, 1))[..., None]
    carpet = _plaster(2.4, 1.3, (0.42, 0.43, 0.47), room.seed + 33, 0.05)
    top, left = round(0.9 * _PX_PER_M), round((room.half_width_m - 1.2) * _PX_PER_M)
    paint[top : top + carpet.shape[0], left : left + carpet.shape[1]] = carpet
    return _lit_from_left(_softened(paint), 0.18)


def _ceiling(room: Room) -> Picture:
    return _plaster(
        2 * room.half_width_m, room.depth_m, (0.84, 0.83, 0.80), room.seed + 40, 0.01, 0.015
    )


def _furniture(room: Room) -> tuple[_Block, ...]:
    """Draw a sofa, a cupboard with books and a small table, all more than 1.9 m away."""
    floor, wide, deep = room.floor_m, room.half_width_m, room.depth_m
    cloth, wood = (0.36, 0.42, 0.40), (0.40, 0.29, 0.20)
    books = tuple(
        _Block(
            (wide - 0.95 + 0.075 * n, floor - 1.27 - 0.02 * (n % 3), deep - 0.38),
            (wide - 0.95 + 0.075 * n + 0.06, floor - 1.05, deep - 0.15),
            ((0.50, 0.22, 0.20), (0.22, 0.34, 0.44), (0.66, 0.60, 0.44))[n % 3],
            0.03,
        )
        for n in range(9)
    )
    return (
        _Block((-1.9, floor - 0.44, deep - 0.95), (-0.15, floor, deep - 0.05), cloth, 0.06),
        _Block((-1.9, floor - 0.85, deep - 0.28), (-0.15, floor - 0.4, deep - 0.05), cloth, 0.06),
        _Block((-2.05, floor - 0.62, deep - 0.95), (-1.85, floor, deep - 0.05), cloth, 0.06),
        _Block((-0.2, floor - 0.62, deep - 0.95), (0.0, floor, deep - 0.05), cloth, 0.06),
        _Block(
            (wide - 1.05, floor - 1.05, deep - 0.45), (wide - 0.1, floor, deep - 0.05), wood, 0.08
        ),
        *books,
        _Block((0.45, floor - 0.48, deep - 1.1), (1.15, floor - 0.44, deep - 0.6), wood, 0.08),
        _Block((0.75, floor - 0.44, deep - 0.88), (0.85, floor, deep - 0.82), wood, 0.05),
    )


def _put_block(
    colour: Picture, reach: Field, rays: list[Field], eye_x_m: float, block: _Block, seed: int
) -> None:
    """Draw a block where it is nearer than everything drawn so far; slab test, lit by face."""
    rows, columns = _seen_at(block, eye_x_m, len(reach))
    dirs = [d[rows, columns] for d in rays]
    eye = (eye_x_m, 0.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spans = [
            ((low - c) / d, (high - c) / d)
            for low, high, c, d in zip(block.low, block.high, eye, dirs, strict=True)
        ]
    enters = [np.minimum(a, b) for a, b in spans]
    entry = np.maximum(np.maximum(enters[0], enters[1]), enters[2])
    leaves = [np.maximum(a, b) for a, b in spans]
    leave = np.minimum(np.minimum(leaves[0], leaves[1]), leaves[2])
    hit = (entry < leave) & (entry > 0) & (entry < reach[rows, columns])
    x, y, z = (c + entry * d for c, d in zip(eye, dirs, strict=True))
    on_side, on_top = entry == enters[0], entry == enters[1]
    face = np.where(on_top, 1.12, np.where(on_side, 0.72, 0.90))
    u, v = np.where(on_side, z, x), np.where(on_top, z, y)
    grain = sample(tile(seed + 50, 1.0), u / 0.9, v / 1.7)
    dusk = 1 - 0.25 * np.clip((y - block.low[1]) / 0.9, 0, 1)
    light = face * dusk * (1 + block.grain * grain)
    colour[rows, columns][hit] = (light[..., None] * np.array(block.rgb))[hit]
    reach[rows, columns][hit] = entry[hit]


def _seen_at(block: _Block, eye_x_m: float, size: int) -> tuple[slice, slice]:
    """Return the rows and columns a block can touch, from a lattice of its points."""
    axes = [np.linspace(low, high, 9) for low, high in zip(block.low, block.high, strict=True)]
    x, y, z = np.meshgrid(*axes)
    columns, rows = HalfEquirect(size).pixels(x - eye_x_m, y, z)
    margin = size // 100 + 2
    top, left = (max(int(w.min()) - margin, 0) for w in (rows, columns))
    bottom, right = (min(int(w.max()) + margin, size) for w in (rows, columns))
    return slice(top, bottom), slice(left, right)
