"""Unchanged copies of the source's other streams, as far as the container accepts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard, Stream

from vrmatte.media.encoders import FileFormat
from vrmatte.media.opening import open_input

_USUAL_LAYOUT = {1: "mono", 2: "stereo"}
_PACKETS_TO_SEARCH = 4000


@dataclass(frozen=True, slots=True)
class SkippedStream:
    """A stream of the source that the container doesn't support."""

    stream_index: int
    description: str
    reason: str


@dataclass(frozen=True, slots=True)
class CopiedStreams:
    """The source's other streams in a file, and those left out."""

    indices: tuple[int, ...] = ()
    """Indices of the copied streams."""
    dropped: tuple[SkippedStream, ...] = ()
    begins: tuple[Fraction, ...] = ()
    """Start of the first packet of each, in seconds; below 0 where an edit list hides it."""
    time_bases: tuple[Fraction, ...] = ()
    """Time base of each copied stream."""
    left_out_before: Fraction | None = None
    """Packets that begin before this time in seconds are left out; None if all are copied."""

    @property
    def earliest(self) -> Fraction:
        """Start of the first of all packets, in seconds."""
        return min(self.begins, default=Fraction(0))


@dataclass(frozen=True, slots=True)
class CopySpan:
    """A range of the source in seconds; packets that begin in it are copied."""

    start: Fraction
    end: Fraction | None = None
    """None: to the end of the source."""

    def holds(self, packet: Packet[Any]) -> bool:
        """Return True if a packet begins in the range or has no time."""
        if packet.pts is None:
            return True
        begins = packet.pts * Fraction(packet.time_base or 1)
        return self.start <= begins and (self.end is None or begins < self.end)


def choose_carried(source: Path, indices: Sequence[int], container: FileFormat) -> CopiedStreams:
    """Mux each stream of `source` into a trial file; chapter tracks are left to the muxer."""
    carried: list[int] = []
    dropped: list[SkippedStream] = []
    with open_input(source) as opened:
        wanted = [opened.streams[i] for i in indices]
        streams = [stream for stream in wanted if stream.discard != Discard.all]
        first = _first_packets(opened, streams)
        for stream in streams:
            if _is_accepted(stream, first.get(stream.index), container):
                carried.append(stream.index)
            else:
                codec = stream.codec_context.name if stream.codec_context else "unknown codec"
                reason = f"{'mkv' if container == 'matroska' else container} doesn't support it"
                dropped.append(SkippedStream(stream.index, f"{stream.type} ({codec})", reason))
        begins = [
            (first[i].pts or 0) * Fraction(first[i].time_base or 1) for i in carried if i in first
        ]
        time_bases = [Fraction(opened.streams[i].time_base or 1) for i in carried]
    return CopiedStreams(tuple(carried), tuple(dropped), tuple(begins), tuple(time_bases))


def _first_packets(
    source: av.container.InputContainer, streams: Sequence[Stream]
) -> dict[int, Packet[Any]]:
    """Return the first packet of each stream; sparse streams such as subtitles may have none."""
    first: dict[int, Packet[Any]] = {}
    if not streams:
        return first
    for number, packet in enumerate(source.demux(list(streams))):
        if packet.size:
            first.setdefault(packet.stream_index, packet)
        if len(first) == len(streams) or number >= _PACKETS_TO_SEARCH:
            break
    return first


def _is_accepted(stream: Stream, packet: Packet[Any] | None, container: FileFormat) -> bool:
    """Return True if the container accepts the stream; some refuse only at the first packet."""
    try:
        with av.open(BytesIO(), "w", format=container) as trial:
            copy = _add_copy(stream, trial)
            trial.start_encoding()
            if packet is not None:
                packet.stream = copy
                trial.mux_one(packet)
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return False
    return True


def _add_copy(stream: Stream, output: av.container.OutputContainer) -> Stream:
    copy = output.add_stream_from_template(stream)
    if isinstance(copy, AudioStream) and "channels" in copy.layout.name:
        # Matroska only stores the number of channels, but mp4 needs their layout.
        usual = _USUAL_LAYOUT.get(copy.layout.nb_channels)
        if usual is not None:
            copy.codec_context.layout = usual
    copy.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
    return copy


def add_copies(
    carried: CopiedStreams,
    source: av.container.InputContainer,
    output: av.container.OutputContainer,
) -> dict[int, Stream]:
    """Add the streams to `output`; return them by their index in the source."""
    return {index: _add_copy(source.streams[index], output) for index in carried.indices}


def copied_packets(
    source: av.container.InputContainer,
    copies: dict[int, Stream],
    span: CopySpan | None,
    origin: Fraction,
) -> Iterator[Packet[Any]]:
    """Yield the source's packets in `span`, with `origin` seconds subtracted from their times."""
    for packet in source.demux([source.streams[index] for index in copies]):
        if packet.size == 0 or (span is not None and not span.holds(packet)):
            continue
        offset = round(origin / Fraction(packet.time_base or 1))
        packet.pts = None if packet.pts is None else packet.pts - offset
        packet.dts = None if packet.dts is None else packet.dts - offset
        packet.stream = copies[packet.stream_index]
        yield packet
