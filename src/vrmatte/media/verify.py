"""Verification of finished files: every frame at its time, and every copied packet.

FFmpeg's exit code proves little (it is 0 for truncated and half-joined files), so files are decoded
and counted. Callers can inspect each decoded frame meanwhile.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from vrmatte.errors import VerificationError
from vrmatte.frames import Timeline
from vrmatte.media.containers.copied_streams import CopySpan, Window, as_copied, is_filler
from vrmatte.media.decode import decode_with_alpha
from vrmatte.media.join import kept_span
from vrmatte.media.opening import open_input
from vrmatte.media.planes import straight_layout
from vrmatte.progress import Advanced, Finished, Observer, Started

_SLACK_SECONDS = 1e-9
"""Doubles hold the seconds of a day to 1e-11."""


@dataclass(frozen=True, slots=True)
class PacketDigest:
    """Summary of one stream's packets."""

    packets: int
    bytes: int
    sha256: str
    """Digest of all payloads."""


class _StreamTally:
    """Accumulator of the packets of one stream."""

    def __init__(self, stream: Stream) -> None:
        context = cast(Any, stream).codec_context
        self._stream = stream
        self.tick = float(stream.time_base or 1)
        self.is_pcm = context is not None and context.name.startswith("pcm_")
        self._payloads = hashlib.sha256()
        self._packets = self._bytes = 0
        self._seconds = array("d")

    def add(self, packet: Packet[Any]) -> None:
        payload = as_copied(self._stream, bytes(packet))
        self._payloads.update(payload)
        self._packets += 1
        self._bytes += len(payload)
        self._seconds.append(float((packet.pts or 0) * Fraction(packet.time_base or 1)))

    @property
    def digest(self) -> PacketDigest:
        return PacketDigest(self._packets, self._bytes, self._payloads.hexdigest())

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Start times of the packets; only the first of PCM, which containers split differently."""
        return np.array(self._seconds[:1] if self.is_pcm else self._seconds)


def verify_copies(
    path: Path,
    source: Path,
    carried: Sequence[int],
    window: Window | None = None,
) -> list[PacketDigest]:
    """Compare the streams after the video of `path` with the source's `carried` streams.

    Raises:
        VerificationError: a payload or a time differs.
    """
    if not carried:
        return []
    with open_input(path) as container:
        present = [s.index for s in container.streams if s.type != "video"][: len(carried)]
        is_matroska = "matroska" in container.format.name.split(",")
        clock_tick = container.streams.video[0].time_base if is_matroska else None
    if len(present) != len(carried):
        raise VerificationError(
            f"{path}: contains {len(present)} of {len(carried)} copied audio and subtitle streams"
        )
    copies = _tallies(path, present, None)
    originals = _tallies(source, carried, kept_span(window, clock_tick))
    origin = float(window[0]) if window else 0.0
    for index, copy, original in zip(carried, copies, originals, strict=True):
        where = f"{path}: the copy of source stream {index}"
        _check_payload(where, copy, original)
        _check_times(where, copy, original, origin, may_guess_hidden=is_matroska)
    return [copy.digest for copy in copies]


def _tallies(path: Path, indices: Sequence[int], span: CopySpan | None) -> list[_StreamTally]:
    with open_input(path) as container:
        tallies = {index: _StreamTally(container.streams[index]) for index in indices}
        for packet in container.demux([container.streams[i] for i in indices]):
            if packet.size == 0 or is_filler(packet.stream, bytes(packet)):
                continue
            if span is None or span.take(packet):
                tallies[packet.stream_index].add(packet)
    return list(tallies.values())


def _check_payload(where: str, copy: _StreamTally, original: _StreamTally) -> None:
    ours, theirs = copy.digest, original.digest
    same = ours.sha256 == theirs.sha256 if original.is_pcm else ours == theirs
    if not same:
        raise VerificationError(
            f"{where} differs: {ours.packets} packets ({ours.bytes} bytes) instead of "
            f"{theirs.packets} ({theirs.bytes} bytes)"
        )


def _check_times(
    where: str, copy: _StreamTally, original: _StreamTally, origin: float, *, may_guess_hidden: bool
) -> None:
    """Compare packet times with the source's, to within half a tick of the coarser clock of both.

    Args:
        where: prefix of the error.
        copy: stream of the finished file.
        original: stream of the source.
        origin: seconds that were subtracted from all times.
        may_guess_hidden: readers of Matroska guess the times of packets before 0; ignore those.
    """
    expected, actual = original.seconds - origin, copy.seconds
    tolerance = max(original.tick, copy.tick) / 2 + _SLACK_SECONDS
    differs = np.abs(actual - expected) > tolerance
    if may_guess_hidden:
        differs &= expected >= 0
    if differs.any():
        first = int(np.argmax(differs))
        raise VerificationError(
            f"{where}: packet {first} starts at {actual[first]:.6f} s instead of "
            f"{expected[first]:.6f} s"
        )


def verify_frames(
    path: Path,
    timeline: Timeline,
    size: tuple[int, int],
    observer: Observer,
    look: Callable[[int, VideoFrame], None] | None = None,
    *,
    has_alpha: bool = False,
) -> int:
    """Decode all of `path` and compare size, count and every time with `timeline`.

    Each time must be the planned one to within half a tick of the coarser clock of both.
    Only visible frames count, not VP9's hidden ones. `look` receives every decoded frame with its
    index. With `has_alpha`, every frame must have straight alpha. Returns the number of frames.

    Raises:
        VerificationError: something differs.
    """
    observer(Started("verify", len(timeline), path.name))
    count = 0
    try:
        with open_input(path) as container:
            stream = container.streams.video[0]
            if (stream.width, stream.height) != size:
                raise VerificationError(
                    f"{path}: is {stream.width}x{stream.height} instead of {size[0]}x{size[1]}"
                )
            for frame in decode_with_alpha(container, stream):
                _check_time(path, timeline, count, frame)
                if has_alpha and straight_layout(frame) is None:
                    raise VerificationError(
                        f"{path}: frame {count} has no alpha (it is {frame.format.name})"
                    )
                if look is not None:
                    look(count, frame)
                count += 1
                observer(Advanced("verify", count))
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise VerificationError(f"{path}: can't be decoded after frame {count}") from error
    if count != len(timeline):
        raise VerificationError(f"{path}: contains {count} frames instead of {len(timeline)}")
    observer(Finished("verify"))
    return count


def _check_time(path: Path, timeline: Timeline, index: int, frame: VideoFrame) -> None:
    if index >= len(timeline):
        raise VerificationError(f"{path}: contains more than {len(timeline)} frames")
    tick = Fraction(frame.time_base or 1)
    seconds, planned = (frame.pts or 0) * tick, int(timeline.pts[index]) * timeline.time_base
    if abs(seconds - planned) > max(tick, timeline.time_base) / 2:
        raise VerificationError(
            f"{path}: frame {index} is shown at {float(seconds):.6f} s instead of "
            f"{float(planned):.6f} s"
        )
