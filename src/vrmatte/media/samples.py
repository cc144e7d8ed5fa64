"""Random access to frames of a source: decoding skips the ranges in between."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import cast

import av.error
import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import PlanarFrame, Plane, Timeline
from vrmatte.media.decode import read_frames
from vrmatte.media.opening import open_input
from vrmatte.media.probe import SourceInfo

_WORTH_SEEKING_FRAMES = 8
"""Reopening and seeking costs about as much as decoding this many frames."""


def key_frames(source: SourceInfo, timeline: Timeline) -> tuple[int, ...]:
    """Return the frames at which decoding can start, ascending; empty if the file is damaged."""
    times: list[int] = []
    with open_input(source.path) as container:
        stream = container.streams[source.video_index]
        try:
            for packet in container.demux(stream):
                if packet.is_keyframe and packet.pts is not None:
                    times.append(packet.pts)
        except av.error.FFmpegError:
            return ()  # decoding will report the damage
    at = np.searchsorted(timeline.pts, times)
    planned = {
        int(index)
        for index, time in zip(at, times, strict=True)
        if index < len(timeline) and timeline.pts[index] == time
    }
    return tuple(sorted(planned))


def read_at(
    source: SourceInfo, timeline: Timeline, indices: Sequence[int], keys: Sequence[int]
) -> Generator[tuple[int, PlanarFrame]]:
    """Yield the frames with these indices, each as (index, frame).

    Args:
        source: the video.
        timeline: times of all its frames.
        indices: indices of the wanted frames, ascending.
        keys: from `key_frames`; skipping is only possible to one of them.

    Raises:
        DamagedInputError: a wanted frame can't be decoded.
    """
    for run in _runs(indices, np.asarray(keys, np.int64)):
        wanted = set(run)
        frames = read_frames(source, timeline, run[0], run[-1] + 1)
        for index, frame in enumerate(frames, run[0]):
            if index in wanted:
                yield index, frame


def shrunk_frame(frame: PlanarFrame, most_eye_px: int) -> PlanarFrame:
    """Downsample a frame by block averages to a height of about `most_eye_px`."""
    factor = max(1, round(frame.height / most_eye_px))
    if factor == 1:
        return frame

    def shrink(plane: Plane, step_x: int, step_y: int) -> Plane:
        size = frame.width // factor, frame.height // factor
        size = (-(-size[0] // step_x), -(-size[1] // step_y))
        return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))

    steps = 1 << frame.layout.chroma_shift_x, 1 << frame.layout.chroma_shift_y
    return replace(
        frame, y=shrink(frame.y, 1, 1), u=shrink(frame.u, *steps), v=shrink(frame.v, *steps)
    )


def _runs(indices: Sequence[int], keys: npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Split the indices where seeking to a key frame is faster than decoding on."""
    run: list[int] = []
    for index in indices:
        if run:
            place = int(np.searchsorted(keys, index, side="right")) - 1
            if place >= 0 and keys[place] - run[-1] > _WORTH_SEEKING_FRAMES:
                yield run
                run = []
        run.append(index)
    if run:
        yield run
