"""Reads exactly the planned frames of a source as YUV planes, and finished files with their alpha.

Knows nothing of mattes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import av.container
import av.error
import numpy as np
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import ColorTags, Matte, PlanarFrame, Plane, StraightFrame, Timeline
from vrmatte.media.opening import open_input
from vrmatte.media.planes import plane_view, straight_layout, to_planar, to_straight
from vrmatte.media.probe import SourceInfo

_SEEK_BACK_SECONDS = (0, 2, 10, None)
"""Further and further before the wanted frame, until decoding starts early enough; None: at the
start of the file."""
OTHER_WAYS = (
    "say --on-damage hold to show the last whole frame where others are damaged, or --on-damage "
    "partial to stop before the damage"
)
"""What there is to say to a damaged file besides repair."""
_FLAGGED_LATE = frozenset({"h264"})
"""Decoders whose threads hand frames out before they know whether they are corrupt."""
_STRAY_FRAMES = 1000
"""A decoder may show so many frames more than were planned before it is taken for endless."""


def read_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Yield frames first..last-1 of `timeline`, each with exactly its planned time.

    Planes are views on the decoder's memory (8 bit: uint8, above: uint16) in `source.layout`.
    In place of frames that the timeline holds, the picture that stands in for them is shown.

    Raises:
        DamagedInputError: a planned frame is missing or corrupt, and nothing stands in for it.
    """
    position = first
    shown: PlanarFrame | None = None
    for span in timeline.held:
        if span.last <= first or span.first >= last:
            continue
        for shown in _whole_frames(source, timeline, position, span.first):
            yield shown
        if shown is None or shown.pts != timeline.pts[span.shown]:
            with closing(_whole_frames(source, timeline, span.shown, span.shown + 1)) as frames:
                shown = next(frames)
        position = min(span.last, last)
        for index in range(max(span.first, first), position):
            yield replace(shown, pts=int(timeline.pts[index]))
    yield from _whole_frames(source, timeline, position, last)


def unseen_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Frames first..last-1 in size and time, but black: for who looks at their mattes alone."""
    layout = source.layout
    black = np.zeros((), layout.dtype)
    chroma = -(-source.height >> layout.chroma_shift_y), -(-source.width >> layout.chroma_shift_x)
    y = cast(Plane, np.broadcast_to(black, (source.height, source.width)))
    u = cast(Plane, np.broadcast_to(black, chroma))
    for index in range(first, last):
        yield PlanarFrame(y, u, u, layout, source.color, int(timeline.pts[index]))


def _whole_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Frames of a span in which none is held.

    Where fast decoding meets damage, the place is decoded once more with patience: by one thread,
    going on after every error. So what is told is the very frame, however decoders run ahead.
    """
    position, is_damaged = first, False
    for seconds in _SEEK_BACK_SECONDS:
        if position >= last or (is_damaged and seconds is None):
            break
        for patient in (True,) if is_damaged else (False, True):
            position, is_late = yield from _attempt(
                source, timeline, range(position, last), seconds, patient=patient
            )
            if is_late or position == last:
                break
            is_damaged = patient
    if position < last:
        raise DamagedInputError(
            f"{source.path}: frame {position} at {timeline.seconds(position):.3f} s can't be "
            f"decoded; the file is damaged there. Copy it again or repair it; or {OTHER_WAYS}"
        )


def _attempt(
    source: SourceInfo, timeline: Timeline, span: range, seconds: int | None, *, patient: bool
) -> Generator[PlanarFrame, None, tuple[int, bool]]:
    """Yield whole frames of `span` from its first on, as far as it goes.

    A corrupt or missing frame taints all after it up to the next key frame, because they are
    predicted from it; decoders show them without a word.

    Returns:
        The first frame that was not yielded, and whether decoding began too late for it.
    """
    wanted = span.start
    target = None
    if seconds is not None:
        target = int(timeline.pts[wanted]) - round(seconds / source.time_base)
    expected: int | None = None
    tainted = False
    decoded = decode_after_seek(source, target, patient=patient)
    for count, frame in enumerate(decoded):
        index = planned_index(source, timeline, frame)
        if count > 2 * len(timeline) + _STRAY_FRAMES:
            break
        if index is None:
            continue
        if expected is None and index > wanted:
            return wanted, True
        skipped = range(index if expected is None else expected, index)
        if _all_held(timeline, range(index, index + 1)):
            expected = index if expected is None else expected
            continue  # beside damage frames may even come in a wrong order
        expected = index + 1
        tainted = (tainted or not _all_held(timeline, skipped)) and not frame.key_frame
        tainted = tainted or frame.is_corrupt
        if index < wanted:
            continue
        if tainted or index > wanted:
            return wanted, False
        yield to_planar(frame, source.layout, source.color)
        wanted += 1
        if wanted == span.stop:
            return wanted, False
    # Fast decoders that meet damage early show nothing at all; patient ones then begin too late.
    return wanted, expected is None and patient


def planned_index(source: SourceInfo, timeline: Timeline, frame: VideoFrame) -> int | None:
    """Which planned frame this is; None: one of another time or size than any that is planned."""
    if frame.pts is None or (frame.width, frame.height) != (source.width, source.height):
        return None
    index = int(np.searchsorted(timeline.pts, frame.pts))
    return index if index < len(timeline) and timeline.pts[index] == frame.pts else None


def _all_held(timeline: Timeline, indices: range) -> bool:
    return all(any(s.first <= index < s.last for s in timeline.held) for index in indices)


def decode_after_seek(
    source: SourceInfo, pts: int | None, *, patient: bool
) -> Generator[VideoFrame]:
    """Decoded frames from the key frame at or before `pts` on; None: from the start.

    Ends without a word where the file can't be decoded further: whoever waits for a frame that
    never comes names it. With `patience` one thread decodes and goes on after every error.
    """
    with open_input(source.path) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, av.VideoStream)
        if patient:
            stream.codec_context.thread_count = 1
        else:
            set_threads(stream, source)
        try:
            if pts is not None:
                container.seek(pts, stream=stream, backward=True)
            if not patient:
                yield from container.decode(stream)
                return
            for packet in container.demux(stream):
                yield from decoded_anyway(packet)
        except av.error.FFmpegError:
            return


def set_threads(stream: VideoStream, source: SourceInfo) -> None:
    """All threads, such that a corrupt frame is told from a whole one."""
    stream.thread_type = "AUTO"
    if source.codec in _FLAGGED_LATE:
        stream.codec_context.options = {"err_detect": "explode"}


def decoded_anyway(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """The frames a packet completes; none where it is damaged."""
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


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
