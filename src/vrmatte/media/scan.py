"""Exact presentation times of every frame a decoder will show, and proof that the file is whole.

Packets are listed without decoding them; the start and the end are decoded to see that the list
tells the truth. Where it doesn't, all is decoded. Header counts are never believed.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import Timeline
from vrmatte.media.opening import open_input
from vrmatte.media.probe import SourceInfo, main_video
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started

_ONE_FRAME_PER_PACKET = frozenset(
    {"h264", "hevc", "av1", "vp8", "vp9", "prores", "ffv1", "mjpeg", "dnxhd", "cfhd"}
)
_PROGRESSIVE = (0, 1)
"""FFmpeg's field orders "unknown" and "progressive"."""
_HEAD_FRAMES = 24
_PACKETS_PER_EVENT = 256
_SAMPLE_BYTES = 1 << 20
_TOLERANCE_SECONDS = 0.1
"""Between a sound track's declared and found end: codec delay and padding stay below."""


@dataclass(frozen=True, slots=True)
class _PacketList:
    """What the packets of a file say, before anything is decoded."""

    shown_pts: list[int]
    """Sorted times of the video packets that are not flagged as hidden."""
    end_pts: int
    """End of the last of them."""
    key_pts: list[int]
    """Sorted times of the shown key packets."""
    is_complete: bool
    """Every video packet has a time of its own."""
    is_progressive: bool
    """No packet holds only half a frame."""
    end_seconds: dict[int, float]
    """Where each stream's last whole packet ends."""


def scan_timeline(source: SourceInfo, observer: Observer) -> Timeline:
    """List the times of all frames the decoder will show.

    Raises:
        DamagedInputError: the file is shorter than it declares, or can't be decoded.
        InputError: no frames, or no usable presentation times.
    """
    observer(Started("scan", source.frames_from_header, source.path.name))
    with open_input(source.path) as container:
        video = cast(VideoStream, container.streams[source.video_index])
        try:
            packets = _list_packets(container, video, observer)
        except av.error.FFmpegError as error:
            raise DamagedInputError(
                f"{source.path}: can't be read to its end: {error.strerror or error}. "
                "Copy it again from the camera"
            ) from error
        _check_whole(source, container, video, packets)
    if _packets_suffice(source, packets) and _decoder_agrees(source, packets):
        pts, end_pts = packets.shown_pts, packets.end_pts
    else:
        pts, end_pts = _times_by_decoding(source, observer)
        missing = len(packets.shown_pts) - len(pts)
        if missing > 0:
            observer(
                Notice(
                    f"{source.path}: {missing} of {len(packets.shown_pts)} stored frames have no "
                    "picture and are left out (the file was cut inside a group of pictures)"
                )
            )
    observer(Finished("scan"))
    return _timeline(source, pts, end_pts)


def count_decoded(path: Path) -> int:
    """Number of frames the decoder shows, by decoding them all.

    Raises:
        InputError: not a video.
        DamagedInputError: a frame can't be decoded.
    """
    return sum(1 for _ in _decode(path, None))


def fingerprint(path: Path) -> str:
    """Identity of a file: SHA-256 over its size and a mebibyte each of head, middle and tail.

    Raises:
        InputError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256(size.to_bytes(8))
            for start in (0, (size - _SAMPLE_BYTES) // 2, size - _SAMPLE_BYTES):
                file.seek(max(start, 0))
                digest.update(file.read(_SAMPLE_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read: {error}") from error
    return digest.hexdigest()


# --- packets -------------------------------------------------------------------------------------


def _list_packets(container: InputContainer, video: VideoStream, observer: Observer) -> _PacketList:
    shown: list[tuple[int, int]] = []
    keys: list[int] = []
    ends: dict[int, float] = {}
    count = timed = 0
    for packet in container.demux():
        if packet.size == 0:
            continue
        if packet.pts is not None and not packet.is_corrupt:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        if packet.stream_index != video.index:
            continue
        count += 1
        if packet.pts is not None:
            timed += 1
            if not packet.is_discard:
                shown.append((packet.pts, packet.duration or 0))
                keys += [packet.pts] if packet.is_keyframe else []
        if count % _PACKETS_PER_EVENT == 0:
            observer(Advanced("scan", count))
    shown.sort()
    pts = [time for time, _ in shown]
    last_duration = shown[-1][1] if shown else 0
    return _PacketList(
        shown_pts=pts,
        end_pts=pts[-1] + (last_duration or _average_step(pts, video)) if pts else 0,
        key_pts=sorted(keys),
        is_complete=timed == count and len(set(pts)) == len(pts),
        is_progressive=video.codec_context.field_order in _PROGRESSIVE,
        end_seconds=ends,
    )


def _average_step(pts: list[int], video: VideoStream) -> int:
    """Duration of a frame in ticks, where packets don't say it."""
    if len(pts) > 1:
        return max(round((pts[-1] - pts[0]) / (len(pts) - 1)), 1)
    if video.average_rate and video.time_base:
        return max(round(1 / (video.average_rate * video.time_base)), 1)
    return 1


