"""Reads exactly the planned frames of a source as YUV planes. Knows nothing of mattes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame

from vrmatte.errors import DamagedInputError
from vrmatte.frames import Matte, PlanarFrame, Timeline
from vrmatte.media.opening import open_input
from vrmatte.media.planes import plane_view, to_planar
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
