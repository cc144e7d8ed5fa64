"""Proves that a finished file shows what was promised: every frame, at its time.

FFmpeg's success code is worth little (it is 0 for truncated and half-joined files), so files are
decoded and counted. Knows nothing of mattes; callers may look at each decoded frame on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.video.frame import VideoFrame

from vrmatte.errors import VerificationError
from vrmatte.frames import Timeline
from vrmatte.media.decode import decode_with_alpha
from vrmatte.media.opening import open_input
from vrmatte.media.planes import straight_layout
from vrmatte.progress import Advanced, Finished, Observer, Started


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

    Times are compared exactly: each must round to the planned tick of the source's time base.
    What counts is what is shown: a hidden frame of VP9 is none. `look` sees every decoded frame
    with its index. With `has_alpha` every frame must hold straight alpha. Returns the number of
    frames.

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
                    f"{path}: is {stream.width}x{stream.height}, promised was {size[0]}x{size[1]}"
                )
            for frame in decode_with_alpha(container, stream):
                _check_time(path, timeline, count, frame)
                if has_alpha and straight_layout(frame) is None:
                    raise VerificationError(
                        f"{path}: frame {count} has no alpha, it is {frame.format.name}"
                    )
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
