"""Finds every damaged frame of a video, and lays down what is shown in its place.

Containers notice little and decoders conceal much: a corrupt frame is repaired by guesses, and the
frames predicted from it are shown without a word. So every frame is decoded once; a frame that is
missing, corrupt, or of a wrong time or size damages all that is predicted from it, which is what
is stored after it up to the next key frame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import cast

import av.error
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vrmatte.errors import DamagedInputError
from vrmatte.frames import HeldSpan, Timeline
from vrmatte.media.decode import decode_after_seek, decoded_anyway, planned_index, set_threads
from vrmatte.media.opening import open_input
from vrmatte.media.packet_list import gaps_in
from vrmatte.media.probe import SourceInfo
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started
from vrmatte.settings.choices import OnDamage

DAMAGE_VERSION = 1
"""Raised whenever the same file would be found damaged at other places."""
_MOST_NAMED = 5
_REORDERED_FRAMES = 4
"""So many frames shown before a lost one may be stored after it, and predicted from it."""
_PACKETS_PER_EVENT = 64


@dataclass(frozen=True, slots=True)
class _Stored:
    """One video packet."""

    pts: int | None
    is_key: bool
    is_disposable: bool
    """No other frame is predicted from it."""
    is_corrupt: bool
    """The container knows it to be damaged."""


def read_timeline(
    source: SourceInfo,
    on_damage: OnDamage,
    observer: Observer,
    known: Sequence[HeldSpan] | None = None,
) -> Timeline:
    """Times of all frames, and what stands in for damaged ones.

    Args:
        source: the video.
        on_damage: as in `InputConfig`; "stop" leaves damage between the ends to be found later.
        observer: receives progress and notices.
        known: damage found in an earlier run on the same file, which is not looked for again.

    Raises:
        DamagedInputError: damage, where `on_damage` is "stop"; or no frame is whole.
        InputError: no frames, or no usable presentation times.
    """
    timeline = scan_timeline(source, observer, on_damage)
    if on_damage == "stop":
        return timeline
    held = find_damage(source, timeline, observer) if known is None else tuple(known)
    timeline = replace(timeline, held=held)
    if held:
        observer(Notice(_told(source, timeline)))
    return timeline


def find_damage(source: SourceInfo, timeline: Timeline, observer: Observer) -> tuple[HeldSpan, ...]:
    """Decode every frame once; returns the damaged spans, rising, and what stands in for them.

    Raises:
        DamagedInputError: not one frame is whole.
    """
    observer(Started("scan", len(timeline), f"{source.path.name}: looking for damage"))
    stored, whole = _decode_all(source, timeline, observer)
    corrupt = [packet.pts for packet in stored if packet.is_corrupt and packet.pts is not None]
    for gap in gaps_in(source, timeline.pts.tolist()):
        corrupt += timeline.pts[max(gap - _REORDERED_FRAMES, 0) : gap + 1].tolist()
    if corrupt or not whole.all():
        _look_again(source, timeline, stored, whole)
        whole &= ~np.isin(timeline.pts, corrupt)
        whole[_predicted_from(stored, timeline, whole)] = False
    observer(Finished("scan"))
    if not whole.any():
        raise DamagedInputError(f"{source.path}: not one frame is whole. Copy it again")
    return _spans(whole)


def end_before_damage(
    source: SourceInfo, timeline: Timeline, start: float | None, end: float | None
) -> float | None:
    """Where a part from `start` to `end` stops before its first damaged frame, in seconds.

    Raises:
        DamagedInputError: it begins with the damage, so nothing is before it.
    """
    first = 0 if start is None else _index_at(timeline, start)
    last = len(timeline) if end is None else _index_at(timeline, end)
    damaged = [max(s.first, first) for s in timeline.held if s.last > first and s.first < last]
    if not damaged:
        return end
    seconds = timeline.seconds(damaged[0])
    if damaged[0] == first:
        raise DamagedInputError(
            f"{source.path}: frame {first} at {seconds:.3f} s, the first to process, is damaged: "
            "nothing is before it. Begin after it with --start, or say --on-damage hold"
        )
    return seconds


def damage_report(timeline: Timeline, on_damage: OnDamage) -> dict[str, object]:
    """What was damaged, for reports; frames count from 0, `last_frame` is damaged too."""
    return {
        "on_damage": on_damage,
        "frames": sum(span.last - span.first for span in timeline.held),
        "ranges": [
            {
                "first_frame": span.first,
                "last_frame": span.last - 1,
                "start_seconds": round(timeline.seconds(span.first), 6),
                "end_seconds": round(_end_seconds(timeline, span), 6),
                "frame_shown": span.shown,
            }
            for span in timeline.held
        ],
    }


# --- looking ---------------------------------------------------------------------------------


def _decode_all(
    source: SourceInfo, timeline: Timeline, observer: Observer
) -> tuple[list[_Stored], npt.NDArray[np.bool_]]:
    """All packets in the order they are stored in, and which planned frames came whole."""
    stored: list[_Stored] = []
    whole = np.zeros(len(timeline), np.bool_)
    with open_input(source.path) as container:
        video = cast(VideoStream, container.streams[source.video_index])
        set_threads(video, source)
        with contextlib.suppress(av.error.FFmpegError):  # what comes no more is not whole
            for packet in container.demux(video):
                stored.append(_stored(packet))
                _mark_whole(source, timeline, decoded_anyway(packet), whole)
                if len(stored) % _PACKETS_PER_EVENT == 0:
                    observer(Advanced("scan", len(stored)))
    return stored, whole


def _stored(packet: Packet[VideoStream]) -> _Stored:
    return _Stored(packet.pts, packet.is_keyframe, packet.is_disposable, packet.is_corrupt)


def _mark_whole(
    source: SourceInfo,
    timeline: Timeline,
    frames: Iterable[VideoFrame],
    whole: npt.NDArray[np.bool_],
) -> None:
    for frame in frames:
        index = planned_index(source, timeline, frame)
        if index is not None and not frame.is_corrupt:
            whole[index] = True


def _look_again(
    source: SourceInfo,
    timeline: Timeline,
    stored: Sequence[_Stored],
    whole: npt.NDArray[np.bool_],
) -> None:
    """Decode groups of pictures with doubtful frames once more, by one thread.

    Threads that decode ahead lose whole frames beside a damaged one.
    """
    times = sorted(packet.pts for packet in stored if packet.is_key and packet.pts is not None)
    keys = sorted({0, *np.searchsorted(timeline.pts, times).tolist()})
    for first, last in pairwise([*keys, len(timeline)]):
        if whole[first:last].all():
            continue
        start = int(timeline.pts[first]) if first else None
        found = np.zeros(len(timeline), np.bool_)
        for frame in decode_after_seek(source, start, patient=True):
            _mark_whole(source, timeline, [frame], found)
            if frame.pts is not None and last < len(timeline) and frame.pts >= timeline.pts[last]:
                break
        whole[first:last] = found[first:last]  # threads that decode ahead may also miss damage


def _predicted_from(
    stored: Sequence[_Stored], timeline: Timeline, whole: npt.NDArray[np.bool_]
) -> list[int]:
    """Frames that came whole, yet may show what is left of damaged ones."""
    damaged = set(timeline.pts[~whole].tolist())
    tainted: list[int] = []
    is_tainted, key_pts = False, None
    for packet in stored:
        if packet.pts is None:
            continue
        if packet.is_key:
            # What is stored after a key frame and shown before it is predicted from both sides.
            key_pts = packet.pts if is_tainted else None
            is_tainted = False
        if is_tainted or (key_pts is not None and packet.pts < key_pts):
            tainted.append(packet.pts)
        if packet.pts in damaged and not packet.is_disposable:
            is_tainted = True
    return np.flatnonzero(np.isin(timeline.pts, tainted)).tolist()


def _spans(whole: npt.NDArray[np.bool_]) -> tuple[HeldSpan, ...]:
    """Runs of damaged frames; the last whole frame stands in, at the very start the next one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], whole, [True])).astype(np.int8)))
    return tuple(
        HeldSpan(first, last, first - 1 if first else last)
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    )


# --- telling ---------------------------------------------------------------------------------


def _told(source: SourceInfo, timeline: Timeline) -> str:
    named = [
        f"{span.first} to {span.last - 1} ({timeline.seconds(span.first):.2f} to "
        f"{_end_seconds(timeline, span):.2f} s)"
        for span in timeline.held[:_MOST_NAMED]
    ]
    more = len(timeline.held) - len(named)
    return (
        f"{source.path}: {sum(span.last - span.first for span in timeline.held)} of "
        f"{len(timeline)} frames are damaged, or predicted from damaged ones: "
        f"{', '.join(named)}{f' and {more} more places' if more else ''}"
    )


def _end_seconds(timeline: Timeline, span: HeldSpan) -> float:
    if span.last < len(timeline):
        return timeline.seconds(span.last)
    return float(timeline.end_pts * timeline.time_base)


def _index_at(timeline: Timeline, seconds: float) -> int:
    return int(np.searchsorted(timeline.pts, round(Fraction(seconds) / timeline.time_base)))
