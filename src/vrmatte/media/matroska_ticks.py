"""Gives a Matroska file a microsecond clock, so that frame times survive exactly.

FFmpeg always writes Matroska on a millisecond clock, which rounds 29.97 fps to steps of 33 and
34 ms. All times in the format are multiples of one element, TimestampScale (RFC 9559, 5.1.2.9).
So the file is written with microseconds where FFmpeg believes in milliseconds, and that element is
corrected afterwards, with the per-track DURATION tags, which are text. A microsecond is finer than
half a tick of any time base up to 1/500000: rounding gives every source time back.
"""

from __future__ import annotations

import re
from pathlib import Path

from vrmatte.errors import OutputError

TICKS_PER_SECOND = 1_000_000

_TIMESTAMP_SCALE = bytes.fromhex("2ad7b183")  # element id, then size 3
_MILLISECOND = (1_000_000).to_bytes(3, "big")
_MICROSECOND = (1_000).to_bytes(3, "big")
_DURATION = re.compile(rb"DURATIOND\x87\x93([\d:.]{18,19})\x00?")
_HEAD_BYTES = 1 << 20


def set_microsecond_ticks(path: Path) -> None:
    """Correct the clock of a Matroska file that FFmpeg wrote with microsecond times, in place.

    Raises:
        OutputError: the file is not what FFmpeg writes.
    """
    with path.open("rb+") as file:
        head = file.read(_HEAD_BYTES)
        at = head.find(_TIMESTAMP_SCALE + _MILLISECOND)
        if at < 0:
            raise OutputError(f"{path}: no time scale found in the Matroska header")
        file.seek(at + len(_TIMESTAMP_SCALE))
        file.write(_MICROSECOND)
        for match in _DURATION.finditer(head):
            file.seek(match.start(1))
            file.write(_real_duration(match))


def _real_duration(match: re.Match[bytes]) -> bytes:
    """The text of a duration a thousand times shorter, in the format's 18 characters and a zero."""
    hours, minutes, seconds = match.group(1).decode().split(":")
    total_ns = round(((int(hours) * 60 + int(minutes)) * 60 + float(seconds)) * 1e6)
    whole, nanoseconds = divmod(total_ns, 10**9)
    text = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{nanoseconds:09}"
    return text.encode() + b"\x00"
