"""Reads exactly the planned frames of a source as YUV planes. Knows nothing of mattes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from vrmatte.errors import DamagedInputError
from vrmatte.frames import ColorTags, Matte, PixelLayout, Plane, PlanarFrame, Timeline
from vrmatte.media.opening import open_input
from vrmatte.media.probe import SourceInfo

_SEEK_BACK_SECONDS = (0, 2, 10)
"""Further and further before the wanted frame, until decoding starts early enough."""


def read_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Yield frames first..last-1 of `timeline`, each with exactly its planned time.

    Planes are views on the decoder's memory (8 bit: uint8, above: uint16) in `source.layout`.

    Raises:
        DamagedInputError: a planned frame can't be decoded.
    """
    wanted = timeline.pts[first:last]
    position = 0
    for frame in _frames_from(source, int(wanted[0])):
        if frame.pts is None or frame.pts < wanted[position]:
            continue
        if frame.pts != wanted[position]:
            break
        yield to_planar(frame, source.layout, source.color)
        position += 1
        if position == len(wanted):
            return
    at = first + position
    raise DamagedInputError(
        f"{source.path}: frame {at} at {timeline.seconds(at):.3f} s can't be decoded; the file is "
        "damaged there. Repair or re-export it, or leave the place out with --start and --end"
    )


def _frames_from(source: SourceInfo, pts: int) -> Iterator[VideoFrame]:
    """Decoded frames, the first of them at or before `pts`."""
    for seconds in _SEEK_BACK_SECONDS:
        target = pts - round(seconds / source.time_base)
        frames = _decode_after_seek(source, target)
        start = next(frames, None)
        if start is not None and start.pts is not None and start.pts <= pts:
            yield start
            yield from frames
            return
        frames.close()
    yield from _decode_after_seek(source, None)


def _decode_after_seek(source: SourceInfo, pts: int | None) -> Generator[VideoFrame]:
    with open_input(source.path) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        try:
            if pts is not None:
                container.seek(pts, stream=stream, backward=True)
            yield from container.decode(stream)
        except (av.error.InvalidDataError, av.error.EOFError):
            return  # whoever waits for a frame that never comes names it


def read_grey(path: Path) -> Generator[tuple[int, Matte]]:
    """Yield (pts, matte) of a lossless grey video, in presentation order."""
    with open_input(path) as container:
        for frame in container.decode(video=0):
            yield frame.pts or 0, np.array(plane_view(frame.planes[0], 1), dtype=np.uint8)


def to_planar(frame: VideoFrame, layout: PixelLayout, color: ColorTags) -> PlanarFrame:
    """A decoded frame as planes in `layout`; converts only where the source has another layout."""
    if frame.format.name not in (layout.name, layout.name.replace("yuv4", "yuvj4")):
        # Same matrix and range on both sides: only bit depth and subsampling change.
        same_range = 2 if color.full_range else 1
        frame = frame.reformat(
            format=layout.name, src_color_range=same_range, dst_color_range=same_range
        )
    sample_bytes = np.dtype(layout.dtype).itemsize
    y, u, v = (plane_view(frame.planes[i], sample_bytes) for i in range(3))
    return PlanarFrame(y, u, v, layout, color, frame.pts or 0)


def plane_view(plane: VideoPlane, sample_bytes: int) -> Plane:
    """The samples of a plane as an array (H, W) on the frame's own memory."""
    dtype = np.uint8 if sample_bytes == 1 else np.uint16
    row_samples = plane.line_size // sample_bytes
    return np.frombuffer(plane, dtype).reshape(-1, row_samples)[: plane.height, : plane.width]
