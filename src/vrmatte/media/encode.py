"""Encoding of one chunk of one file: a new encoder, a draft, a check of the packet count, fsync."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
from av.packet import Packet
from av.video.frame import VideoFrame

from vrmatte.errors import ChunkError, OutputError, VrmatteError
from vrmatte.files import ChunkFile, commit_file, draft_path
from vrmatte.frames import ColorTags, Matte, PlanarFrame, StraightFrame
from vrmatte.media.encoders import EncoderSpec
from vrmatte.media.opening import WRITING_ERRORS, file_url, writing_error
from vrmatte.media.planes import grey_frame, straight_frame, video_frame
from vrmatte.platform_support import remove_file

_MOST_REORDERED_FRAMES = 16
"""More frames than any codec reorders."""
_LONGEST_REORDER_TICKS = 2**30
"""The range of mp4's 32-bit offsets, with a margin."""


class ChunkWriter:
    """Encoder of frames into a draft of `path`; nothing appears under `path` before `commit`.

    Times inside a chunk start at 0; joining gives every frame its planned time again.
    """

    def __init__(
        self,
        path: Path,
        spec: EncoderSpec,
        size: tuple[int, int],
        color: ColorTags,
        time_base: Fraction,
        rate: Fraction,
    ) -> None:
        self._path = path
        self._draft = draft_path(path)
        self._spec = spec
        self._time_base = time_base
        self._nominal_ticks = max(1, round(time_base.denominator / rate))
        self._first_pts: int | None = None
        self._frames = 0
        self._packets = 0
        if color.full_range and not spec.holds_full_range:
            raise OutputError(
                f"can't write {path}: {spec.encoder} stores limited-range video only; choose "
                "another deliverable, or a limited-range source"
            )
        # An exact track time scale keeps every pts; mp4 and mov can only express 1/N. The other
        # containers round to milliseconds, which keeps frames in order; joining needs no more.
        options: dict[str, str] = {}
        if spec.container in ("mp4", "mov"):
            options["video_track_timescale"] = str(time_base.denominator)
        try:
            remove_file(self._draft)  # a link there would redirect the writing
            self._container = av.open(
                file_url(self._draft), "w", format=spec.container, options=options
            )
        except WRITING_ERRORS as error:
            raise writing_error(error, path) from error
        stream = self._container.add_stream(spec.encoder, rate=rate)
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = spec.layout.name
        self._stream.options = dict(spec.options)
        _tag_stream(self._stream, color)
        context = self._stream.codec_context
        context.time_base = self._stream.time_base = Fraction(1, time_base.denominator)
        if spec.codec_tag:
            context.codec_tag = spec.codec_tag

    def write(self, picture: PlanarFrame | Matte | StraightFrame, pts: int) -> None:
        """Encode one frame shown at `pts`.

        Planes, with or without alpha, must be in the spec's layout; a matte gives a grey frame.
        """
        if self._first_pts is None:
            self._first_pts = pts
        frame = self._frame_of(picture)
        if frame.format.name != self._spec.layout.name:  # nv12 and p010 of hardware encoders
            frame = frame.reformat(format=self._spec.layout.name)
        frame.pts = (pts - self._first_pts) * self._time_base.numerator
        frame.time_base = Fraction(1, self._time_base.denominator)
        self._encode(frame)
        self._frames += 1

    def _frame_of(self, picture: PlanarFrame | Matte | StraightFrame) -> VideoFrame:
        if isinstance(picture, PlanarFrame):
            return video_frame(picture)
        if not isinstance(picture, StraightFrame):
            return grey_frame(picture)
        layout = picture.picture.layout
        if layout != self._spec.layout:  # a conversion would confuse alpha and luma
            raise ValueError(f"frame is {layout.name}; expected {self._spec.layout.name}")
        return straight_frame(picture)

    def commit(self) -> ChunkFile:
        """Flush the encoder, check the packet count, fsync and rename the file.

        Raises:
            OutputError, DiskFullError: the file can't be written.
            ChunkError: the encoder failed or lost a frame.
        """
        self._encode(None)
        try:
            self._container.close()
        except WRITING_ERRORS as error:
            raise writing_error(error, self._path) from error
        if self._packets != self._frames:
            raise ChunkError(
                f"{self._path}: {self._spec.encoder} encoded {self._frames} frames to "
                f"{self._packets} packets"
            )
        return commit_file(self._draft, self._path, self._frames)

    def discard(self) -> None:
        """Close and delete the unfinished file."""
        with contextlib.suppress(*WRITING_ERRORS):  # on a full disk closing fails
            self._container.close()
        remove_file(self._draft)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()

    def _encode(self, frame: VideoFrame | None) -> None:
        try:
            packets = self._stream.encode(frame)
        except av.error.FFmpegError as error:
            raise self._coding_error(error) from error
        try:
            for packet in packets:
                self._repair_decode_time(packet)
                # Without one, edit lists of mp4 and mov hide the last frame of a chunk.
                packet.duration = packet.duration or self._nominal_ticks
                self._packets += 1
                self._container.mux(packet)
        except WRITING_ERRORS as error:
            raise writing_error(error, self._path) from error

    def _coding_error(self, error: av.error.FFmpegError) -> VrmatteError:
        """Blame the settings for a failure at the first frame, and the frames for a later one."""
        if isinstance(error, OSError) or self._frames == 0:
            return writing_error(error, self._path)
        reason = error.strerror or str(error)
        return ChunkError(f"{self._spec.encoder} failed after {self._frames} frames: {reason}")

    def _repair_decode_time(self, packet: Packet[av.VideoStream]) -> None:
        """Replace a decode time that no muxer accepts.

        x265 takes it from uninitialised memory where a chunk has fewer frames than it reorders.
        Joining computes decode times again, so any that rise and precede `pts` will do.
        """
        pts = packet.pts or 0
        if packet.dts is None or not pts - _LONGEST_REORDER_TICKS < packet.dts <= pts:
            packet.dts = self._packets - _MOST_REORDERED_FRAMES


def _tag_stream(stream: av.VideoStream, color: ColorTags) -> None:
    """Set the colour description; FFmpeg doesn't pass it from frames to the encoder itself."""
    context = stream.codec_context
    context.color_primaries = color.primaries
    context.color_trc = color.transfer
    context.colorspace = color.matrix
    context.color_range = 2 if color.full_range else 1
