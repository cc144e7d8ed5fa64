"""Reads exactly the planned frames of a source as YUV planes, and finished files with their alpha.

Knows nothing of mattes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.codec.context import CodecContext
from av.video.frame import VideoFrame

from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import ColorTags, Matte, PlanarFrame, StraightFrame, Timeline
from vrmatte.media.opening import open_input
from vrmatte.media.planes import plane_view, straight_layout, to_planar, to_straight
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


def read_straight(path: Path) -> Generator[StraightFrame]:
    """Yield every frame of a file with straight alpha, times in the stream's time base.

    8-bit files come as yuva420p, ProRes and 10-bit FFV1 as yuva444p10le; planes may be views on
    the decoder's memory. Colour tags are those of the container.

    Raises:
        InputError: a frame has no alpha.
    """
    with open_input(path) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        color = ColorTags(
            context.color_primaries,
            context.color_trc,
            context.colorspace,
            full_range=context.color_range == 2,
        )
        for frame in decode_with_alpha(container, stream):
            layout = straight_layout(frame)
            if layout is None:
                raise InputError(
                    f"{path}: a frame is {frame.format.name}; accepted are files with alpha as "
                    "vrmatte writes them. Make the file anew"
                )
            yield to_straight(frame, layout, color)


def decode_with_alpha(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[VideoFrame]:
    """All frames of a stream, VP9 with the alpha that FFmpeg's own decoder leaves out."""
    # A copied stream's tag comes back in capitals.
    marks = {key.lower(): value for key, value in stream.metadata.items()}
    if stream.codec_context.name != "vp9" or marks.get("alpha_mode") != "1":
        stream.thread_type = "AUTO"
        yield from container.decode(stream)
        return
    decoder = CodecContext.create("libvpx-vp9", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    for packet in container.demux(stream):
        yield from decoder.decode(packet)
