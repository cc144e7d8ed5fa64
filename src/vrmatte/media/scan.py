"""Exact presentation times of every frame a decoder will return, and a check for missing data.

Packets are listed without decoding; the start and the end are decoded to confirm the list. If they
contradict it, the whole video is decoded. Frame counts in headers are never trusted. Damage between
start and end is detected while decoding (`damage.py`, `decode.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import Timeline
from vrmatte.media.decode import DAMAGE_ADVICE, decode_after_seek
from vrmatte.media.opening import MOST_FRAMES, open_input
from vrmatte.media.packet_list import (
    PACKETS_PER_EVENT,
    PacketList,
    list_packets,
    longest_still,
    losses,
)
from vrmatte.media.probe import SourceInfo, main_video
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started
from vrmatte.settings.choices import OnDamage

_ONE_FRAME_PER_PACKET = frozenset(
    {"h264", "hevc", "av1", "vp8", "vp9", "prores", "ffv1", "mjpeg", "dnxhd", "cfhd"}
)
_HEAD_FRAMES = 24
_SAMPLE_BYTES = 1 << 20
_LONGEST_DELAY_SECONDS = 1


def scan_timeline(source: SourceInfo, observer: Observer, on_damage: OnDamage = "stop") -> Timeline:
    """List the times of all frames the decoder will return.

    Unless `on_damage` is "stop", a truncated or damaged file is no error: the frames in it are
    listed, including damaged ones, and a notice reports what is missing.

    Raises:
        DamagedInputError: the file is shorter than it declares, or can't be decoded.
        InputError: no frames, or no usable presentation times.
    """
    observer(Started("scan", source.frames_from_header, source.path.name))
    with open_input(source.path) as container:
        video = cast(VideoStream, container.streams[source.video_index])
        packets = list_packets(source, container, video, observer)
        problems = list(losses(source, container, video, packets))
    for text in problems:
        if on_damage == "stop":
            raise DamagedInputError(f"{text}. Copy it again from its source, or {DAMAGE_ADVICE}")
        observer(Notice(text))
    if packets.corrupt_others:
        observer(
            Notice(
                f"{source.path}: {packets.corrupt_others} packets of audio or other streams are "
                "damaged; they are copied unchanged"
            )
        )
    pts, end_pts = _times(source, packets, observer, on_damage)
    missing = len(packets.shown_pts) - len(pts)
    if missing > 0:
        observer(
            Notice(
                f"{source.path}: {missing} of {len(packets.shown_pts)} stored frames have no "
                "image and are skipped (the file was cut inside a group of pictures)"
            )
        )
    still = longest_still(pts)
    if still is not None:
        first, last = (float(pts[i] * source.time_base) for i in (still, still + 1))
        observer(
            Notice(
                f"{source.path}: there is only one frame from {first:.2f} to {last:.2f} s; if it "
                "was not recorded like that, the file is damaged there. Times are kept"
            )
        )
    observer(Finished("scan"))
    return _timeline(source, pts, end_pts, packets)


def _times(
    source: SourceInfo, packets: PacketList, observer: Observer, on_damage: OnDamage
) -> tuple[list[int], int]:
    """Return the times of all frames, and the end of the last."""
    if _packets_suffice(source, packets):
        try:
            if _decoder_agrees(source, packets):
                return packets.shown_pts, packets.end_pts
        except DamagedInputError:
            if on_damage == "stop":
                raise
        if on_damage != "stop":
            return _times_despite_damage(source, packets)
    pts, end_pts = _times_by_decoding(source, observer, on_damage)
    if _packets_suffice(source, packets):
        _refuse_holes(source, packets.shown_pts, pts)
    return pts, end_pts


def _refuse_holes(source: SourceInfo, stored: list[int], shown: list[int]) -> None:
    """Refuse missing frames, except before the first key frame and a single one at the end."""
    known = set(shown)
    missing = [time for time in stored if time > shown[0] and time not in known]
    if len(missing) > 1 or any(time < shown[-1] for time in missing):
        raise DamagedInputError(
            f"{source.path}: {len(missing)} stored frames can't be decoded, the first at "
            f"{float(missing[0] * source.time_base):.3f} s. Copy it again, repair it, or "
            f"{DAMAGE_ADVICE}"
        )


def count_decoded(path: Path) -> int:
    """Count the frames the decoder returns, by decoding them all.

    Raises:
        InputError: not a video.
        DamagedInputError: a frame can't be decoded.
    """
    return sum(1 for _ in _decode(path, None))


def fingerprint(path: Path) -> str:
    """Identify a file by the SHA-256 of its size and a mebibyte each of head, middle and tail.

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


