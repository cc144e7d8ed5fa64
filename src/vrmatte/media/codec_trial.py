"""Proves encoders and decoders by use: a real picture is coded at a size, decoded, and compared."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame

from vrmatte.media.encoders import EncoderSpec, short_reason

TRIAL_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError, MemoryError)
FARTHEST_MEAN = 4.0
"""How far, in 8-bit steps, a decoded picture's luma may lie from what went in, on average. Lossy
codecs are off by less than one on a smooth picture; a wrong one is off by tens."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one picture."""

    encoding: str | None
    """Why it can't be coded; None: it was."""
    decoding: str | None
    """Why what was coded can't be decoded to the same picture; None: it can, or none was coded."""
    seconds: float


def try_codec(spec: EncoderSpec, width: int, height: int) -> Trial:
    """Code one picture at a size with an encoder's real settings, then decode and compare it."""
    began = time.monotonic()
    file = BytesIO()
    picture = _picture(width, height)
    encoding = decoding = None
    try:
        _encode(spec, picture, file)
    except TRIAL_ERRORS as error:
        encoding = short_reason(error)
    else:
        try:
            decoding = _compare(file, picture)
        except TRIAL_ERRORS as error:
            decoding = short_reason(error)
    return Trial(encoding, decoding, time.monotonic() - began)


def _picture(width: int, height: int) -> VideoFrame:
    """Two slopes, so that mixed-up rows, columns or eyes show."""
    across = np.linspace(32, 128, width, dtype=np.float32)
    down = np.linspace(0, 96, height, dtype=np.float32)[:, None]
    grey = VideoFrame.from_ndarray((across + down).astype(np.uint8), format="gray")
    return grey.reformat(format="yuv420p", src_color_range="JPEG", dst_color_range="JPEG")


def _encode(spec: EncoderSpec, picture: VideoFrame, in_memory: BytesIO) -> None:
    with av.open(in_memory, "w", format=spec.container) as container:
        stream = container.add_stream(spec.encoder, rate=30, options=dict(spec.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = picture.width, picture.height
        stream.pix_fmt = spec.layout.name
        frame = picture.reformat(format=spec.layout.name)
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        packets = [*stream.encode(frame), *stream.encode(None)]
        if len(packets) != 1:
            raise ValueError(f"{len(packets)} packets of one picture came out")
        packets[0].dts = packets[0].pts  # of a single picture x265 makes up a time
        container.mux(packets)


def _compare(in_memory: BytesIO, picture: VideoFrame) -> str | None:
    in_memory.seek(0)
    with av.open(in_memory, "r") as container:
        frames = list(container.decode(video=0))
    if len(frames) != 1:
        return f"{len(frames)} pictures of one came out"
    frame = frames[0]
    if (frame.width, frame.height) != (picture.width, picture.height):
        return f"a picture of {frame.width}x{frame.height} came out"
    apart = float(np.abs(_luma(frame) - _luma(picture)).mean())
    return None if apart <= FARTHEST_MEAN else f"the picture is {apart:.0f} of 255 off"


def _luma(frame: VideoFrame) -> np.ndarray:
    """The brightness plane in 8-bit steps, every 16th row and column."""
    plane = frame.planes[0]
    depth = frame.format.components[0].bits
    kind = np.uint8 if depth == 8 else np.dtype("<u2")
    rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)[::16, : plane.width : 16]
    return rows.astype(np.float32) / (1 << (depth - 8))
