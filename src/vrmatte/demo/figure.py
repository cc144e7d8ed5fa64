"""Drawing of a person: limbs with light and cloth, a face, hair with soft ends.

The result is a card: premultiplied RGBA seen straight from the front, which the scene places.
Nothing is read from disk; the same look and moment give the same card.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from vrmatte.demo.body import Body, Limb, Part, Relief, body_at, relief_of
from vrmatte.demo.grain import Field, sample, tile

Rgb = tuple[float, float, float]

LEFT_M, RIGHT_M = -0.62, 0.86
FOOT_M, TOP_M = -0.04, 1.98
_LIGHT = np.array((-0.46, 0.52, 0.72), np.float32)


@dataclass(frozen=True, slots=True)
class Appearance:
    """Colours of a person, RGB 0..1 as shown on a screen, and the hair."""

    skin: Rgb = (0.86, 0.66, 0.54)
    hair: Rgb = (0.27, 0.17, 0.10)
    shirt: Rgb = (0.62, 0.18, 0.20)
    trousers: Rgb = (0.20, 0.27, 0.42)
    shoes: Rgb = (0.22, 0.20, 0.19)
    hair_length_m: float = 0.17
    """Length of the hair below the temples."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Card:
    """A flat picture in body coordinates (see body.py)."""

    rgba: Field
    """Shape (H, W, 4), premultiplied, 0..1, display gamma."""
    px_per_m: float

    def pixels(self, x_m: Field, up_m: Field) -> tuple[Field, Field]:
        """Convert body coordinates to continuous pixel coordinates."""
        x = (x_m - LEFT_M) * self.px_per_m
        y = (TOP_M - up_m) * self.px_per_m
        return x.astype(np.float32), y.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Canvas:
    rgba: Field
    x: Field
    up: Field
    px_per_m: float

    def crop(self, left: float, right: float, low: float, high: float) -> _Canvas:
        """Return the region between these body coordinates, as views of the same memory."""
        rows = _bounded((TOP_M - high) * self.px_per_m, (TOP_M - low) * self.px_per_m)
        columns = _bounded((left - LEFT_M) * self.px_per_m, (right - LEFT_M) * self.px_per_m)
        region = (rows, columns)
        return _Canvas(self.rgba[region], self.x[region], self.up[region], self.px_per_m)

    def cover(self, rgb: Field, coverage: Field) -> None:
        """Composite straight colour over the canvas."""
        a = coverage[..., None]
        self.rgba[..., :3] += a * (rgb - self.rgba[..., :3])
        self.rgba[..., 3] += coverage * (1 - self.rgba[..., 3])

    def edge(self, inside: Field) -> Field:
        """Return the coverage of a shape from its distance to the outline, one pixel soft."""
        return np.clip(inside * np.float32(self.px_per_m) + 0.5, 0, 1)

    def darken_below(self, coverage: Field, strength: float, reach_m: float) -> None:
        """Draw the contact shadow of a shape that is drawn next."""
        reach_px = reach_m * self.px_per_m
        shift = np.array(((1, 0, 0.5 * reach_px), (0, 1, 0.7 * reach_px)), np.float32)
        size = (coverage.shape[1], coverage.shape[0])
        shadow = cv2.GaussianBlur(cv2.warpAffine(coverage, shift, size), (0, 0), reach_px)
        self.rgba[..., :3] *= (1 - np.float32(strength) * shadow)[..., None]


def _bounded(low: float, high: float) -> slice:
    return slice(max(math.floor(low), 0), max(math.ceil(high), 0))