def _packets_suffice(source: SourceInfo, packets: PacketList) -> bool:
    return (
        source.codec in _ONE_FRAME_PER_PACKET
        and packets.is_progressive
        and packets.is_complete
        and bool(packets.shown_pts)
    )


def _decode(
    path: Path, index: int | None, *, seek_pts: int | None = None, threads: str = "AUTO"
) -> Iterator[VideoFrame]:
    """Yield the frames of a stream, from the key frame at or before `seek_pts` or from the start.

    Without an index the main video is decoded. With `threads` "AUTO" decoding is fastest, but
    misses an error in the very last packet; "SLICE" detects it.
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
                f"Copy it again, repair it, or {DAMAGE_ADVICE}"
            ) from error


def _decoder_agrees(source: SourceInfo, packets: PacketList) -> bool:
    """Decode the head and the last group of pictures, and compare their times with the packets.

    Detects problems invisible in packets: frames before the first key frame, leading pictures
    without their references, a decoder that drops or invents frames at the end.
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


def _times_despite_damage(source: SourceInfo, packets: PacketList) -> tuple[list[int], int]:
    """Return the times of all packets, since damaged frames are planned too.

    An undamaged packet at the end that holds no image is skipped.
    """
    pts, end_pts = packets.shown_pts, packets.end_pts
    try:
        from_key = packets.key_pts[-1] if packets.key_pts else None
        tail = _decode(source.path, source.video_index, seek_pts=from_key, threads="SLICE")
        last = max((frame.pts for frame in tail if frame.pts is not None), default=pts[-1])
    except DamagedInputError:
        return pts, end_pts
    if any(from_key is None or time >= from_key for time in packets.corrupt_pts):
        return pts, end_pts
    # A single packet at the end may hold no image; several of them are damaged.
    return (pts[:-1], pts[-1]) if len(pts) > 1 and last == pts[-2] else (pts, end_pts)


def _times_by_decoding(
    source: SourceInfo, observer: Observer, on_damage: OnDamage
) -> tuple[list[int], int]:
    """Return the times of all frames the decoder returns, and the end of the last."""
    pts: list[int] = []
    last_duration = 0
    if on_damage == "stop":
        frames = _decode(source.path, source.video_index)
    else:
        frames = decode_after_seek(source, None, tolerant=True)
    for frame in frames:
        if len(pts) > MOST_FRAMES:
            raise InputError(
                f"{source.path}: more than {MOST_FRAMES} frames, the limit. Split the video"
            )
        if frame.pts is None:
            raise InputError(
                f"{source.path}: frame {len(pts)} has no presentation time. Remux the video into "
                "MP4 or MOV first"
            )
        pts.append(frame.pts)
        last_duration = frame.duration or 0
        if len(pts) % PACKETS_PER_EVENT == 0:
            observer(Advanced("scan", len(pts)))
    if not pts:
        raise DamagedInputError(f"{source.path}: no frame can be decoded. Copy the file again")
    average = round((pts[-1] - pts[0]) / max(len(pts) - 1, 1))
    rate = source.average_rate or Fraction(30)
    return pts, pts[-1] + (last_duration or average or round(1 / (rate * source.time_base)) or 1)


def content_identity(path: Path, timeline: Timeline) -> str:
    """Identify a file by its fingerprint and all its packets, which the scan has read.

    The fingerprint alone doesn't tell a damaged file from a better copy of the same size.

    Raises:
        InputError: the file can't be read.
    """
    text = f"{fingerprint(path)} {timeline.content_digest}"
    return hashlib.sha256(text.encode()).hexdigest()


def origin_pts(source: SourceInfo, start_seconds: Fraction) -> int:
    """Return where a file begins, in units of its video's time base.

    MP4 and MOV delay a track on purpose, by an empty edit, which players show as a delay; a second
    and more comes from the clock of a recorded stream. The other containers have no such edits.
    """
    has_edits = "mov" in source.container.split(",")
    if start_seconds <= 0 or (has_edits and start_seconds < _LONGEST_DELAY_SECONDS):
        return 0
    return math.floor(start_seconds / source.time_base)


def _timeline(source: SourceInfo, pts: list[int], end_pts: int, packets: PacketList) -> Timeline:
    try:
        return Timeline(
            np.array(pts, np.int64),
            source.time_base,
            end_pts,
            origin_pts=origin_pts(source, packets.start_seconds),
            content_digest=packets.digest,
        )
    except InputError as error:
        raise InputError(
            f"{source.path}: {error}. Remux the video into MP4 or MOV first"
        ) from error
