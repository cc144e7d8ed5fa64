"""PNG files with straight alpha, 8 or 16 bit, and colour chunks (cICP, cHRM, gAMA)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, BinaryIO, cast

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from vrmatte.colorimetry import known_code
from vrmatte.frames import ColorTags

_ROWS_AT_ONCE = 64
_FORMATS = {8: "rgba", 16: "rgba64be"}
_OPTIONS = {"pred": "up", "compression_level": "1"}
"""A tenth of the time of the best compression, which is 5 to 10 % smaller."""
_RGB = 0
_FULL_RANGE = 2


def write_png(
    file: BinaryIO,
    size: tuple[int, int],
    bits: int,
    color: ColorTags,
    paint: Callable[[int, int], npt.NDArray[Any]],
) -> None:
    """Write one image; the output depends on the arguments only, not on earlier images.

    Args:
        file: where to write it.
        size: width and height.
        bits: 8 or 16 per sample.
        color: tags of the video. Primaries and transfer are written to the file, including PQ and
            HLG; unspecified ones are written as BT.709.
        paint: renders rows first..last-1 as RGBA, shape (rows, W, 4), uint8 or uint16.
    """
    width, height = size
    frame = VideoFrame(width, height, _FORMATS[bits])
    rows = _row_bytes(frame.planes[0], 4 * width * bits // 8)
    for first in range(0, height, _ROWS_AT_ONCE):
        last = min(first + _ROWS_AT_ONCE, height)
        samples = paint(first, last).astype(">u2" if bits == 16 else "u1", copy=False)
        rows[first:last] = samples.reshape(last - first, -1).view(np.uint8)
    encoder = _encoder(size, bits, color)
    frame.color_range = _FULL_RANGE
    frame.colorspace = _RGB
    frame.color_primaries = encoder.color_primaries
    frame.color_trc = encoder.color_trc
    frame.pts = 0
    for packet in [*encoder.encode(frame), *encoder.encode(None)]:
        file.write(memoryview(cast(Any, packet)))


def read_png(content: bytes) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Decode a file that `write_png` wrote; shape (H, W, 4).

    Raises:
        ValueError: the content is damaged or of another kind.
    """
    frame = decode_picture("png", content)
    bits = {name: bits for bits, name in _FORMATS.items()}.get(frame.format.name)
    if bits is None:
        raise ValueError(f"pixel format is {frame.format.name}")
    rows = _row_bytes(frame.planes[0], 4 * frame.width * bits // 8)
    flat = np.ascontiguousarray(rows)
    if bits == 8:
        return flat.reshape(frame.height, frame.width, 4)
    return flat.view(">u2").astype(np.uint16).reshape(frame.height, frame.width, 4)


def decode_picture(codec: str, content: bytes) -> VideoFrame:
    """Decode a single image from memory, so that no file name can mislead FFmpeg.

    Raises:
        ValueError: FFmpeg can't decode it.
    """
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    decoder.options = {"err_detect": "crccheck+explode"}
    try:
        frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    except av.error.FFmpegError as error:
        raise ValueError(error.strerror or str(error)) from error
    if len(frames) != 1:
        raise ValueError(f"contains {len(frames)} images")
    return frames[0]


def _encoder(size: tuple[int, int], bits: int, color: ColorTags) -> VideoCodecContext:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = _FORMATS[bits]
    encoder.time_base = Fraction(1)
    encoder.sample_aspect_ratio = Fraction(1)
    encoder.thread_count = 1
    encoder.options = dict(_OPTIONS)
    encoder.color_primaries = known_code(color.primaries)
    encoder.color_trc = known_code(color.transfer)
    encoder.colorspace = _RGB
    encoder.color_range = _FULL_RANGE
    return encoder


def _row_bytes(plane: VideoPlane, count: int) -> npt.NDArray[np.uint8]:
    """Return the rows of a packed plane as bytes (H, count), a view of the frame's memory."""
    rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, :count]
