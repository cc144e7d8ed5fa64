"""Proves that a finished file holds what was promised: every frame time, every copied packet.

FFmpeg's success code is worth little (it is 0 for truncated and half-joined files), so files are
decoded and counted. Knows nothing of mattes; callers may look at each decoded frame on the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.video.frame import VideoFrame

from vrmatte.errors import VerificationError
from vrmatte.frames import Timeline
from vrmatte.media.join import in_window
from vrmatte.media.opening import open_input
from vrmatte.progress import Advanced, Finished, Observer, Started


@dataclass(frozen=True, slots=True)
class PacketDigest:
    """What one stream carries."""

    packets: int
    bytes: int
    sha256: str


def verify_frames(
    path: Path,
    timeline: Timeline,
    size: tuple[int, int],
    observer: Observer,
    look: Callable[[int, VideoFrame], None] | None = None,
) -> int:
    """Decode all of `path` and compare size, count and every time with `timeline`.

    Times are compared exactly: each must round to the planned tick of the source's time base.
    `look` sees every decoded frame with its index. Returns the number of frames.

    Raises:
        VerificationError: something differs.
    """
    observer(Started("verify", len(timeline), path.name))
    count = 0
    try:
        with open_input(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if (stream.width, stream.height) != size:
                raise VerificationError(
                    f"{path}: is {stream.width}x{stream.height}, promised was {size[0]}x{size[1]}"
                )
            for frame in container.decode(stream):
                _check_time(path, timeline, count, frame)
                if look is not None:
                    look(count, frame)
                count += 1
                observer(Advanced("verify", count))
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise VerificationError(f"{path}: can't be decoded after frame {count}") from error
    if count != len(timeline):
        raise VerificationError(f"{path}: holds {count} frames, the source {len(timeline)}")
    observer(Finished("verify"))
    return count


def _check_time(path: Path, timeline: Timeline, index: int, frame: VideoFrame) -> None:
    if index >= len(timeline):
        raise VerificationError(f"{path}: holds more than the source's {len(timeline)} frames")
    seconds = (frame.pts or 0) * Fraction(frame.time_base or 1)
    if round(seconds / timeline.time_base) != int(timeline.pts[index]):
        raise VerificationError(
            f"{path}: frame {index} is shown at {float(seconds):.6f} s, "
            f"in the source at {timeline.seconds(index):.6f} s"
        )


def digest_streams(
    path: Path, indices: Sequence[int], window: tuple[Fraction, Fraction] | None = None
) -> list[PacketDigest]:
    """Packet count, bytes and digest of the payload of each stream, in one read of the file."""
    hashes = {index: hashlib.sha256() for index in indices}
    counts = dict.fromkeys(indices, 0)
    sizes = dict.fromkeys(indices, 0)
    if not indices:
        return []
    with open_input(path) as container:
        for packet in container.demux([container.streams[i] for i in indices]):
            if packet.size == 0 or not in_window(packet, window):
                continue
            hashes[packet.stream_index].update(bytes(packet))
            counts[packet.stream_index] += 1
            sizes[packet.stream_index] += packet.size
    return [PacketDigest(counts[i], sizes[i], hashes[i].hexdigest()) for i in indices]


def verify_copies(
    path: Path,
    source: Path,
    carried: Sequence[int],
    window: tuple[Fraction, Fraction] | None = None,
) -> list[PacketDigest]:
    """Compare the streams after the video of `path` with the source's `carried` streams.

    Raises:
        VerificationError: a payload differs. Packet counts may differ for PCM alone, whose
            packets are cut anew by every container.
    """
    with open_input(path) as container:
        present = [s.index for s in container.streams if s.type != "video"][: len(carried)]
        pcm = [container.streams[i].codec_context.name.startswith("pcm_") for i in present]
    if len(present) != len(carried):
        raise VerificationError(
            f"{path}: carries {len(present)} of {len(carried)} copied audio and subtitle streams"
        )
    ours, theirs = digest_streams(path, present), digest_streams(source, carried, window)
    for index, mine, original, is_pcm in zip(carried, ours, theirs, pcm, strict=True):
        same = mine.sha256 == original.sha256 if is_pcm else mine == original
        if not same:
            raise VerificationError(
                f"{path}: source stream {index} has {original.packets} packets "
                f"({original.bytes} bytes), the copy {mine.packets} ({mine.bytes} bytes)"
            )
    return ours