def draw_figure(look: Appearance, seconds: float, px_per_m: float) -> Card:
    """Draw the person at a moment, with `px_per_m` card pixels per metre of a 1.75 m tall body."""
    height = round((TOP_M - FOOT_M) * px_per_m)
    width = round((RIGHT_M - LEFT_M) * px_per_m)
    columns = (np.arange(width, dtype=np.float32) + 0.5) / np.float32(px_per_m) + LEFT_M
    rows = TOP_M - (np.arange(height, dtype=np.float32) + 0.5) / np.float32(px_per_m)
    x, up = np.meshgrid(columns, rows)
    canvas = _Canvas(np.zeros((height, width, 4), np.float32), x, up, px_per_m)
    body = body_at(seconds)
    _paint_hair(canvas, look, body, seconds, behind=True)
    for number, part in enumerate(body.parts):
        _paint_part(canvas, look, part, number)
    _paint_head(canvas, look, body)
    _paint_hair(canvas, look, body, seconds, behind=False)
    return Card(np.clip(canvas.rgba, 0, 1), px_per_m)


# --- limbs ---------------------------------------------------------------------------------------


def _paint_part(canvas: _Canvas, look: Appearance, part: Part, number: int) -> None:
    box = _box_of(canvas, part.limbs, margin_m=0.07)
    reliefs = [relief_of(limb, box.x, box.up) for limb in part.limbs]
    if part.material in ("shirt", "trousers"):
        reliefs = [
            _clothed(relief, look.seed, at + 0.2 * number) for at, relief in enumerate(reliefs)
        ]
    relief = _joined(reliefs, part.blend_m)
    if part.opening:
        relief = _opened(relief, relief_of(part.opening, box.x, box.up))
    grain = sample(tile(look.seed + 3, 0.8), 2.6 * relief.along, 2.6 * relief.across)
    colour = _linear(getattr(look, part.material)) * (1 + 0.06 * grain)[..., None]
    coverage = box.edge(relief.inside)
    box.darken_below(coverage, 0.45, 0.014)
    gloss = 0.10 if part.material == "skin" else 0.03
    box.cover(_lit(colour, relief.height, box.px_per_m, gloss), coverage)


def _clothed(relief: Relief, seed: int, shift: float) -> Relief:
    """Add folds to the surface of a limb; they join smoothly, as a part of the surface."""
    u, v = relief.along + 0.37 * shift, relief.across + 0.61 * shift
    folds = sample(tile(seed, 2.0), 0.9 * u, 1.6 * v)
    crease = sample(tile(seed + 1, 1.4), 0.7 * u + 0.3 * v, 1.2 * v)
    height = relief.height + np.float32(0.0060) * folds + np.float32(0.0018) * crease
    return replace(relief, height=height)


def _opened(relief: Relief, opening: Relief) -> Relief:
    """Cut a hole with a slightly raised hem into the cloth."""
    hem = np.clip((opening.inside + 0.016) / 0.003, 0, 1)
    return replace(
        relief,
        inside=np.minimum(relief.inside, -opening.inside),
        height=relief.height + np.float32(0.004) * hem,
    )


def _box_of(canvas: _Canvas, limbs: tuple[Limb, ...], margin_m: float) -> _Canvas:
    reach = [(limb, max(limb.radii_m) + margin_m) for limb in limbs]
    xs = [p[0] + s * r for limb, r in reach for p in (limb.start, limb.end) for s in (-1, 1)]
    ups = [p[1] + s * r for limb, r in reach for p in (limb.start, limb.end) for s in (-1, 1)]
    return canvas.crop(min(xs), max(xs), min(ups), max(ups))


def _joined(reliefs: list[Relief], blend_m: float) -> Relief:
    """Return the smooth union: outlines and surfaces blend where they meet."""
    whole = reliefs[0]
    for limb in reliefs[1:]:
        nearer = limb.height > whole.height
        whole = Relief(
            _soft_max(whole.inside, limb.inside, blend_m),
            _soft_max(whole.height, limb.height, blend_m),
            np.where(nearer, limb.along, whole.along),
            np.where(nearer, limb.across, whole.across),
        )
    return whole


def _soft_max(a: Field, b: Field, blend: float) -> Field:
    share = np.clip(0.5 + 0.5 * (b - a) / np.float32(blend), 0, 1)
    return a + share * (b - a) + np.float32(blend) * share * (1 - share)


def _linear(rgb: Rgb) -> Field:
    return np.power(np.array(rgb, np.float32), np.float32(2.2))


