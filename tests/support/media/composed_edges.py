"""Scenes whose colours behind, in front and alpha are known, for tests of what is composed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.frames import YUV420P, ColorTags, PixelLayout, PlanarFrame

BT709 = ColorTags(1, 1, 1)
_FINER = 4
_BROWN = np.array(((60, 40, 25), (110, 75, 45), (35, 25, 20)), float)


@dataclass(frozen=True)
class Truth:
    """Straight colours 0..1, shape (H, W, 3), and alpha 0..1, shape (H, W)."""

    front: np.ndarray
    back: np.ndarray
    alpha: np.ndarray

    @property
    def matte(self) -> np.ndarray:
        return np.rint(self.alpha * 255).astype(np.uint8)

    def over(self, back: np.ndarray) -> np.ndarray:
        a = self.alpha[..., None]
        return a * self.front + (1 - a) * back

    def frame(self, layout: PixelLayout = YUV420P) -> PlanarFrame:
        return to_frame(self.over(self.back), layout)


def hair(size: int = 320, seed: int = 0, strands: int = 250) -> Truth:
    """Strands one pixel wide that grow out of a blue body, before coloured blotches."""
    rng = np.random.default_rng(seed)
    fine = size * _FINER
    ink = np.zeros((fine, fine, 4), np.uint8)
    middle, radii = (fine // 2, int(fine * 0.85)), (int(fine * 0.28), int(fine * 0.4))
    cv2.ellipse(ink, middle, radii, 0, 0, 360, (60, 90, 200, 255), -1, cv2.LINE_AA)
    steps = np.linspace(0, 1, 12)
    for _ in range(strands):
        turn = rng.uniform(np.pi, 2 * np.pi)
        root = np.array((0.5 + 0.2 * np.cos(turn), 0.8 + 0.3 * np.sin(turn))) * fine
        angle = turn + rng.normal(0, 0.35) + rng.normal(0, 0.9) * steps
        path = np.cumsum(np.stack((np.cos(angle), np.sin(angle)), -1), axis=0) / 12
        points = np.round((root + path * fine * rng.uniform(0.08, 0.3)) * 16).astype(np.int32)
        colour = np.clip(_BROWN[rng.integers(3)] * rng.uniform(0.7, 1.5), 0, 255)
        wide = int(rng.integers(2, 7))
        cv2.polylines(ink, [points], False, (*colour, 255.0), wide, cv2.LINE_AA, 4)
    small = cv2.resize(ink.astype(np.float32) / 255, (size, size), interpolation=cv2.INTER_AREA)
    alpha = small[..., 3]
    front = small[..., :3] / np.maximum(alpha, 1e-4)[..., None]
    light = np.linspace(0.75, 1.25, size)[None, :, None]
    blotches = [
        s * cv2.GaussianBlur(rng.standard_normal((size, size, 3)), (0, 0), s) for s in (3, 12, 50)
    ]
    back = 0.55 + 0.25 * blotches[0] + 0.3 * blotches[1] + 0.4 * blotches[2]
    return Truth(np.clip(front * light, 0, 1), np.clip(back, 0, 1), alpha)


def to_frame(rgb: np.ndarray, layout: PixelLayout, color: ColorTags = BT709) -> PlanarFrame:
    """RGB 0..1 as 4:2:0, chroma to the left as in MPEG video."""
    to_rgb = yuv_to_rgb(color.matrix, layout.bit_depth, color.full_range)
    yuv = (rgb - to_rgb[:, 3]) @ np.linalg.inv(to_rgb[:, :3]).T
    across = np.array((0.25, 0.5, 0.25))
    chroma = cv2.sepFilter2D(yuv[..., 1:], -1, across, np.ones(1), borderType=cv2.BORDER_REPLICATE)
    chroma = (chroma[::2, ::2] + chroma[1::2, ::2]) / 2
    planes = (yuv[..., 0], chroma[..., 0], chroma[..., 1])
    return PlanarFrame(
        *(np.clip(np.rint(p), 0, layout.peak).astype(layout.dtype) for p in planes), layout, color
    )


def to_rgb(frame: PlanarFrame) -> np.ndarray:
    """A frame as RGB 0..1; chroma interpolated where it is coarser, taken to lie left."""
    matrix = yuv_to_rgb(frame.color.matrix, frame.layout.bit_depth, frame.color.full_range)
    chroma = [frame.u.astype(np.float32), frame.v.astype(np.float32)]
    if frame.layout.chroma_shift_x:
        x, y = np.meshgrid(np.arange(frame.width) / 2, (np.arange(frame.height) + 0.5) / 2 - 0.5)
        at = (x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        chroma = [cv2.remap(c, *at, borderMode=cv2.BORDER_REPLICATE) for c in chroma]
    yuv = np.stack([frame.y.astype(np.float64), *chroma], -1)
    return np.clip(yuv @ matrix[:, :3].T + matrix[:, 3], 0, 1)


def twice(frame: PlanarFrame) -> PlanarFrame:
    """The same picture for both eyes."""
    y, u, v = (np.hstack((p, p)) for p in (frame.y, frame.u, frame.v))
    return PlanarFrame(y, u, v, frame.layout, frame.color, frame.pts)
