"""Joining of finished chunks to one file, packet by packet, with the source's other streams.

Chunks have no absolute times: every coded frame gets its planned presentation time by its rank, and
decode times are computed again for the whole file. So frame times are exact for any source timing,
and no chunk border can cause two equal decode times (docs/formats.md, "Joining").
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.container
from av.packet import Packet
from av.stream import Stream

from vrmatte.errors import OutputError
from vrmatte.frames import Timeline
from vrmatte.media.containers.copied_streams import (
    CopiedStreams,
    CopySpan,
    Window,
    add_copies,
    choose_carried,
    copied_packets,
)
from vrmatte.media.containers.matroska_ticks import MatroskaClock, choose_clock, earliest_time
from vrmatte.media.encoders import FileFormat
from vrmatte.media.opening import WRITING_ERRORS, file_url, open_input, writing_error
from vrmatte.platform_support import remove_file
from vrmatte.progress import Advanced, Finished, Observer, Started

if TYPE_CHECKING:
    from av.container.core import Chapter

_LARGEST_TIMESCALE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Chunks to join, and the streams to copy beside them."""

    chunks: Sequence[Path]
    """Chunk files in order; together they hold exactly the timeline's frames."""
    timeline: Timeline
    """Times of the frames in the file."""
    target: Path
    """Path to write to directly; the caller renames it."""
    container: FileFormat
    rate: Fraction
    """Nominal frame rate, informative only."""
    source: Path | None
    """Source of the other streams; None for video only."""
    carry: tuple[int, ...] = ()
    """Indices of the source's streams to copy."""
    window: Window | None = None
    """Range of the source whose other streams are copied, from 0 on; None: all, unchanged."""


def join_chunks(request: JoinRequest, observer: Observer) -> CopiedStreams:
    """Write `request.target`; return the streams that were copied into it.

    Raises:
        OutputError, DiskFullError: the file can't be written.
        OutputError: the chunks and the timeline differ in their number of frames.
    """
    observer(Started("join", len(request.timeline), request.target.name))
    carried = CopiedStreams()
    if request.source is not None:
        span = None if request.window is None else CopySpan(*request.window)
        carried = choose_carried(request.source, request.carry, request.container, span)
    clock = _clock(request, carried)
    options = _mp4_options(request, carried)
    if clock:
        # FFmpeg takes the ticks for milliseconds, and applies its limits in seconds to them.
        options = {"max_interleave_delta": "0", "avoid_negative_ts": "disabled"}
        options["fflags"] = "+bitexact"  # otherwise every file gets a random identity
    try:
        remove_file(request.target)  # a link there would redirect the writing
        with av.open(
            file_url(request.target), "w", format=request.container, options=options
        ) as output:
            _join(request, carried, output, clock, observer)
        if clock:
            clock.set_in(request.target)
    except WRITING_ERRORS as error:
        raise writing_error(error, request.target) from error
    observer(Finished("join"))
    span = kept_span(request.window, clock.tick if clock else None)
    if request.window is None and span is not None and carried.earliest < span.start:
        return replace(carried, left_out_before=span.start)
    return carried


def _mp4_options(request: JoinRequest, carried: CopiedStreams) -> dict[str, str]:
    """Return time scales in which the times and start of every track are whole numbers."""
    scale = request.timeline.time_base.denominator
    options = {"video_track_timescale": str(scale)}
    starts_late = request.timeline.pts[0] > 0 or any(begin > 0 for begin in carried.begins)
    if starts_late or request.window is not None:
        common = math.lcm(scale, *(base.denominator for base in carried.time_bases))
        options["movie_timescale"] = str(common if common <= _LARGEST_TIMESCALE else scale)
    return options


def _clock(request: JoinRequest, carried: CopiedStreams) -> MatroskaClock | None:
    if request.container not in ("matroska", "webm"):
        return None
    earliest = carried.earliest if request.window is None else Fraction(0)
    return choose_clock(earliest, (request.timeline.time_base, *carried.time_bases))


def kept_span(window: Window | None, tick: Fraction | None) -> CopySpan | None:
    """Return the range of the source whose packets a file keeps; None for all.

    Args:
        window: range of the source that the file covers.
        tick: seconds per tick of a Matroska or WebM file, whose times can't be arbitrarily early;
            None for mp4 and mov.
    """
    if window is not None:
        return CopySpan(*window)
    return None if tick is None else CopySpan(earliest_time(tick))