def _lit(albedo: Field, height: Field, px_per_m: float, gloss: float) -> Field:
    """Return display colours of a surface lit by a window at the upper left and by the room."""
    slope_y, slope_x = np.gradient(height, np.float32(1 / px_per_m))
    scale = 1 / np.sqrt(slope_x**2 + slope_y**2 + 1)
    nx, nup, nout = -slope_x * scale, slope_y * scale, scale
    light = _LIGHT / np.linalg.norm(_LIGHT)
    facing = nx * light[0] + nup * light[1] + nout * light[2]
    key = np.clip((facing + 0.25) / 1.25, 0, 1)[..., None]
    sky = (0.5 + 0.5 * nup)[..., None]
    room = 0.35 + 0.65 * nout[..., None]
    key_tint, sky_tint = np.array((1.02, 0.96, 0.88)), np.array((0.20, 0.23, 0.27))
    bounce = np.array((0.16, 0.14, 0.12))
    light_rgb = 0.82 * key * key_tint + room * (sky * sky_tint + (1 - sky) * bounce)
    half = light + np.array((0, 0, 1), np.float32)
    half = half / np.linalg.norm(half)
    shine = np.clip(nx * half[0] + nup * half[1] + nout * half[2], 0, 1) ** 24
    linear = albedo * light_rgb + gloss * shine[..., None]
    return np.power(np.clip(linear, 0, 1), 1 / 2.2).astype(np.float32)


# --- head ----------------------------------------------------------------------------------------


def _paint_head(canvas: _Canvas, look: Appearance, body: Body) -> None:
    x, up = body.head
    box = canvas.crop(x - 0.16, x + 0.16, up - 0.22, up + 0.18)
    a, b = _in_head(body, box.x, box.up)
    skull = relief_of(
        Limb((0.0, -0.083), (0.0, 0.043), (0.036, 0.048, 0.058, 0.065, 0.070, 0.074, 0.076)), a, b
    )
    ears = [
        relief_of(Limb((s * 0.074, -0.030), (s * 0.081, 0.006), (0.009, 0.013), -0.01), a, b)
        for s in (-1, 1)
    ]
    head = _joined([skull, *ears], 0.008)
    soft = cv2.GaussianBlur(head.height, (0, 0), 0.007 * box.px_per_m)
    mottle = sample(tile(look.seed + 3, 1.2), 2 * a, 2 * b)
    albedo = _linear(look.skin) * (1 + 0.04 * mottle)[..., None]
    coverage = box.edge(head.inside)
    box.darken_below(coverage, 0.6, 0.028)
    shaded = _lit(_blush(albedo, a, b), soft + _features(a, b), box.px_per_m, 0.10)
    box.cover(_with_eyes_and_brows(shaded, look, a, b, box.px_per_m), coverage)


def _in_head(body: Body, x: Field, up: Field) -> tuple[Field, Field]:
    cos, sin = np.float32(math.cos(body.tilt)), np.float32(math.sin(body.tilt))
    dx, dup = x - np.float32(body.head[0]), up - np.float32(body.head[1])
    return cos * dx - sin * dup, sin * dx + cos * dup


def _bump(a: Field, b: Field, at: tuple[float, float], width: float, tall: float) -> Field:
    return np.exp(-0.5 * (((a - at[0]) / width) ** 2 + ((b - at[1]) / tall) ** 2)).astype(
        np.float32
    )


def _features(a: Field, b: Field) -> Field:
    """Return nose, eye sockets, cheeks, lips and chin as a relief on the skull."""
    side = np.abs(a)
    return (
        0.020 * _bump(a, b, (0, -0.043), 0.0085, 0.010)
        + 0.012 * _bump(a, b, (0, -0.018), 0.0065, 0.022)
        + 0.007 * _bump(side, b, (0.0125, -0.046), 0.005, 0.005)
        - 0.010 * _bump(side, b, (0.032, 0.001), 0.015, 0.010)
        + 0.004 * _bump(side, b, (0.030, 0.020), 0.018, 0.006)
        + 0.005 * _bump(side, b, (0.042, -0.030), 0.016, 0.014)
        + 0.006 * _bump(a, b, (0, -0.067), 0.018, 0.0045)
        + 0.006 * _bump(a, b, (0, -0.079), 0.015, 0.005)
        - 0.005 * _bump(a, b, (0, -0.073), 0.022, 0.0025)
        + 0.006 * _bump(a, b, (0, -0.103), 0.016, 0.010)
    )


