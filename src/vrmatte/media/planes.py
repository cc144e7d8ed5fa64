"""Conversion between FFmpeg's frames and planes; copies only where layouts differ."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Colorspace

from vrmatte.frames import (
    YUVA420P,
    YUVA444P10,
    ColorTags,
    Matte,
    PixelLayout,
    PlanarFrame,
    Plane,
    StraightFrame,
)

_PRORES_FORMAT = "yuva444p12le"
"""Format to which FFmpeg decodes ProRes 4444, though it is encoded from 10 bits."""
_LIMITED_RANGE, _FULL_RANGE = 1, 2
"""FFmpeg's AVColorRange."""
_STRAIGHT_LAYOUTS = {
    YUVA420P.name: YUVA420P,
    YUVA444P10.name: YUVA444P10,
    _PRORES_FORMAT: YUVA444P10,
}


def to_planar(frame: VideoFrame, layout: PixelLayout, color: ColorTags) -> PlanarFrame:
    """Return the planes of a decoded frame, converted only if it isn't in `layout`."""
    if frame.format.is_rgb:
        # The tags from `probe` say what comes out.
        frame = frame.reformat(
            format=layout.name,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=_FULL_RANGE,
            dst_color_range=_LIMITED_RANGE,
        )
    elif frame.format.name not in (layout.name, layout.name.replace("yuv4", "yuvj4")):
        # Same matrix and range on both sides: only bit depth and subsampling change.
        same_range = _FULL_RANGE if color.full_range else _LIMITED_RANGE
        frame = frame.reformat(
            format=layout.name, src_color_range=same_range, dst_color_range=same_range
        )
    sample_bytes = np.dtype(layout.dtype).itemsize
    y, u, v = (plane_view(frame.planes[i], sample_bytes) for i in range(3))
    return PlanarFrame(y, u, v, layout, color, frame.pts or 0)


def plane_view(plane: VideoPlane, sample_bytes: int) -> Plane:
    """Return the samples of a plane as an array (H, W), a view of the frame's memory."""
    dtype = np.uint8 if sample_bytes == 1 else np.uint16
    rows = np.frombuffer(cast(Any, plane), dtype).reshape(-1, plane.line_size // sample_bytes)
    return cast(Plane, rows[: plane.height, : plane.width])


def video_frame(picture: PlanarFrame) -> VideoFrame:
    """Copy planes and colour tags into an FFmpeg frame."""
    return _filled_frame(picture, picture.y, picture.u, picture.v)


def straight_frame(straight: StraightFrame) -> VideoFrame:
    """Copy planes, alpha and colour tags into an FFmpeg frame."""
    picture = straight.picture
    return _filled_frame(picture, picture.y, picture.u, picture.v, straight.alpha)


def _filled_frame(picture: PlanarFrame, *planes: Plane) -> VideoFrame:
    frame = VideoFrame(picture.width, picture.height, picture.layout.name)
    sample_bytes = np.dtype(picture.layout.dtype).itemsize
    for target, plane in zip(frame.planes, planes, strict=True):
        plane_view(target, sample_bytes)[:] = plane
    frame.color_range = _FULL_RANGE if picture.color.full_range else _LIMITED_RANGE
    frame.colorspace = picture.color.matrix
    return frame


def straight_layout(frame: VideoFrame) -> PixelLayout | None:
    """Return the layout for `to_straight`; None if the frame has no alpha or can't be converted."""
    return _STRAIGHT_LAYOUTS.get(frame.format.name)


def to_straight(frame: VideoFrame, layout: PixelLayout, color: ColorTags) -> StraightFrame:
    """Return the planes and alpha of a decoded frame, in its `straight_layout`."""
    sample_bytes = np.dtype(layout.dtype).itemsize
    y, u, v, alpha = (plane_view(plane, sample_bytes) for plane in frame.planes)
    if frame.format.name == _PRORES_FORMAT:
        y, u, v = (_from_12_to_10_bits(plane) for plane in (y, u, v))
        # FFmpeg fills the lower bits of alpha with its upper ones, so dropping them is exact.
        alpha = cast(Plane, alpha >> 2)
    return StraightFrame(PlanarFrame(y, u, v, layout, color, frame.pts or 0), alpha)


def _from_12_to_10_bits(plane: Plane) -> Plane:
    return cast(Plane, np.minimum((plane + 2) >> 2, YUVA444P10.peak))


def grey_frame(matte: Matte) -> VideoFrame:
    """Copy a matte into a full-range grey FFmpeg frame."""
    frame = VideoFrame(matte.shape[1], matte.shape[0], "gray")
    plane_view(frame.planes[0], 1)[:] = matte
    frame.color_range = 2
    return frame
