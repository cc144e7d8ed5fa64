"""Joins finished chunks to one file, packet for packet, with the source's other streams beside.

Chunks carry no absolute time: every coded frame gets its planned presentation time by its rank, and
decode times are laid anew over the whole file. So frame times are exact for any source timing, and
no chunk border can bring two equal decode times (docs/formats.md, "Joining").
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import av
import av.container
import av.error
from av.packet import Packet
from av.stream import Stream

from vrmatte.errors import OutputError, output_error
from vrmatte.frames import Timeline
from vrmatte.media.matroska_ticks import TICKS_PER_SECOND, set_microsecond_ticks
from vrmatte.media.opening import file_url, open_input
from vrmatte.progress import Advanced, Finished, Observer, Started

Container = Literal["mp4", "matroska"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A stream of the source that the container can't carry."""

    stream_index: int
    description: str
    reason: str


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What to join, and what to lay beside it."""

    chunks: Sequence[Path]
    """Chunk files in order; together they hold exactly the timeline's frames."""
    timeline: Timeline
    target: Path
    """Written as it is named; the caller commits it."""
    container: Container
    rate: Fraction
    """Nominal frame rate, informative only."""
    source: Path | None
    """Where the other streams come from; None: video only."""
    carry: tuple[int, ...] = ()
    """Indices of the source's streams to copy."""
    window: tuple[Fraction, Fraction] | None = None
    """Seconds of the source to keep where only a part is processed; times then start at 0."""


def join_chunks(request: JoinRequest, observer: Observer) -> tuple[Dropped, ...]:
    """Write `request.target`; returns the streams that could not be carried.

    Raises:
        OutputError, DiskFullError: the file can't be written.
        OutputError: the chunks hold other frames than the timeline.
    """
    observer(Started("join", len(request.timeline), request.target.name))
    # Matroska is written on a microsecond clock (see matroska_ticks): FFmpeg believes they are
    # milliseconds, so all its limits in seconds are scaled with them.
    clock = TICKS_PER_SECOND // 1000 if request.container == "matroska" else 1
    options = (
        {"max_interleave_delta": "0", "avoid_negative_ts": "disabled"}
        if request.container == "matroska"
        else {"video_track_timescale": str(request.timeline.time_base.denominator)}
    )
    try:
        with av.open(
            file_url(request.target), "w", format=request.container, options=options
        ) as output:
            dropped = _join(request, output, clock, observer)
        if request.container == "matroska":
            set_microsecond_ticks(request.target)
    except OSError as error:
        raise output_error(error, request.target) from error
    observer(Finished("join"))
    return dropped


def _join(
    request: JoinRequest,
    output: av.container.OutputContainer,
    clock: int,
    observer: Observer,
) -> tuple[Dropped, ...]:
    with open_input(request.chunks[0]) as first:
        video = output.add_stream_from_template(first.streams.video[0])
        video.codec_context.codec_tag = first.streams.video[0].codec_context.codec_tag
    video.time_base = Fraction(1, request.timeline.time_base.denominator)
    tracks: list[Iterator[Packet[Any]]] = [_video_packets(request, video)]
    if request.source is None:
        _mux_all(output, tracks, clock, observer, video)
        return ()
    with open_input(request.source) as source:
        copies, dropped = _add_copies(request, source, output)
        if request.window is None:
            output.set_chapters(source.chapters())
        output.metadata.update(_carried_metadata(source))
        if copies:
            tracks.append(_copied_packets(request, source, copies))
        _mux_all(output, tracks, clock, observer, video)
    return dropped


def _mux_all(
    output: av.container.OutputContainer,
    tracks: Sequence[Iterator[Packet[Any]]],
    clock: int,
    observer: Observer,
    video: Stream,
) -> None:
    """Interleave by decode time, so that the muxer never has to hold much."""
    done = 0
    for packet in heapq.merge(*tracks, key=_decode_seconds):
        is_video = packet.stream is video
        if clock != 1:
            _rescale(packet, clock)
        output.mux_one(packet)
        if is_video:
            done += 1
            observer(Advanced("join", done))


