"""Writes one chunk of one file: a fresh encoder, a `.part` file, fsync, count. Knows no mattes."""

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
from vrmatte.files import ChunkFile, commit_file
from vrmatte.frames import ColorTags, Matte, PlanarFrame, StraightFrame
from vrmatte.media.encoders import EncoderSpec
from vrmatte.media.opening import WRITING_ERRORS, file_url, writing_error
from vrmatte.media.planes import grey_frame, straight_frame, video_frame
from vrmatte.platform_support import remove_file

_MOST_REORDERED_FRAMES = 16
"""More than any codec holds back."""
_LONGEST_REORDER_TICKS = 2**30
"""What mp4 can say in 32 bits, with room to spare."""


class ChunkWriter:
    """Encodes frames into `path` by way of `path.part`; nothing appears under `path` before commit.

    Times inside a chunk start at 0; joining puts every frame back to its planned time.
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
        self._part = path.with_name(path.name + ".part")
        self._spec = spec
        self._time_base = time_base
        self._first_pts: int | None = None
        self._frames = 0
        self._packets = 0
        if color.full_range and not spec.holds_full_range:
            raise OutputError(
                f"can't write {path}: {spec.encoder} holds pictures of video range only; choose "
                "another file, or a source of video range"
            )
        # An exact track time scale keeps every pts; 1/N is all that mp4 and mov can say. The other
        # containers round to milliseconds, which keeps frames in order; more joining needs not.
        options: dict[str, str] = {}
        if spec.container in ("mp4", "mov"):
            options["video_track_timescale"] = str(time_base.denominator)
        try:
            remove_file(self._part)  # a link there would lead the writing elsewhere
            self._container = av.open(
                file_url(self._part), "w", format=spec.container, options=options
            )
        except WRITING_ERRORS as error:
            raise writing_error(error, path) from error
        stream = self._container.add_stream(spec.encoder, rate=rate)
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = spec.layout.name
        self._stream.options = dict(spec.options)
        tag_stream(self._stream, color)
        context = self._stream.codec_context
        context.time_base = self._stream.time_base = Fraction(1, time_base.denominator)
        if spec.codec_tag:
            context.codec_tag = spec.codec_tag

    def write(self, picture: PlanarFrame | Matte | StraightFrame, pts: int) -> None:
        """Encode one picture shown at `pts`.

        Planes, with or without alpha, must be in the spec's layout; a matte makes a grey picture.
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
        if layout != self._spec.layout:  # a conversion would not know alpha from luma
            raise ValueError(f"picture is {layout.name}; want {self._spec.layout.name}")
        return straight_frame(picture)

    def commit(self) -> ChunkFile:
        """Flush, count, fsync and rename; the chunk then exists, whole.

        Raises:
            OutputError, DiskFullError: the file can't be written.
            ChunkError: the encoder failed, or lost a frame.
        """
        self._encode(None)
        try:
            self._container.close()
        except WRITING_ERRORS as error:
            raise writing_error(error, self._path) from error
        if self._packets != self._frames:
            raise ChunkError(
                f"{self._path}: {self._spec.encoder} made {self._packets} packets of "
                f"{self._frames} frames"
            )
        return commit_file(self._part, self._path, self._frames)

    def discard(self) -> None:
        """Close and delete the unfinished file."""
        with contextlib.suppress(
            *WRITING_ERRORS
        ):  # a full disk can't finish the file, and need not
            self._container.close()
        remove_file(self._part)

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
                self._packets += 1
                self._container.mux(packet)
        except WRITING_ERRORS as error:
            raise writing_error(error, self._path) from error

    def _coding_error(self, error: av.error.FFmpegError) -> VrmatteError:
        """An encoder that refuses to begin has wrong settings; later it fails at these pictures."""
        if isinstance(error, OSError) or self._frames == 0:
            return writing_error(error, self._path)
        reason = error.strerror or str(error)
        return ChunkError(f"{self._spec.encoder} failed after {self._frames} frames: {reason}")

    def _repair_decode_time(self, packet: Packet[av.VideoStream]) -> None:
        """Replace a decode time no muxer takes.

        x265 makes them up from memory it never wrote where a chunk has fewer frames than it
        reorders. Joining lays decode times anew, so any that rise and precede `pts` will do.
        """
        pts = packet.pts or 0
        if packet.dts is None or not pts - _LONGEST_REORDER_TICKS < packet.dts <= pts:
            packet.dts = self._packets - _MOST_REORDERED_FRAMES


def tag_stream(stream: av.VideoStream, color: ColorTags) -> None:
    """Set the colour description; FFmpeg does not pass it from frames to the encoder by itself."""
    context = stream.codec_context
    context.color_primaries = color.primaries
    context.color_trc = color.transfer
    context.colorspace = color.matrix
    context.color_range = 2 if color.full_range else 1