def _packets_suffice(source: SourceInfo, packets: _PacketList) -> bool:
    return (
        source.codec in _ONE_FRAME_PER_PACKET
        and packets.is_progressive
        and packets.is_complete
        and bool(packets.shown_pts)
    )


# --- is the file whole? --------------------------------------------------------------------------


def _check_whole(
    source: SourceInfo, container: InputContainer, video: VideoStream, packets: _PacketList
) -> None:
    """Compare what the file declares of picture and sound with what is in it."""
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
            raise DamagedInputError(
                f"{source.path}: is cut off: {present:.2f} of {max(declared, present):.2f} seconds "
                f"of its {stream.type} are in the file. Copy it again from its source; to use what "
                "is there, remux it (a copy without re-encoding)"
            )


def _frame_seconds(video: VideoStream, packets: _PacketList) -> float:
    """A little more than a frame lasts: less than that is rounding, not loss."""
    return 1.5 * float(_average_step(packets.shown_pts, video) * (video.time_base or 0))


def _clock_seconds(text: str) -> float | None:
    """Seconds of a Matroska DURATION tag, "HH:MM:SS.nnnnnnnnn"."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


# --- decoding ------------------------------------------------------------------------------------


def _decode(
    path: Path, index: int | None, *, seek_pts: int | None = None, threads: str = "AUTO"
) -> Iterator[VideoFrame]:
    """All frames of a stream, from the key frame at or before `seek_pts` or from the start.

    Without an index it is the main video. With `threads` "AUTO" decoding is fastest, but an error
    in the very last packet goes unheard; "SLICE" hears it.
    """
    with open_input(path) as container:
        if index is None:
            video = main_video(path, container)
        else:
            video = cast(VideoStream, container.streams[index])
        video.thread_type = cast(Any, threads)
        seconds = 0.0
        try:
            if seek_pts is not None:
                container.seek(seek_pts, stream=video)
            for frame in container.decode(video):
                yield frame
                seconds = frame.time if frame.pts is not None else seconds
        except av.error.FFmpegError as error:
            raise DamagedInputError(
                f"{path}: damaged after {seconds:.2f} s: {error.strerror or error}. "
                "Copy it again, or repair or re-export it"
            ) from error


def _decoder_agrees(source: SourceInfo, packets: _PacketList) -> bool:
    """Decode the head and the last group of pictures and compare them with the packets.

    Catches what no packet shows: frames before the first key frame, leading pictures without their
    references, a decoder that drops or invents frames at the end.
    """
    pts = packets.shown_pts
    decoded = _decode(source.path, source.video_index, threads="SLICE")
    head = [frame.pts for frame in itertools.islice(decoded, _HEAD_FRAMES)]
    if head != pts[:_HEAD_FRAMES]:
        return False
    if len(pts) < _HEAD_FRAMES:
        return True
    if not packets.key_pts:
        return False
    from_key = packets.key_pts[-1]
    tail = [
        frame.pts
        for frame in _decode(source.path, source.video_index, seek_pts=from_key, threads="SLICE")
        if frame.pts is None or frame.pts >= from_key
    ]
    return tail == [time for time in pts if time >= from_key]


def _times_by_decoding(source: SourceInfo, observer: Observer) -> tuple[list[int], int]:
    """Times and end of all frames the decoder shows."""
    pts: list[int] = []
    last_duration = 0
    for frame in _decode(source.path, source.video_index):
        if frame.pts is None:
            raise InputError(
                f"{source.path}: frame {len(pts)} has no presentation time; remux the video into "
                "MP4 or MOV first"
            )
        pts.append(frame.pts)
        last_duration = frame.duration or 0
        if len(pts) % _PACKETS_PER_EVENT == 0:
            observer(Advanced("scan", len(pts)))
    if not pts:
        raise DamagedInputError(f"{source.path}: not one frame can be decoded. Copy it again")
    even = round((pts[-1] - pts[0]) / max(len(pts) - 1, 1))
    rate = source.average_rate or Fraction(30)
    return pts, pts[-1] + (last_duration or even or round(1 / (rate * source.time_base)) or 1)


def _timeline(source: SourceInfo, pts: list[int], end_pts: int) -> Timeline:
    try:
        return Timeline(np.array(pts, np.int64), source.time_base, end_pts)
    except InputError as error:
        raise InputError(
            f"{source.path}: {error}; remux the video into MP4 or MOV first"
        ) from error
