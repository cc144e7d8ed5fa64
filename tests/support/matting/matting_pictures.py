"""Pictures for matting tests: made from RGB, or decoded from a ground-truth clip."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PlanarFrame


def from_rgb(rgb, layout=YUV420P, color=ColorTags(matrix=1)):
    """A PlanarFrame from float RGB of shape (H, W, 3), 0..1; chroma averaged 2x2."""
    rows = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)
    codes = (rgb - rows[:, 3]) @ np.linalg.inv(rows[:, :3]).T
    height, width = rgb.shape[:2]
    half = (-(-width // 2), -(-height // 2))
    even = np.pad(codes, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    chroma = cv2.resize(even, half, interpolation=cv2.INTER_AREA)
    planes = (codes[..., 0], chroma[..., 1], chroma[..., 2])
    y, u, v = (np.clip(np.rint(p), 0, layout.peak).astype(layout.dtype) for p in planes)
    return PlanarFrame(y, u, v, layout, color)


def soft_rgb(width, height, seed=0):
    """Smooth random colours well inside 0..1, so that no colour is clipped on the way."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.25, 0.75, (-(-height // 16) + 1, -(-width // 16) + 1, 3))
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def noise(width, height, layout, color):
    """Random code values, many of them no RGB colour at all."""
    rng = np.random.default_rng(1)
    half = (-(-height // 2), -(-width // 2))
    y, u, v = (
        rng.integers(0, layout.peak + 1, shape).astype(layout.dtype)
        for shape in ((height, width), half, half)
    )
    return PlanarFrame(y, u, v, layout, color)


def plain_rgb(picture):
    """All of a picture as RGB 0..1 of shape (H, W, 3), each pixel with its chroma sample."""
    color, height, width = picture.color, picture.height, picture.width
    rows = yuv_to_rgb(color.matrix, picture.layout.bit_depth, color.full_range)
    u, v = (p.repeat(2, 0).repeat(2, 1)[:height, :width] for p in (picture.u, picture.v))
    rgb = np.stack([picture.y, u, v], axis=-1) @ rows[:, :3].T + rows[:, 3]
    return np.clip(rgb, 0, 1)


def clip_frames(bench_dir: Path, name: str, count: int, kind: str = "mp4"):
    """The first side-by-side frames of a ground-truth clip."""
    with av.open(str(bench_dir / f"{name}.{kind}")) as container:
        return [_planes(frame) for frame in islice(container.decode(video=0), count)]


def crop(picture, x, y, width, height):
    """Views on a part of a picture; all numbers even."""
    return PlanarFrame(
        picture.y[y : y + height, x : x + width],
        picture.u[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2],
        picture.v[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2],
        picture.layout,
        picture.color,
    )


def deeper(picture):
    """The same picture in 10 bit."""
    y, u, v = (plane.astype(np.uint16) << 2 for plane in (picture.y, picture.u, picture.v))
    return PlanarFrame(y, u, v, YUV420P10, picture.color)


def _planes(frame):
    half = (frame.height // 2, frame.width // 2)
    samples = [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width].copy()
        for plane in frame.planes
    ]
    y, u, v = samples if len(samples) == 3 else [samples[0], *np.full((2, *half), 128, np.uint8)]
    return PlanarFrame(y, u, v, YUV420P, ColorTags(matrix=int(frame.colorspace)))