def _blush(albedo: Field, a: Field, b: Field) -> Field:
    side = np.abs(a)
    lips = np.clip(1.6 * _bump(a, b, (0, -0.073), 0.014, 0.0062) - 0.3, 0, 1)
    rosy = 0.5 * _bump(side, b, (0.045, -0.035), 0.018, 0.014) + 0.4 * _bump(
        a, b, (0, -0.045), 0.010, 0.009
    )
    tinted = albedo * (1 - rosy[..., None] * np.array((0.0, 0.22, 0.22), np.float32))
    lip_rgb = albedo * np.array((0.80, 0.42, 0.42), np.float32)
    return tinted + lips[..., None] * (lip_rgb - tinted)


def _with_eyes_and_brows(
    rgb: Field, look: Appearance, a: Field, b: Field, px_per_m: float
) -> Field:
    side = np.abs(a)
    ramp = np.float32(px_per_m)

    def disc(at: tuple[float, float], wide: float, tall: float, of: Field = side) -> Field:
        distance = 1 - np.hypot((of - at[0]) / wide, (b - at[1]) / tall)
        return np.clip(distance * min(wide, tall) * ramp + 0.5, 0, 1)

    arch = 0.021 + 0.006 * np.sin(np.clip((side - 0.012) / 0.04, 0, 1) * math.pi)
    brow = np.clip(1.4 * np.exp(-0.5 * ((b - arch) / 0.0032) ** 2), 0, 1)
    brow = brow * np.clip((side - 0.012) * 300, 0, 1) * np.clip((0.054 - side) * 200, 0, 1)
    white = disc((0.0315, 0.0), 0.0140, 0.0060)
    lid = disc((0.0315, 0.0016), 0.0155, 0.0074) * (1 - white)
    nostril = _bump(side, b, (0.0075, -0.0525), 0.003, 0.0018)
    mouth = _bump(a, b, (0, -0.0730), 0.017, 0.0010)
    dark = np.array(look.hair, np.float32) * 0.55
    layers = (
        (0.75 * brow, dark),
        (0.75 * lid * np.clip(b * 400 + 0.6, 0.25, 1), dark),
        (white, np.array((0.83, 0.80, 0.77), np.float32)),
        (white * disc((0.0315, 0.0006), 0.0062, 0.0062), np.array((0.28, 0.20, 0.13), np.float32)),
        (white * disc((0.0315, 0.0006), 0.0028, 0.0028), np.array((0.03, 0.03, 0.03), np.float32)),
        (_bump(side, b, (0.0300, 0.0024), 0.0012, 0.0012), np.array((1, 1, 1), np.float32)),
        (0.7 * nostril, np.array((0.25, 0.11, 0.09), np.float32)),
        (0.75 * mouth, np.array((0.30, 0.10, 0.10), np.float32)),
    )
    for weight, colour in layers:
        rgb = rgb + weight[..., None].astype(np.float32) * (colour - rgb)
    return rgb


# --- hair ----------------------------------------------------------------------------------------

_FINER = 2
_POINTS = 15


