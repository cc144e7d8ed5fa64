"""Packets of a file, read without decoding: times, key frames, and signs of missing data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vrmatte.errors import InputError
from vrmatte.media.opening import MOST_FRAMES, MOST_TRACKS
from vrmatte.media.probe import SourceInfo
from vrmatte.progress import Advanced, Observer

_PROGRESSIVE = (0, 1)
"""FFmpeg's field orders "unknown" and "progressive"."""
PACKETS_PER_EVENT = 256
_LONG_STILL = 16
"""A frame this many times longer than usual is unlikely to be recorded that way."""
_EVEN_SHARE = 0.9
"""Share of equal steps between frames from which a frame rate counts as constant."""
_TOLERANCE_SECONDS = 0.1
"""Allowed gap between an audio track's declared and actual end, above codec delay and padding."""


@dataclass(frozen=True, slots=True)
class PacketList:
    """Times and flags of a file's packets."""

    shown_pts: list[int]
    """Sorted times of the video packets that are not flagged as hidden."""
    end_pts: int
    """End of the last of them."""
    key_pts: list[int]
    """Sorted times of the shown key packets."""
    is_complete: bool
    """Every video packet has a distinct time."""
    is_progressive: bool
    """No packet holds a single field of an interlaced frame."""
    start_seconds: Fraction
    """Start of the first packet of all streams that is shown or heard; 0 if there is none."""
    end_seconds: dict[int, float]
    """End of each stream's last undamaged packet."""
    corrupt_others: int
    """Number of packets of other streams that the container marks as damaged."""
    corrupt_pts: list[int]
    """Times of the video packets that the container marks as damaged, in stored order."""
    unreadable: str | None
    """Reason why the file can't be read to its end; None if it can."""
    digest: str
    """BLAKE2b of all packets of all streams, with their times."""


def list_packets(
    source: SourceInfo, container: InputContainer, video: VideoStream, observer: Observer
) -> PacketList:
    """Read all packets of an open file, up to its end or the first read error.

    Raises:
        InputError: there are more packets than a real file can have.
    """
    shown: list[tuple[int, int]] = []
    keys: list[int] = []
    ends: dict[int, float] = {}
    starts: dict[int, Fraction] = {}
    count = timed = corrupt_others = 0
    corrupt: list[int] = []
    reader = _PacketReader(source, container)
    digest = hashlib.blake2b(digest_size=32)
    for packet in reader:
        digest.update(f"{packet.stream_index} {packet.pts} {packet.dts} {packet.size}:".encode())
        digest.update(packet)
        corrupt_others += packet.is_corrupt and packet.stream_index != video.index
        if packet.pts is not None and not packet.is_corrupt:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
            begin = packet.pts * Fraction(packet.time_base)
            if not packet.is_discard:
                starts[packet.stream_index] = min(begin, starts.get(packet.stream_index, begin))
        if packet.stream_index != video.index:
            continue
        count += 1
        if packet.pts is not None:
            corrupt += [packet.pts] if packet.is_corrupt else []
            timed += 1
            if not packet.is_discard:
                shown.append((packet.pts, packet.duration or 0))
                keys += [packet.pts] if packet.is_keyframe else []
        if count % PACKETS_PER_EVENT == 0:
            observer(Advanced("scan", count))
    shown.sort()
    pts = [time for time, _ in shown]
    last_duration = shown[-1][1] if shown else 0
    return PacketList(
        shown_pts=pts,
        end_pts=pts[-1] + (last_duration or _average_step(pts, video)) if pts else 0,
        key_pts=sorted(keys),
        is_complete=timed == count and len(set(pts)) == len(pts),
        is_progressive=video.codec_context.field_order in _PROGRESSIVE,
        start_seconds=min(starts.values(), default=Fraction(0)),
        end_seconds=ends,
        corrupt_others=corrupt_others,
        corrupt_pts=corrupt,
        unreadable=reader.error,
        digest=digest.hexdigest(),
    )