def _video_packets(request: JoinRequest, stream: Stream) -> Iterator[Packet[Any]]:
    """All coded frames with planned presentation times and freshly laid decode times."""
    line = request.timeline
    unit = line.time_base.numerator
    offset = _origin(request, line.time_base)
    pts = [(int(p) - offset) * unit for p in line.pts]
    pts.append((line.end_pts - offset) * unit)
    ranks = [_display_ranks(chunk) for chunk in request.chunks]
    delay = max(index - rank for chunk in ranks for index, rank in enumerate(chunk))
    step = pts[1] - pts[0]
    if sum(map(len, ranks)) != len(line):
        raise OutputError(
            f"{request.target.name}: the chunks hold {sum(map(len, ranks))} frames, planned were "
            f"{len(line)}; run the same command again to make the broken chunk anew"
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


def _origin(request: JoinRequest, time_base: Fraction) -> int:
    """What to subtract from every time, in `time_base` units."""
    return 0 if request.window is None else round(request.window[0] / time_base)


def _coded_frames(chunk: Path) -> Iterator[Packet[Any]]:
    with open_input(chunk) as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield packet


def _display_ranks(chunk: Path) -> list[int]:
    """Display rank of every coded frame, in coding order; holds times only, no pictures."""
    times = [packet.pts or 0 for packet in _coded_frames(chunk)]
    ranks = [0] * len(times)
    for rank, index in enumerate(sorted(range(len(times)), key=times.__getitem__)):
        ranks[index] = rank
    return ranks


def _decode_seconds(packet: Packet[Any]) -> Fraction:
    time = packet.dts if packet.dts is not None else (packet.pts or 0)
    return time * Fraction(packet.time_base or 1)


def _rescale(packet: Packet[Any], clock: int) -> None:
    """Put a packet on the microsecond clock that FFmpeg takes for milliseconds."""
    scale = Fraction(packet.time_base or 1) * TICKS_PER_SECOND
    duration = packet.duration or 0
    pts, dts = packet.pts, packet.dts
    packet.time_base = Fraction(clock, TICKS_PER_SECOND)
    packet.pts = None if pts is None else round(pts * scale)
    packet.dts = None if dts is None else round(dts * scale)
    packet.duration = round(duration * scale)


def _add_copies(
    request: JoinRequest,
    source: av.container.InputContainer,
    output: av.container.OutputContainer,
) -> tuple[dict[int, Stream], tuple[Dropped, ...]]:
    copies: dict[int, Stream] = {}
    dropped: list[Dropped] = []
    for index in request.carry:
        stream = source.streams[index]
        refusal = _carry_refusal(stream, request.container)
        if refusal is not None:
            codec = stream.codec_context.name if stream.codec_context else "unknown codec"
            dropped.append(Dropped(index, f"{stream.type} ({codec})", refusal))
            continue
        copy = output.add_stream_from_template(stream)
        copy.metadata.update(
            {k: v for k, v in stream.metadata.items() if k in ("language", "title")}
        )
        copies[index] = copy
    return copies, tuple(dropped)


def _carry_refusal(stream: Stream, container: Container) -> str | None:
    """Whether the container takes this stream: found out by writing a header with it alone."""
    try:
        with av.open(BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        del error
        return f"{'mp4' if container == 'mp4' else 'mkv'} can't carry it"
    return None


def _copied_packets(
    request: JoinRequest, source: av.container.InputContainer, copies: dict[int, Stream]
) -> Iterator[Packet[Any]]:
    for packet in source.demux([source.streams[index] for index in copies]):
        if packet.size == 0 or not in_window(packet, request.window):
            continue
        if request.window is not None:
            offset = round(request.window[0] / Fraction(packet.time_base or 1))
            packet.pts = None if packet.pts is None else packet.pts - offset
            packet.dts = None if packet.dts is None else packet.dts - offset
        packet.stream = copies[packet.stream_index]
        yield packet


def in_window(packet: Packet[Any], window: tuple[Fraction, Fraction] | None) -> bool:
    """Whether a packet of the source belongs to the processed part."""
    if window is None or packet.pts is None:
        return True
    start = packet.pts * Fraction(packet.time_base or 1)
    return window[0] <= start < window[1]


def _carried_metadata(source: av.container.InputContainer) -> dict[str, str]:
    kept = ("title", "artist", "comment", "creation_time", "copyright", "date", "description")
    return {k: v for k, v in source.metadata.items() if k in kept}