@lru_cache(maxsize=16)
def _strands(seed: int, length_m: float, behind: bool) -> tuple[Field, Field, Field]:
    """Return strands in head coordinates (N, points, 2), freedom of each point, brightness (N,)."""
    rng = np.random.default_rng((seed, int(behind)))
    count = 900 if behind else 1100
    stray = rng.random(count) < (0.20 if behind else 0.14)
    outer = rng.random(count) ** (0.5 if behind else 0.7)
    side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    wide = 0.066 + 0.023 * outer + stray * rng.random(count) * 0.022
    root = 0.080 + 0.044 * outer + stray * rng.random(count) * 0.006
    temple = root - (-0.02 + 0.03 * rng.random(count))
    hang = length_m * np.where(behind, 1.15, 0.7) * (0.55 + 0.45 * rng.random(count))
    t = np.linspace(0, 1, _POINTS)[None]
    turn = np.clip(t / 0.55, 0, 1) * math.pi / 2
    fall = np.clip((t - 0.55) / 0.45, 0, 1)
    inward = (0.055 * rng.random(count) * behind)[:, None]
    curl = rng.normal(0, 0.006, count)[:, None] * np.sin(5 * fall + 6 * rng.random(count)[:, None])
    a = side[:, None] * (wide[:, None] * np.sin(turn) - inward * fall) + 0.006 * (1 - t)
    a = a + curl * fall + (rng.normal(0, 0.018, count) * stray)[:, None] * fall
    b = root[:, None] - temple[:, None] * (1 - np.cos(turn)) - hang[:, None] * fall
    bright = 0.65 + 0.55 * rng.random(count) - 0.18 * side
    path = np.stack((a, b), -1).astype(np.float32)
    return path, np.broadcast_to(fall, a.shape).astype(np.float32), bright.astype(np.float32)


def _shades(look: Appearance, bright: Field, behind: bool) -> list[list[tuple[float, ...]]]:
    """Return RGBA 0..255 of each piece of each strand, with a band of sheen below the crown."""
    place = np.linspace(0.05, 0.95, _POINTS // 2)[None]
    band = 0.36 + 0.12 * np.sin(np.arange(len(bright)) * 2.4)[:, None]
    gain = 0.8 + 0.5 * np.exp(-0.5 * ((place - band) / 0.14) ** 2)
    gain = gain * bright[:, None] * (0.55 if behind else 1.0)
    rgb = np.clip(gain[..., None] * np.array(look.hair) * 255, 0, 255)
    rgba = np.concatenate((rgb, np.full_like(gain, 255)[..., None]), -1)
    return [[tuple(piece) for piece in strand] for strand in rgba.tolist()]


def _paint_hair(
    canvas: _Canvas, look: Appearance, body: Body, seconds: float, *, behind: bool
) -> None:
    x, up = body.head
    box = canvas.crop(x - 0.2, x + 0.2, up - 0.2 - 1.3 * look.hair_length_m, up + 0.18)
    path, free, bright = _strands(look.seed, look.hair_length_m, behind)
    phase = np.arange(len(path), dtype=np.float32)[:, None] * 0.37
    a = path[..., 0] + free * (
        0.010 * math.sin(1.9 * seconds) + 0.003 * np.sin(5 * seconds + phase)
    )
    b = path[..., 1]
    cos, sin = math.cos(body.tilt), math.sin(body.tilt)
    place = np.stack((x + cos * a + sin * b, up - sin * a + cos * b), -1)
    ink = np.zeros((box.x.shape[0] * _FINER, box.x.shape[1] * _FINER, 4), np.uint8)
    origin = np.array((box.x[0, 0], box.up[0, 0])) + np.array((-0.5, 0.5)) / box.px_per_m
    points = (place - origin) * np.array((1, -1)) * box.px_per_m * _FINER - 0.5
    fixed = np.round(points * 16).astype(np.int32)
    thick = max(1, round(0.0007 * box.px_per_m * _FINER))
    shades = _shades(look, bright, behind)
    for strand, colours in zip(fixed, shades, strict=True):
        for piece, colour in enumerate(colours):
            points_of_piece = strand[piece * 2 : piece * 2 + 3]
            cv2.polylines(ink, [points_of_piece], False, colour, thick, cv2.LINE_AA, 4)
    size = (box.x.shape[1], box.x.shape[0])
    layer = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32) / 255
    if not behind:
        box.darken_below(layer[..., 3], 0.4, 0.010)
    box.rgba[...] = layer + (1 - layer[..., 3:]) * box.rgba
