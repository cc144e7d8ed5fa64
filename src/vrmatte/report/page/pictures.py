"""Small pictures of single frames as data URIs: source, matte, and people over a plain ground."""

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

GROUND_RGB = (64, 128, 112)
MOST_BYTES = 3_400_000
"""Of all pictures of a page together, as text."""
_QUALITIES = (82, 62, 40, 20)
"""JPEG, the best first."""
_ROOM_DEG = 6.0
_LEAST_DEG = 40.0
_OUTLINE_POINTS = 16


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an eye, in shares of its width and height, 0..1."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def of(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The part of an eye's plane or picture, as a view."""
        height, width = plane.shape[:2]
        rows = slice(int(self.top * height), max(int(self.bottom * height), 1))
        columns = slice(int(self.left * width), max(int(self.right * width), 1))
        return plane[rows, columns]


WHOLE = Window()


@dataclass(frozen=True, slots=True)
class Layer:
    """One picture of both eyes side by side."""

    name: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FramePictures:
    """One frame, looked at in several ways."""

    frame: int
    layers: tuple[Layer, ...]
    """Source, matte, composite, and what else is to be seen of it."""

    @property
    def bytes(self) -> int:
        """Size as text."""
        return sum(len(layer.uri) for layer in self.layers)


@dataclass(frozen=True, slots=True)
class FrameLook:
    """A part of both eyes of a frame and of its matte, made small; what pictures are drawn from."""

    frame: int
    source: Rgb
    """Both eyes side by side, shape (H, W, 3)."""
    matte: Matte
    """Shape (H, W)."""
    doubt: Rgb | None = None
    """Where the matte is in doubt, of the same size; None: not looked at."""

    @classmethod
    def of(
        cls, number: int, frame: PlanarFrame, matte: Matte, eye_px: int, window: Window = WHOLE
    ) -> FrameLook:
        """Cut the window out of each eye and shrink it to so many pixels; less stays as it is."""
        planes = [_cut_out(plane, window) for plane in (frame.y, frame.u, frame.v)]
        height, width = planes[0].shape
        small_width = min(2 * eye_px, width)
        layout = frame.layout
        chroma = -(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x)
        u, v = (_fitted(plane, chroma) for plane in planes[1:])
        source = to_rgb(replace(frame, y=planes[0], u=u, v=v), small_width)
        size = source.shape[1], source.shape[0]
        small = cv2.resize(_cut_out(matte, window), size, interpolation=cv2.INTER_AREA)
        return cls(number, source, np.asarray(small, np.uint8))

    @property
    def composite(self) -> Rgb:
        """The people over a plain ground."""
        alpha = self.matte[..., None].astype(np.float32) / 255
        over = alpha * self.source + (1 - alpha) * np.array(GROUND_RGB, np.float32)
        return np.asarray(over + 0.5, np.uint8)


def encoded(looks: Sequence[FrameLook], most_bytes: int = MOST_BYTES) -> list[FramePictures]:
    """Encode source, matte, composite and doubt of frames, all together within so many bytes.

    Args:
        looks: the frames, the most important first.
        most_bytes: coarser pictures are made, and in the end fewer, until they fit.
    """
    pictures: list[FramePictures] = []
    for quality in _QUALITIES:
        pictures = [_pictures(look, quality) for look in looks]
        if sum(each.bytes for each in pictures) <= most_bytes:
            return pictures
    return _within(pictures, most_bytes)


def window_around(bounds: Sequence[AngularBox | None], eye: EyeProjection) -> Window:
    """The part of an eye in which these boxes lie, with room around; all of it without boxes.

    A square, so that both eyes of any frame look alike on the page.
    """
    shares = [_share(box, eye) for box in bounds if box is not None]
    if not shares:
        return WHOLE
    left, top = (min(share[at] for share in shares) for at in (0, 1))
    right, bottom = (max(share[at] for share in shares) for at in (2, 3))
    room = 2 * _ROOM_DEG / eye.span_deg
    side = max(right - left + room, bottom - top + room, _LEAST_DEG / eye.span_deg)
    if side >= 1:
        return WHOLE
    x, y = ((a + b - side) / 2 for a, b in ((left, right), (top, bottom)))
    x, y = (min(max(at, 0.0), 1 - side) for at in (x, y))
    return Window(x, y, x + side, y + side)


def _share(box: AngularBox, eye: EyeProjection) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box as it curves on the eye, in shares of its width."""
    along = np.linspace(0, 1, _OUTLINE_POINTS)
    yaw, pitch = np.meshgrid(
        np.radians(box.yaw_min_deg + along * (box.yaw_max_deg - box.yaw_min_deg)),
        np.radians(box.pitch_min_deg + along * (box.pitch_max_deg - box.pitch_min_deg)),
    )
    x, y = eye.pixels(np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch))
    u, v = (np.clip(at / eye.size, 0, 1) for at in (x, y))
    return float(u.min()), float(v.min()), float(u.max()), float(v.max())


def _pictures(look: FrameLook, quality: int) -> FramePictures:
    pictures = [("source", look.source), ("matte", look.matte), ("composite", look.composite)]
    if look.doubt is not None:
        pictures.append(("doubt", look.doubt))
    layers = tuple(_layer(name, picture, quality) for name, picture in pictures)
    return FramePictures(look.frame, layers)


def _within(pictures: Sequence[FramePictures], most: int) -> list[FramePictures]:
    """The first pictures that fit into so many bytes; the others are without any."""
    left = most
    kept: list[FramePictures] = []
    for each in pictures:
        fits = each.bytes <= left
        left -= each.bytes if fits else 0
        kept.append(each if fits else replace(each, layers=()))
    return kept


def _cut_out(plane: Plane | Matte, window: Window) -> Plane:
    """The window of both eyes side by side."""
    halves = [window.of(half_of(plane, eye)) for eye in EYES]
    return cast(Plane, np.ascontiguousarray(np.concatenate(halves, axis=1)))


def _fitted(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Chroma of a window whose borders fell between its samples."""
    if plane.shape == shape:
        return plane
    size = shape[1], shape[0]
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _layer(name: str, picture: Rgb | Matte, quality: int) -> Layer:
    shown = picture if picture.ndim == 2 else picture[..., ::-1]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(shown), options)
    if not done:
        raise ValueError(f"the picture {name} can't be encoded")
    text = base64.b64encode(data.tobytes()).decode("ascii")
    height, width = picture.shape[:2]
    return Layer(name, f"data:image/jpeg;base64,{text}", width, height)
