"""A clock for Matroska and WebM files that is fine enough to keep frame times exactly.

FFmpeg always writes Matroska (WebM is a subset) on a millisecond clock, which rounds 29.97 fps to
steps of 33 and 34 ms. All times in the format are multiples of one element, TimestampScale
(RFC 9559, 5.1.2.9). So the file is written with finer ticks that FFmpeg takes for milliseconds, and
that element is corrected afterwards, as are the DURATION tags of the tracks, which are text.

If a tick is shorter than the source's, rounding restores every source time. Microseconds are enough
for all sources; but a block may start at most 32768 ticks before the first cluster, which begins at
0 (5.1.3.5), and the edit list of a trimmed video may hide more than 33 ms of audio. Then ticks are
ten times as long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from vrmatte.errors import OutputError

_TICKS_PER_SECOND = (1_000_000, 100_000)
_FFMPEG_TICKS_PER_SECOND = 1000
_TICKS_BEFORE_ZERO = 32_000
"""The limit of the format, minus a margin for decode order."""

_TIMESTAMP_SCALE = bytes.fromhex("2ad7b183")  # element id, then size 3
_DURATION = re.compile(rb"DURATIOND\x87\x93([\d:.]{18,19})\x00?")
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MatroskaClock:
    """The clock of one Matroska file."""

    ticks_per_second: int

    @property
    def tick(self) -> Fraction:
        """Duration of a tick in seconds."""
        return Fraction(1, self.ticks_per_second)

    def rescale(self, packet: Packet[Any]) -> None:
        """Convert a packet to this clock, in ticks that FFmpeg takes for milliseconds."""
        scale = Fraction(packet.time_base or 1) * self.ticks_per_second
        delay = _codec_delay(packet.stream)
        duration = packet.duration or 0
        pts, dts = packet.pts, packet.dts
        packet.time_base = Fraction(1, _FFMPEG_TICKS_PER_SECOND)
        packet.pts = None if pts is None else self._ticks(pts, scale, delay)
        packet.dts = None if dts is None else self._ticks(dts, scale, delay)
        packet.duration = round(duration * scale)

    def _ticks(self, time: int, scale: Fraction, delay: Fraction) -> int:
        """Convert a time to the value to pass to FFmpeg.

        Readers subtract the codec's delay, so it is stored on top; FFmpeg adds it in milliseconds.
        """
        ticks = round(time * scale)
        added = math.floor(delay * _FFMPEG_TICKS_PER_SECOND + Fraction(1, 2))
        stored = ticks + round(delay * self.ticks_per_second)
        # A millisecond source rounds its delay, which may move a time just below 0; clamp it.
        if delay and -scale < stored < 0:
            stored = 0
        return stored - added

    def set_in(self, path: Path) -> None:
        """Correct the clock of a file that FFmpeg wrote with these ticks, in place.

        Raises:
            OutputError: the header differs from FFmpeg's.
        """
        with path.open("rb+") as file:
            head = file.read(_HEAD_BYTES)
            at = head.find(_TIMESTAMP_SCALE + _scale_bytes(_FFMPEG_TICKS_PER_SECOND))
            if at < 0:
                raise OutputError(f"{path}: no time scale found in the Matroska header")
            file.seek(at + len(_TIMESTAMP_SCALE))
            file.write(_scale_bytes(self.ticks_per_second))
            for match in _DURATION.finditer(head):
                file.seek(match.start(1))
                file.write(self._real_duration(match))

    def _real_duration(self, match: re.Match[bytes]) -> bytes:
        """Return the true duration as the format's 18 characters and a zero byte."""
        hours, minutes, seconds = match.group(1).decode().split(":")
        written = (int(hours) * 60 + int(minutes)) * 60 + float(seconds)
        factor = _FFMPEG_TICKS_PER_SECOND / self.ticks_per_second
        whole, nanoseconds = divmod(round(written * factor * 1e9), 10**9)
        text = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{nanoseconds:09}"
        return text.encode() + b"\x00"


def choose_clock(earliest: Fraction, time_bases: Iterable[Fraction]) -> MatroskaClock:
    """Choose the finest clock that reaches back to `earliest` seconds and is exact for all bases.

    If there is none, return the coarsest exact clock; packets before `earliest_time` are lost.
    """
    shortest = min(time_bases)
    for ticks_per_second in _TICKS_PER_SECOND:
        clock = MatroskaClock(ticks_per_second)
        if clock.tick < shortest and earliest >= earliest_time(clock.tick):
            return clock
    exact = [t for t in _TICKS_PER_SECOND if Fraction(1, t) < shortest]
    return MatroskaClock(exact[-1] if exact else _TICKS_PER_SECOND[0])


def earliest_time(tick: Fraction) -> Fraction:
    """Return the earliest time in seconds that a Matroska file with such ticks can store."""
    return -_TICKS_BEFORE_ZERO * tick


def _codec_delay(stream: Stream) -> Fraction:
    """Return the decoder delay that the stream declares, in seconds."""
    if not isinstance(stream, AudioStream):
        return Fraction(0)
    return Fraction(stream.codec_context.delay, stream.codec_context.sample_rate or 1)


def _scale_bytes(ticks_per_second: int) -> bytes:
    return (10**9 // ticks_per_second).to_bytes(3, "big")
