"""Trials of encoders and decoders: encode a test image at a size, decode it, and compare."""

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

_TRIAL_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError, MemoryError)
_LARGEST_MEAN_ERROR = 4.0
"""Largest mean error of the decoded luma, in 8-bit steps. Lossy codecs are off by less than one on
a smooth image; a broken one is off by tens."""


@dataclass(frozen=True, slots=True)
class CodecTrial:
    """Result of coding one image."""

    encoding: str | None
    """Why encoding failed; None if it worked."""
    decoding: str | None
    """Why decoding failed or gave another image; None if it worked, or encoding already failed."""
    seconds: float


def try_codec(spec: EncoderSpec, width: int, height: int) -> CodecTrial:
    """Encode one image at a size with an encoder's real settings, then decode and compare it."""
    began = time.monotonic()
    file = BytesIO()
    image = _test_image(width, height)
    encoding = decoding = None
    try:
        _encode(spec, image, file)
    except _TRIAL_ERRORS as error:
        encoding = short_reason(error)
    else:
        try:
            decoding = compare_decoded(file, image)
        except _TRIAL_ERRORS as error:
            decoding = short_reason(error)
    return CodecTrial(encoding, decoding, time.monotonic() - began)


def _test_image(width: int, height: int) -> VideoFrame:
    """Return a horizontal plus a vertical gradient: swapped rows, columns or eyes change it."""
    across = np.linspace(32, 128, width, dtype=np.float32)
    down = np.linspace(0, 96, height, dtype=np.float32)[:, None]
    grey = VideoFrame.from_ndarray((across + down).astype(np.uint8), format="gray")
    return grey.reformat(format="yuv420p", src_color_range="JPEG", dst_color_range="JPEG")


def _encode(spec: EncoderSpec, image: VideoFrame, in_memory: BytesIO) -> None:
    with av.open(in_memory, "w", format=spec.container) as container:
        stream = container.add_stream(spec.encoder, rate=30, options=dict(spec.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = image.width, image.height
        stream.pix_fmt = spec.layout.name
        frame = image.reformat(format=spec.layout.name)
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        packets = [*stream.encode(frame), *stream.encode(None)]
        if len(packets) != 1:
            raise ValueError(f"encoding one frame gave {len(packets)} packets")
        packets[0].dts = packets[0].pts  # x265 invents a decode time for a single frame
        container.mux(packets)


def compare_decoded(in_memory: BytesIO, image: VideoFrame) -> str | None:
    """Return how a file's only frame differs from an image; None: by no more than encoders may."""
    in_memory.seek(0)
    with av.open(in_memory, "r") as container:
        frames = list(container.decode(video=0))
    if len(frames) != 1:
        return f"decoding one frame gave {len(frames)}"
    frame = frames[0]
    if (frame.width, frame.height) != (image.width, image.height):
        return f"the decoded frame is {frame.width}x{frame.height}"
    error = float(np.abs(_luma(frame) - _luma(image)).mean())
    return None if error <= _LARGEST_MEAN_ERROR else f"mean error {error:.0f}/255"


def _luma(frame: VideoFrame) -> np.ndarray:
    """Return every 16th row and column of the luma plane, in 8-bit steps."""
    plane = frame.planes[0]
    depth = frame.format.components[0].bits
    kind = np.uint8 if depth == 8 else np.dtype("<u2")
    rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)[::16, : plane.width : 16]
    return rows.astype(np.float32) / (1 << (depth - 8))