class _PacketReader:
    """Iterator over the non-empty packets of a file, up to its end or the first read error."""

    def __init__(self, source: SourceInfo, container: InputContainer) -> None:
        self._source, self._container = source, container
        self.error: str | None = None

    def __iter__(self) -> Iterator[Packet[Any]]:
        count = 0
        try:
            for packet in self._container.demux():
                count += 1
                if count > MOST_FRAMES * MOST_TRACKS or count > self._source.size_bytes:
                    raise InputError(
                        f"{self._source.path}: gives more than {count - 1} packets, the limit for "
                        "its size. Remux it into a new file"
                    )
                if packet.size:
                    yield packet
        except av.error.FFmpegError as error:
            self.error = error.strerror or str(error)


def _average_step(pts: list[int], video: VideoStream) -> int:
    """Return the average duration of a frame in ticks, for packets without one."""
    if len(pts) > 1:
        return max(round((pts[-1] - pts[0]) / (len(pts) - 1)), 1)
    if video.average_rate and video.time_base:
        return max(round(1 / (video.average_rate * video.time_base)), 1)
    return 1


def losses(
    source: SourceInfo, container: InputContainer, video: VideoStream, packets: PacketList
) -> Iterator[str]:
    """Describe video and audio that the file declares but lacks, one message each."""
    if packets.unreadable:
        yield f"{source.path}: can't be read to its end: {packets.unreadable}"
    for stream in (video, *container.streams.audio):
        present = packets.end_seconds.get(stream.index, 0.0)
        declared = float((stream.duration or 0) * (stream.time_base or 0))
        if "mov" in source.container.split(","):
            ends = (entry.pos + entry.size for entry in stream.index_entries)
            is_cut = max(ends, default=0) > source.size_bytes
            declared += float((stream.start_time or 0) * (stream.time_base or 0))
        else:
            declared = _clock_seconds(stream.metadata.get("DURATION", "")) or declared
            is_cut = "matroska" in source.container.split(",") and present < declared - (
                _TOLERANCE_SECONDS if stream is not video else _frame_seconds(video, packets)
            )
        if is_cut:
            yield (
                f"{source.path}: is cut off: {present:.2f} of {max(declared, present):.2f} seconds "
                f"of {stream.type} are present"
            )
    gaps = gaps_in(source, packets.shown_pts)
    if gaps:
        seconds = float(packets.shown_pts[gaps[0]] * source.time_base)
        yield f"{source.path}: frames are missing ({len(gaps)} gaps, the first at {seconds:.3f} s)"
    if packets.corrupt_pts:
        yield (
            f"{source.path}: {len(packets.corrupt_pts)} stored frames are damaged, the first at "
            f"{float(packets.corrupt_pts[0] * source.time_base):.3f} s"
        )


def _frame_seconds(video: VideoStream, packets: PacketList) -> float:
    """Return 1.5 times the duration of a frame; a smaller gap is rounding, not a loss."""
    return 1.5 * float(_average_step(packets.shown_pts, video) * (video.time_base or 0))


def _clock_seconds(text: str) -> float | None:
    """Parse a Matroska DURATION tag, "HH:MM:SS.nnnnnnnnn", to seconds."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def gaps_in(source: SourceInfo, pts: Sequence[int]) -> list[int]:
    """Return the indices in `pts` of frames before which others are missing.

    A transport stream has no index, so the only trace of a lost frame is a step of twice the
    length. Other containers have an index, and uneven steps in them were recorded that way.
    """
    if "mpegts" not in source.container.split(",") or len(pts) < 3:
        return []
    steps = np.diff(np.asarray(pts, np.int64))
    usual = float(np.median(steps))
    if np.mean(np.abs(steps - usual) < usual / 4) < _EVEN_SHARE:
        return []
    return [int(at) + 1 for at in np.flatnonzero(steps > usual * 1.5)]


def longest_still(pts: Sequence[int]) -> int | None:
    """Return the index of a frame shown far longer than all others, a sign of a lost index."""
    steps = np.diff(np.asarray(pts, np.int64))
    if len(steps) < 2 or steps.max() < _LONG_STILL * float(np.median(steps)):
        return None
    return int(steps.argmax())
