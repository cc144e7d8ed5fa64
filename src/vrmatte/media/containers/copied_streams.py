"""Unchanged copies of the source's other streams, as far as the container accepts them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import av
import av.container
import av.error
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.packet import Packet
from av.stream import Discard, Stream

from vrmatte.media.containers.mp4_index import lacks_sample_entry
from vrmatte.media.encoders import FileFormat
from vrmatte.media.opening import open_input

_USUAL_LAYOUT = {1: "mono", 2: "stereo"}
_SEEK_MARGIN_SECONDS = 60
"""Longest subtitle that is found though it begins before the range."""
_PACKETS_TO_TRY = 8


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


Window = tuple[Fraction, Fraction | None]
"""Seconds of the source at which a finished file begins and ends; None: at its end."""


@dataclass(frozen=True, slots=True)
class CopySpan:
    """A range of the source in seconds; packets that begin in it are copied.

    Subtitles that begin before it or end after it are copied too, shortened.
    """

    start: Fraction
    end: Fraction | None = None
    """None: to the end of the source."""

    def take(self, packet: Packet[Any]) -> bool:
        """Return True if a packet is copied; shortens subtitles across the borders in place."""
        if packet.pts is None:
            return True
        tick = Fraction(packet.time_base or 1)
        if packet.stream.type == "subtitle" and packet.duration:
            return self._take_subtitle(packet, tick)
        begins = packet.pts * tick
        return self.start <= begins and (self.end is None or begins < self.end)

    def _take_subtitle(self, packet: Packet[Any], tick: Fraction) -> bool:
        assert packet.pts is not None
        first, last = packet.pts, packet.pts + (packet.duration or 0)
        begin = max(first, math.ceil(self.start / tick))
        end = last if self.end is None else min(last, math.floor(self.end / tick))
        if begin >= end:
            return False
        packet.pts = packet.dts = begin
        packet.duration = end - begin
        return True


def as_copied(stream: Stream, payload: bytes) -> bytes:
    """Return a packet's payload as MP4, MOV, Matroska and WebM store it.

    MPEG-TS carries AAC with an ADTS header before every frame (ISO/IEC 13818-7, 6.2); the other
    containers store its content once, in the header of the track.
    """
    context = cast(CodecContext | None, stream.codec_context)
    has_header = context is not None and context.name == "aac" and not context.extradata
    if has_header and len(payload) > 2 and payload[0] == 0xFF and payload[1] & 0xF6 == 0xF0:
        has_checksum = not payload[1] & 1
        return payload[9 if has_checksum else 7 :]
    return payload


def is_filler(stream: Stream, payload: bytes) -> bool:
    """Return True for the empty subtitles that MP4 stores between cues, and muxers write anew."""
    context = cast(CodecContext | None, stream.codec_context)
    return context is not None and context.name == "mov_text" and payload == b"\0\0"


def choose_carried(
    source: Path,
    indices: Sequence[int],
    container: FileFormat,
    span: CopySpan | None = None,
) -> CopiedStreams:
    """Choose the streams of `source` that a file gets: those whose trial copy can be read back.

    Chapter tracks are left to the muxer. Streams without a packet in `span` are left out.
    """
    carried: list[int] = []
    dropped: list[SkippedStream] = []
    with open_input(source) as opened:
        wanted = [opened.streams[i] for i in indices]
        streams = [stream for stream in wanted if stream.discard != Discard.all]
        first = _first_packets(opened, streams, span)
        # Before the trials, which change the times of packets to those of their containers.
        begin_of = {index: _begin(packets[0]) for index, packets in first.items()}
        for stream in streams:
            packets = first.get(stream.index)
            fault = _trial_copy(stream, packets, container) if packets else "it is empty here"
            if fault is None:
                carried.append(stream.index)
            else:
                codec = stream.codec_context.name if stream.codec_context else "unknown codec"
                dropped.append(SkippedStream(stream.index, f"{stream.type} ({codec})", fault))
        begins = [begin_of[index] for index in carried if index in begin_of]
        time_bases = [Fraction(opened.streams[i].time_base or 1) for i in carried]
    return CopiedStreams(tuple(carried), tuple(dropped), tuple(begins), tuple(time_bases))


def _begin(packet: Packet[Any]) -> Fraction:
    return (packet.pts or 0) * Fraction(packet.time_base or 1)


def _first_packets(
    source: av.container.InputContainer, streams: Sequence[Stream], span: CopySpan | None
) -> dict[int, list[Packet[Any]]]:
    """Return the first packets of each stream in a range of the source.

    Sparse streams such as subtitles are searched to the end; video isn't read.
    """
    first: dict[int, list[Packet[Any]]] = {}
    if not streams:
        return first
    for stream in source.streams:
        if stream not in streams:
            stream.discard = Discard.all
    if span is not None and span.start > 0:
        with suppress(av.error.FFmpegError):
            source.seek(int((span.start - _SEEK_MARGIN_SECONDS) * av.time_base))
    for packet in source.demux(list(streams)):
        if is_filler(packet.stream, bytes(packet)):
            continue
        if packet.size and (span is None or span.take(packet)):
            found = first.setdefault(packet.stream_index, [])
            if len(found) < _PACKETS_TO_TRY:
                found.append(packet)
        is_full = len(first) == len(streams) and all(
            len(found) == _PACKETS_TO_TRY for found in first.values()
        )
        if is_full:
            break
    return first


def _trial_copy(
    stream: Stream, packets: Sequence[Packet[Any]], container: FileFormat
) -> str | None:
    """Copy some packets into a file in memory and read them back; return why that fails, or None.

    Some containers refuse a stream only at its first packet, or write a track that can't be read.
    """
    name = "mkv" if container == "matroska" else container
    expected = b"".join(as_copied(stream, bytes(packet)) for packet in packets)
    in_memory = BytesIO()
    try:
        with av.open(in_memory, "w", format=container) as trial:
            copy = _add_copy(stream, trial)
            trial.start_encoding()
            for packet in packets:
                packet.stream = copy
                trial.mux_one(packet)
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return f"{name} doesn't support it"
    if container in ("mp4", "mov") and lacks_sample_entry(in_memory):
        return f"{name} can't describe it"
    in_memory.seek(0)
    try:
        with av.open(in_memory, "r") as written:
            copy = written.streams[0]
            payloads = (bytes(packet) for packet in written.demux() if packet.size)
            found = b"".join(each for each in payloads if not is_filler(copy, each))
    except (av.error.FFmpegError, OSError, ValueError):
        return f"its copy in {name} can't be read"
    return None if found == expected else f"its copy in {name} differs"


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
        if packet.size == 0 or is_filler(packet.stream, bytes(packet)):
            continue
        if span is not None and not span.take(packet):
            continue
        offset = round(origin / Fraction(packet.time_base or 1))
        packet.pts = None if packet.pts is None else packet.pts - offset
        packet.dts = None if packet.dts is None else packet.dts - offset
        packet.stream = copies[packet.stream_index]
        yield packet
