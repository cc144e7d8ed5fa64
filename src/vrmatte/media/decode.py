"""Decoding: exactly the planned frames of a source as YUV planes, and finished files with alpha."""

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

from vrmatte.errors import DamagedInputError
from vrmatte.frames import Matte, PlanarFrame, Plane, Timeline
from vrmatte.media.opening import open_input
from vrmatte.media.planes import plane_view, to_planar
from vrmatte.media.probe import SourceInfo

_SEEK_BACK_SECONDS = (0, 2, 10, None)
"""Distances before the wanted frame to seek to, until decoding starts early enough; None: start of
the file."""
DAMAGE_ADVICE = (
    "use --on-damage hold to repeat the last intact frame in place of damaged ones, or --on-damage "
    "partial to stop before the damage"
)
"""Alternatives to repairing a damaged file, for error messages."""
_FLAGGED_LATE = frozenset({"h264"})
"""Decoders whose threads return frames before they know that these are corrupt."""
_STRAY_FRAMES = 1000
"""A decoder that returns this many frames more than planned is taken for endless."""


def read_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Yield frames first..last-1 of `timeline`, each with exactly its planned time.

    Planes are views of the decoder's memory (8 bit: uint8, above: uint16) in `source.layout`.
    Frames in the timeline's `held` ranges are replaced by the frame that the range names.

    Raises:
        DamagedInputError: a planned frame is missing or corrupt, and has no replacement.
    """
    position = first
    shown: PlanarFrame | None = None
    for span in timeline.held:
        if span.last <= first or span.first >= last:
            continue
        for shown in _intact_frames(source, timeline, position, span.first):
            yield shown
        if shown is None or shown.pts != timeline.pts[span.shown]:
            with closing(_intact_frames(source, timeline, span.shown, span.shown + 1)) as frames:
                shown = next(frames)
        position = min(span.last, last)
        for index in range(max(span.first, first), position):
            yield replace(shown, pts=int(timeline.pts[index]))
    yield from _intact_frames(source, timeline, position, last)


def black_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Yield black frames with the size and times of frames first..last-1, without decoding."""
    layout = source.layout
    black = np.zeros((), layout.dtype)
    chroma = -(-source.height >> layout.chroma_shift_y), -(-source.width >> layout.chroma_shift_x)
    y = cast(Plane, np.broadcast_to(black, (source.height, source.width)))
    u = cast(Plane, np.broadcast_to(black, chroma))
    for index in range(first, last):
        yield PlanarFrame(y, u, u, layout, source.color, int(timeline.pts[index]))


def _intact_frames(
    source: SourceInfo, timeline: Timeline, first: int, last: int
) -> Generator[PlanarFrame]:
    """Yield the frames of a range that contains no held ones.

    Where fast decoding meets damage, the range is decoded again in tolerant mode: on one thread,
    continuing after every error. So the error names the exact frame, however far decoders run
    ahead.
    """
    position, is_damaged = first, False
    for seconds in _SEEK_BACK_SECONDS:
        if position >= last or (is_damaged and seconds is None):
            break
        for tolerant in (True,) if is_damaged else (False, True):
            position, is_late = yield from _attempt(
                source, timeline, range(position, last), seconds, tolerant=tolerant
            )
            if is_late or position == last:
                break
            is_damaged = tolerant
    if position < last:
        raise DamagedInputError(
            f"{source.path}: frame {position} at {timeline.seconds(position):.3f} s can't be "
            f"decoded; the file is damaged there. Copy it again, repair it, or {DAMAGE_ADVICE}"
        )


def _attempt(
    source: SourceInfo, timeline: Timeline, span: range, seconds: int | None, *, tolerant: bool
) -> Generator[PlanarFrame, None, tuple[int, bool]]:
    """Yield intact frames from the start of `span` up to the first damaged one.

    A corrupt or missing frame taints all after it up to the next key frame, because they are
    predicted from it; decoders return them without a warning.

    Returns:
        The first frame that was not yielded, and True if decoding began too late for it.
    """
    wanted = span.start
    target = None
    if seconds is not None:
        target = int(timeline.pts[wanted]) - round(seconds / source.time_base)
    expected: int | None = None
    tainted = False
    decoded = decode_after_seek(source, target, tolerant=tolerant)
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
            continue  # near damage, frames may even arrive out of order
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
    # Fast decoders that meet damage early return nothing; tolerant ones then begin too late.
    return wanted, expected is None and tolerant


def planned_index(source: SourceInfo, timeline: Timeline, frame: VideoFrame) -> int | None:
    """Return the index of the planned frame with this time and size; None if there is none."""
    if frame.pts is None or (frame.width, frame.height) != (source.width, source.height):
        return None
    index = int(np.searchsorted(timeline.pts, frame.pts))
    return index if index < len(timeline) and timeline.pts[index] == frame.pts else None


def _all_held(timeline: Timeline, indices: range) -> bool:
    return all(any(s.first <= index < s.last for s in timeline.held) for index in indices)


def decode_after_seek(
    source: SourceInfo, pts: int | None, *, tolerant: bool
) -> Generator[VideoFrame]:
    """Yield decoded frames from the key frame at or before `pts`, or from the start (None).

    Ends without an error where the file can't be decoded further; the caller reports a missing
    frame. With `tolerant`, a single thread decodes and continues after every error.
    """
    with open_input(source.path) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, av.VideoStream)
        if tolerant:
            stream.codec_context.thread_count = 1
        else:
            set_threads(stream, source)
        try:
            if pts is not None:
                container.seek(pts, stream=stream, backward=True)
            if not tolerant:
                yield from container.decode(stream)
                return
            for packet in container.demux(stream):
                yield from decode_or_skip(packet)
        except av.error.FFmpegError:
            return


def set_threads(stream: VideoStream, source: SourceInfo) -> None:
    """Decode on all threads, in a mode that marks corrupt frames reliably."""
    stream.thread_type = "AUTO"
    if source.codec in _FLAGGED_LATE:
        stream.codec_context.options = {"err_detect": "explode"}


def decode_or_skip(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """Return the frames that a packet completes; none if it is damaged."""
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


def read_grey(path: Path) -> Generator[tuple[int, Matte]]:
    """Yield (pts, matte) of a lossless grey video, in presentation order."""
    with open_input(path) as container:
        for frame in container.decode(video=0):
            yield frame.pts or 0, np.array(plane_view(frame.planes[0], 1), dtype=np.uint8)


def decode_with_alpha(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[VideoFrame]:
    """Yield all frames of a stream; VP9 with the alpha that FFmpeg's own decoder ignores."""
    # The tag of a copied stream is returned in capitals.
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if stream.codec_context.name != "vp9" or tags.get("alpha_mode") != "1":
        stream.thread_type = "AUTO"
        yield from container.decode(stream)
        return
    decoder = CodecContext.create("libvpx-vp9", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    for packet in container.demux(stream):
        yield from decoder.decode(packet)
