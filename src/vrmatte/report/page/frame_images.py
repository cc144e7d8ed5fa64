"""Small images of single frames as data URIs: source, matte, people over a plain background."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import EYES, Matte, PlanarFrame, Plane, Rgb, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import EyeProjection
from vrmatte.sheets.picture import to_rgb

BACKGROUND_RGB = (64, 128, 112)
MOST_BYTES = 3_400_000
"""Total of all images of a page, as text."""
_QUALITIES = (82, 62, 40, 20)
"""JPEG qualities, the best first."""
_ROOM_DEG = 6.0
_LEAST_DEG = 40.0
_OUTLINE_POINTS = 16


@dataclass(frozen=True, slots=True)
class EyeCrop:
    """A part of an eye, in shares of its width and height, 0..1."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def of(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return this part of an eye's plane or image, as a view."""
        height, width = plane.shape[:2]
        rows = slice(int(self.top * height), max(int(self.bottom * height), 1))
        columns = slice(int(self.left * width), max(int(self.right * width), 1))
        return plane[rows, columns]


WHOLE_EYE = EyeCrop()


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One image of both eyes side by side."""

    name: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FrameImages:
    """The images of one frame."""

    frame: int
    layers: tuple[ImageLayer, ...]
    """Source, matte, composite, and further views."""

    @property
    def bytes(self) -> int:
        """Size of all images, as text."""
        return sum(len(layer.uri) for layer in self.layers)


@dataclass(frozen=True, slots=True)
class FrameLook:
    """A crop of both eyes of a frame and of its matte, reduced in size."""

    frame: int
    source: Rgb
    """Both eyes side by side, shape (H, W, 3)."""
    matte: Matte
    """Shape (H, W)."""
    doubt: Rgb | None = None
    """The doubtful areas of the matte, of the same size; None: not examined."""

    @classmethod
    def of(
        cls, number: int, frame: PlanarFrame, matte: Matte, eye_px: int, crop: EyeCrop = WHOLE_EYE
    ) -> FrameLook:
        """Crop each eye and reduce it to at most `eye_px` pixels."""
        planes = [_cropped(plane, crop) for plane in (frame.y, frame.u, frame.v)]
        height, width = planes[0].shape
        small_width = min(2 * eye_px, width)
        layout = frame.layout
        chroma = -(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x)
        u, v = (_fitted(plane, chroma) for plane in planes[1:])
        source = to_rgb(replace(frame, y=planes[0], u=u, v=v), small_width)
        size = source.shape[1], source.shape[0]
        small = cv2.resize(_cropped(matte, crop), size, interpolation=cv2.INTER_AREA)
        return cls(number, source, np.asarray(small, np.uint8))

    @property
    def composite(self) -> Rgb:
        """The people over a plain background."""
        alpha = self.matte[..., None].astype(np.float32) / 255
        over = alpha * self.source + (1 - alpha) * np.array(BACKGROUND_RGB, np.float32)
        return np.asarray(over + 0.5, np.uint8)


def encoded(looks: Sequence[FrameLook], most_bytes: int = MOST_BYTES) -> list[FrameImages]:
    """Encode source, matte, composite and doubt of frames within a total size.

    Args:
        looks: the frames, the most important first.
        most_bytes: the limit; the quality is lowered and the last images are left out to keep it.
    """
    images: list[FrameImages] = []
    for quality in _QUALITIES:
        images = [_images(look, quality) for look in looks]
        if sum(each.bytes for each in images) <= most_bytes:
            return images
    return _within(images, most_bytes)


def crop_around(bounds: Sequence[AngularBox | None], eye: EyeProjection) -> EyeCrop:
    """Return a square part of an eye that holds these boxes with a margin.

    Without boxes, return the whole eye.
    """
    shares = [_share(box, eye) for box in bounds if box is not None]
    if not shares:
        return WHOLE_EYE
    left, top = (min(share[at] for share in shares) for at in (0, 1))
    right, bottom = (max(share[at] for share in shares) for at in (2, 3))
    room = 2 * _ROOM_DEG / eye.span_deg
    side = max(right - left + room, bottom - top + room, _LEAST_DEG / eye.span_deg)
    if side >= 1:
        return WHOLE_EYE
    x, y = ((a + b - side) / 2 for a, b in ((left, right), (top, bottom)))
    x, y = (min(max(at, 0.0), 1 - side) for at in (x, y))
    return EyeCrop(x, y, x + side, y + side)


def _share(box: AngularBox, eye: EyeProjection) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a curved box on the eye, in shares of its width."""
    along = np.linspace(0, 1, _OUTLINE_POINTS)
    yaw, pitch = np.meshgrid(
        np.radians(box.yaw_min_deg + along * (box.yaw_max_deg - box.yaw_min_deg)),
        np.radians(box.pitch_min_deg + along * (box.pitch_max_deg - box.pitch_min_deg)),
    )
    x, y = eye.pixels(np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch))
    u, v = (np.clip(at / eye.size, 0, 1) for at in (x, y))
    return float(u.min()), float(v.min()), float(u.max()), float(v.max())


def _images(look: FrameLook, quality: int) -> FrameImages:
    images = [("source", look.source), ("matte", look.matte), ("composite", look.composite)]
    if look.doubt is not None:
        images.append(("doubt", look.doubt))
    layers = tuple(_layer(name, image, quality) for name, image in images)
    return FrameImages(look.frame, layers)


def _within(images: Sequence[FrameImages], most: int) -> list[FrameImages]:
    """Keep the first images that fit into so many bytes; empty the others."""
    left = most
    kept: list[FrameImages] = []
    for each in images:
        fits = each.bytes <= left
        left -= each.bytes if fits else 0
        kept.append(each if fits else replace(each, layers=()))
    return kept


def _cropped(plane: Plane | Matte, crop: EyeCrop) -> Plane:
    """Return the crop of both eyes side by side."""
    halves = [crop.of(half_of(plane, eye)) for eye in EYES]
    return cast(Plane, np.ascontiguousarray(np.concatenate(halves, axis=1)))


def _fitted(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Resize chroma whose crop fell between its samples."""
    if plane.shape == shape:
        return plane
    size = shape[1], shape[0]
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _layer(name: str, image: Rgb | Matte, quality: int) -> ImageLayer:
    shown = image if image.ndim == 2 else image[..., ::-1]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(shown), options)
    if not done:
        raise ValueError(f"the image {name} can't be encoded")
    text = base64.b64encode(data.tobytes()).decode("ascii")
    height, width = image.shape[:2]
    return ImageLayer(name, f"data:image/jpeg;base64,{text}", width, height)