def _join(
    request: JoinRequest,
    carried: CopiedStreams,
    output: av.container.OutputContainer,
    clock: MatroskaClock | None,
    observer: Observer,
) -> None:
    with open_input(request.chunks[0]) as first:
        video = output.add_stream_from_template(first.streams.video[0])
        video.codec_context.codec_tag = first.streams.video[0].codec_context.codec_tag
        # Marks that blocks have alpha beside them; without it readers ignore the alpha.
        if "alpha_mode" in first.streams.video[0].metadata:
            video.metadata["alpha_mode"] = first.streams.video[0].metadata["alpha_mode"]
    video.time_base = Fraction(1, request.timeline.time_base.denominator)
    tracks: list[Iterator[Packet[Any]]] = [_video_packets(request, video)]
    if request.source is None:
        _mux_all(output, tracks, clock, observer, video)
        return
    with open_input(request.source) as source:
        copies = add_copies(carried, source, output)
        if request.window is None or request.window[1] is None:
            begin = request.window[0] if request.window else Fraction(0)
            output.set_chapters([_shifted(chapter, begin) for chapter in source.chapters()])
        output.metadata.update(_carried_metadata(source))
        if copies:
            span = kept_span(request.window, clock.tick if clock else None)
            origin = request.window[0] if request.window else Fraction(0)
            tracks.append(copied_packets(source, copies, span, origin))
        _mux_all(output, tracks, clock, observer, video)


def _mux_all(
    output: av.container.OutputContainer,
    tracks: Sequence[Iterator[Packet[Any]]],
    clock: MatroskaClock | None,
    observer: Observer,
    video: Stream,
) -> None:
    """Interleave packets by decode time, so that the muxer buffers little."""
    done = 0
    for packet in heapq.merge(*tracks, key=_decode_seconds):
        is_video = packet.stream is video
        if clock:
            clock.rescale(packet)
        output.mux_one(packet)
        if is_video:
            done += 1
            observer(Advanced("join", done))


def _video_packets(request: JoinRequest, stream: Stream) -> Iterator[Packet[Any]]:
    """Yield all coded frames with planned presentation times and new decode times."""
    line = request.timeline
    unit = line.time_base.numerator
    pts = [int(p) * unit for p in line.pts]
    pts.append(line.end_pts * unit)
    ranks = [_display_ranks(chunk) for chunk in request.chunks]
    delay = max(index - rank for chunk in ranks for index, rank in enumerate(chunk))
    step = pts[1] - pts[0]
    if sum(map(len, ranks)) != len(line):
        raise OutputError(
            f"{request.target.name}: the chunks contain {sum(map(len, ranks))} frames instead of "
            f"{len(line)}; run the same command again to repair the broken chunk"
        )
    index = first = 0
    for chunk, chunk_ranks in zip(request.chunks, ranks, strict=True):
        for packet, rank in zip(_coded_frames(chunk), chunk_ranks, strict=True):
            shown = first + rank
            packet.pts = pts[shown]
            packet.dts = pts[index - delay] if index >= delay else pts[0] - (delay - index) * step
            packet.duration = pts[shown + 1] - pts[shown]
            packet.time_base = Fraction(1, line.time_base.denominator)
            packet.stream = stream
            yield packet
            index += 1
        first += len(chunk_ranks)


def _shifted(chapter: Chapter, begin: Fraction) -> Chapter:
    """Return a chapter with `begin` seconds subtracted from its times."""
    offset = round(begin / Fraction(chapter["time_base"] or 1))
    return {**chapter, "start": chapter["start"] - offset, "end": chapter["end"] - offset}


def _coded_frames(chunk: Path) -> Iterator[Packet[Any]]:
    with open_input(chunk) as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield packet


def _display_ranks(chunk: Path) -> list[int]:
    """Return the display rank of every coded frame, in coding order; reads no frame data."""
    times = [packet.pts or 0 for packet in _coded_frames(chunk)]
    ranks = [0] * len(times)
    for rank, index in enumerate(sorted(range(len(times)), key=times.__getitem__)):
        ranks[index] = rank
    return ranks


def _decode_seconds(packet: Packet[Any]) -> Fraction:
    time = packet.dts if packet.dts is not None else (packet.pts or 0)
    return time * Fraction(packet.time_base or 1)


def _carried_metadata(source: av.container.InputContainer) -> dict[str, str]:
    kept = ("title", "artist", "comment", "creation_time", "copyright", "date", "description")
    return {k: v for k, v in source.metadata.items() if k in kept}
