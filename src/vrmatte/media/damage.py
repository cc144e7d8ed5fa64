"""Detection of all damaged frames of a video, and the choice of frames that replace them.

Containers detect little damage and decoders conceal much: they repair a corrupt frame by guessing,
and return the frames predicted from it without a warning. So every frame is decoded once. A frame
that is missing, corrupt, or of a wrong time or size damages all frames predicted from it: those
stored after it, up to the next key frame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
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
from vrmatte.media.decode import decode_after_seek, decode_or_skip, planned_index, set_threads
from vrmatte.media.opening import open_input
from vrmatte.media.packet_list import gaps_in
from vrmatte.media.probe import SourceInfo
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started
from vrmatte.settings.choices import OnDamage

DAMAGE_VERSION = 1
"""Incremented whenever detection would give other results for the same file."""
_MOST_NAMED = 5
_REORDERED_FRAMES = 4
"""Number of frames shown before a lost one that may be stored after it and predicted from it."""
_PACKETS_PER_EVENT = 64


@dataclass(frozen=True, slots=True)
class _StoredPacket:
    """One video packet."""

    pts: int | None
    is_key: bool
    is_disposable: bool
    """No other frame is predicted from it."""
    is_corrupt: bool
    """The container marks it as damaged."""


def _unknown(_timeline: Timeline) -> None:
    """Report that no earlier run looked for damage."""


def read_timeline(
    source: SourceInfo,
    on_damage: OnDamage,
    observer: Observer,
    known: Callable[[Timeline], Sequence[HeldSpan] | None] = _unknown,
) -> Timeline:
    """Read the times of all frames, and find replacements for damaged ones.

    Args:
        source: the video.
        on_damage: as in `InputConfig`; "stop" leaves damage between both ends to the decoder.
        observer: receives progress and notices.
        known: returns damage that an earlier run found in the same file, which skips the detection;
            None: there was none.

    Raises:
        DamagedInputError: damage, where `on_damage` is "stop"; or no frame is intact.
        InputError: no frames, or no usable presentation times.
    """
    timeline = scan_timeline(source, observer, on_damage)
    if on_damage == "stop":
        return timeline
    found = known(timeline)
    held = find_damage(source, timeline, observer) if found is None else tuple(found)
    timeline = replace(timeline, held=held)
    if held:
        observer(Notice(_damage_text(source, timeline)))
    return timeline


def find_damage(source: SourceInfo, timeline: Timeline, observer: Observer) -> tuple[HeldSpan, ...]:
    """Decode every frame once; return the damaged ranges in ascending order.

    Raises:
        DamagedInputError: no frame is intact.
    """
    observer(Started("scan", len(timeline), f"{source.path.name}: checking for damage"))
    stored, intact = _decode_all(source, timeline, observer)
    corrupt = [packet.pts for packet in stored if packet.is_corrupt and packet.pts is not None]
    for gap in gaps_in(source, timeline.pts.tolist()):
        corrupt += timeline.pts[max(gap - _REORDERED_FRAMES, 0) : gap + 1].tolist()
    if corrupt or not intact.all():
        _decode_doubtful_again(source, timeline, stored, intact)
        intact &= ~np.isin(timeline.pts, corrupt)
        intact[_predicted_from_damage(stored, timeline, intact)] = False
    observer(Finished("scan"))
    if not intact.any():
        raise DamagedInputError(f"{source.path}: no frame is intact. Copy the file again")
    return _damaged_spans(intact)


def end_before_damage(
    source: SourceInfo, timeline: Timeline, start: float | None, end: float | None
) -> float | None:
    """Return the time in seconds at which the range from `start` to `end` meets its first damage.

    Without damage in the range this is `end`.

    Raises:
        DamagedInputError: the first frame of the range is damaged.
    """
    first = 0 if start is None else _index_at(timeline, start)
    last = len(timeline) if end is None else _index_at(timeline, end)
    damaged = [max(s.first, first) for s in timeline.held if s.last > first and s.first < last]
    if not damaged:
        return end
    seconds = timeline.seconds(damaged[0])
    if damaged[0] == first:
        raise DamagedInputError(
            f"{source.path}: frame {first} at {seconds:.3f} s, the first to process, is damaged. "
            "Begin after it with --start, or use --on-damage hold"
        )
    return seconds


def damage_report(timeline: Timeline, on_damage: OnDamage) -> dict[str, object]:
    """Describe the damage for reports; frames count from 0, and `last_frame` is damaged too."""
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


def _decode_all(
    source: SourceInfo, timeline: Timeline, observer: Observer
) -> tuple[list[_StoredPacket], npt.NDArray[np.bool_]]:
    """Return all packets in stored order, and a flag per planned frame that it is intact."""
    stored: list[_StoredPacket] = []
    intact = np.zeros(len(timeline), np.bool_)
    with open_input(source.path) as container:
        video = cast(VideoStream, container.streams[source.video_index])
        set_threads(video, source)
        with contextlib.suppress(av.error.FFmpegError):  # frames after the error are not intact
            for packet in container.demux(video):
                stored.append(_stored(packet))
                _mark_intact(source, timeline, decode_or_skip(packet), intact)
                if len(stored) % _PACKETS_PER_EVENT == 0:
                    observer(Advanced("scan", len(stored)))
    return stored, intact


def _stored(packet: Packet[VideoStream]) -> _StoredPacket:
    return _StoredPacket(packet.pts, packet.is_keyframe, packet.is_disposable, packet.is_corrupt)


def _mark_intact(
    source: SourceInfo,
    timeline: Timeline,
    frames: Iterable[VideoFrame],
    intact: npt.NDArray[np.bool_],
) -> None:
    for frame in frames:
        index = planned_index(source, timeline, frame)
        if index is not None and not frame.is_corrupt:
            intact[index] = True


def _decode_doubtful_again(
    source: SourceInfo,
    timeline: Timeline,
    stored: Sequence[_StoredPacket],
    intact: npt.NDArray[np.bool_],
) -> None:
    """Decode groups of pictures with doubtful frames once more, on a single thread.

    Multithreaded decoders lose intact frames next to a damaged one.
    """
    times = sorted(packet.pts for packet in stored if packet.is_key and packet.pts is not None)
    keys = sorted({0, *np.searchsorted(timeline.pts, times).tolist()})
    for first, last in pairwise([*keys, len(timeline)]):
        if intact[first:last].all():
            continue
        start = int(timeline.pts[first]) if first else None
        again = np.zeros(len(timeline), np.bool_)
        for frame in decode_after_seek(source, start, tolerant=True):
            _mark_intact(source, timeline, [frame], again)
            if frame.pts is not None and last < len(timeline) and frame.pts >= timeline.pts[last]:
                break
        intact[first:last] = again[first:last]  # multithreaded decoders may also miss damage


def _predicted_from_damage(
    stored: Sequence[_StoredPacket], timeline: Timeline, intact: npt.NDArray[np.bool_]
) -> list[int]:
    """Return frames that look intact but may be predicted from damaged ones."""
    damaged = set(timeline.pts[~intact].tolist())
    tainted: list[int] = []
    is_tainted, key_pts = False, None
    for packet in stored:
        if packet.pts is None:
            continue
        if packet.is_key:
            # Frames stored after a key frame but shown before it are predicted from both sides.
            key_pts = packet.pts if is_tainted else None
            is_tainted = False
        if is_tainted or (key_pts is not None and packet.pts < key_pts):
            tainted.append(packet.pts)
        if packet.pts in damaged and not packet.is_disposable:
            is_tainted = True
    return np.flatnonzero(np.isin(timeline.pts, tainted)).tolist()


def _damaged_spans(intact: npt.NDArray[np.bool_]) -> tuple[HeldSpan, ...]:
    """Assign each damaged range the intact frame before it; at the start, the one after it."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], intact, [True])).astype(np.int8)))
    return tuple(
        HeldSpan(first, last, first - 1 if first else last)
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    )


def _damage_text(source: SourceInfo, timeline: Timeline) -> str:
    named = [
        f"{span.first} to {span.last - 1} ({timeline.seconds(span.first):.2f} to "
        f"{_end_seconds(timeline, span):.2f} s)"
        for span in timeline.held[:_MOST_NAMED]
    ]
    more = len(timeline.held) - len(named)
    return (
        f"{source.path}: {sum(span.last - span.first for span in timeline.held)} of "
        f"{len(timeline)} frames are damaged, or predicted from damaged ones: "
        f"{', '.join(named)}{f' and {more} more ranges' if more else ''}"
    )


def _end_seconds(timeline: Timeline, span: HeldSpan) -> float:
    if span.last < len(timeline):
        return timeline.seconds(span.last)
    return timeline.end_seconds


def _index_at(timeline: Timeline, seconds: float) -> int:
    return int(np.searchsorted(timeline.pts, round(Fraction(seconds) / timeline.time_base)))
