"""Description of a video file: streams, times, colours, and the layout and projection of the eyes.

Reads the headers, checks them against limits, and only then decodes a single frame.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
import av.error
import av.logging
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vrmatte.colorimetry import BT709
from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PixelLayout
from vrmatte.geometry.projection import EyeProjection, Fisheye, HalfEquirect
from vrmatte.media.containers.geometry_evidence import (
    GeometryEvidence,
    ProjectionName,
    StereoName,
    read_geometry,
)
from vrmatte.media.containers.mp4_index import check_claims
from vrmatte.media.containers.spherical import SphericalBoxes, read_boxes
from vrmatte.media.opening import LARGEST_SIDE_PX, LONGEST_SECONDS, open_input
from vrmatte.platform_support import reachable_path

StreamKind = Literal["audio", "subtitle", "data", "attachment", "video"]

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_PACKETS_TO_FIRST_FRAME = 300
_RGB_MATRIX, _UNSPECIFIED = 0, 2
"""Codes of ITU-T H.273."""
_FULL_RANGE = 2
_CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
_dump_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream besides the main video."""

    index: int
    kind: StreamKind
    codec: str
    time_base: Fraction
    language: str | None
    title: str | None
    detail: str
    """Readable detail: sample rate and channels, frame size, or the track's name."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A source video as described by its headers and first frame.

    Example:
        >>> source = vrmatte.probe("clip_LR_180.mp4")
        >>> source.codec, source.projection, source.color.is_hdr
        ('hevc', 'half_equirect', False)
    """

    path: Path
    size_bytes: int
    container: str
    """FFmpeg's name of the format, e.g. "mov,mp4,m4a,3gp,3g2,mj2"."""
    video_index: int
    codec: str
    """FFmpeg's name of the codec, e.g. "hevc", whichever decoder reads it."""
    width: int
    height: int
    pixel_format: str
    """Pixel format of the source, e.g. "yuvj420p" or "yuv422p10le"."""
    layout: PixelLayout
    """Layout in which frames are processed: 4:2:0 with 8 bits, or with 10 for deeper sources."""
    color: ColorTags
    time_base: Fraction
    average_rate: Fraction | None
    """Frames per second by the header; meaningless for variable rates, never used for timing."""
    frames_from_header: int | None
    """Count in the header, wrong after trims without re-encoding; `scan_timeline` counts."""
    duration_seconds: float | None
    rotation_deg: int
    """Counterclockwise rotation that players apply, -180..180."""
    start_seconds: Fraction
    """Start of the earliest stream, by the headers; below 0 where an edit list hides its start."""
    stereo: StereoName
    eyes_swapped: bool
    """The right eye is first (left or on top)."""
    projection: ProjectionName
    projection_fov_deg: float | None
    """Horizontal field of view: 180, 360, or a fisheye's full circle; None if unknown."""
    stereo_evidence: GeometryEvidence
    projection_evidence: GeometryEvidence
    fov_evidence: GeometryEvidence
    """Evidence for a fisheye's field of view; "assumed" if there is none."""
    streams: tuple[StreamInfo, ...]
    chapters: int
    spherical: SphericalBoxes | None

    @property
    def evidence(self) -> str:
        """Evidence for layout and projection, for messages and reports."""
        return f"layout: {self.stereo_evidence}, projection: {self.projection_evidence}"

    @property
    def eye_projection(self) -> EyeProjection:
        """Projection of each eye; the eyes are squares side by side, as high as the frame.

        Raises:
            ValueError: neither half-equirectangular nor fisheye.
        """
        if self.projection == "half_equirect":
            return HalfEquirect(self.height)
        if self.projection == "fisheye" and self.projection_fov_deg is not None:
            return Fisheye(self.height, self.projection_fov_deg)
        raise ValueError(f"an eye in {self.projection} projection can't be processed")


def probe(
    path: Path | str, *, layout: str = "auto", projection: str = "auto", lens: str = "auto"
) -> SourceInfo:
    """Describe a source video; `layout`, `projection` and `lens` are as in `InputConfig`.

    Raises:
        ConfigError: a lens together with a projection other than fisheye.
        InputError: missing, a directory, not a supported video, or beyond the limits.
        DamagedInputError: cut off before its index, or its first frame can't be decoded.

    Example:
        >>> source = vrmatte.probe("clip_LR_180.mp4")
        >>> source.stereo, source.projection, source.width, source.height
        ('side_by_side', 'half_equirect', 6144, 3072)
    """
    path = reachable_path(Path(path))
    size_bytes = _checked_size(path)
    check_claims(path)
    with open_input(path) as container:
        try:
            video = main_video(path, container)
            _check_limits(path, container, video)
            chroma_location = _chroma_location(container, video)
            first = _first_frame(path, container, video)
            others = tuple(_stream_info(s) for s in container.streams if s.index != video.index)
            chapters = len(container.chapters())
        except av.error.FFmpegError as error:
            raise DamagedInputError(
                f"{path}: can't be read: {error.strerror or error}. Copy it again or repair it"
            ) from error
        is_mp4 = "mp4" in container.format.name.split(",")
        boxes = read_boxes(path) if is_mp4 else None
        geometry = read_geometry(path.stem, first, boxes, layout, projection, lens)
        return SourceInfo(
            path=path,
            size_bytes=size_bytes,
            container=container.format.name,
            video_index=video.index,
            codec=video.codec_context.codec.canonical_name,
            width=video.width,
            height=video.height,
            pixel_format=first.format.name,
            layout=_working_layout(path, first),
            color=_color_tags(video, first, chroma_location),
            time_base=_time_base(path, video),
            average_rate=video.average_rate or None,
            frames_from_header=video.frames or None,
            duration_seconds=_duration_seconds(container, video),
            rotation_deg=first.rotation,
            start_seconds=Fraction(container.start_time or 0, av.time_base),
            stereo=geometry.stereo,
            eyes_swapped=geometry.eyes_swapped,
            projection=geometry.projection,
            projection_fov_deg=geometry.fov_deg,
            stereo_evidence=geometry.stereo_evidence,
            projection_evidence=geometry.projection_evidence,
            fov_evidence=geometry.fov_evidence,
            streams=others,
            chapters=chapters,
            spherical=boxes,
        )


def _checked_size(path: Path) -> int:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, not a video file")
        if not path.exists():
            raise InputError(f"{path}: no such file. Check the path of the source video")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        size_bytes = path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(f"{path!r}: can't be opened: {error}") from error
    if size_bytes == 0:
        raise DamagedInputError(f"{path}: is empty (an interrupted copy?). Copy it again")
    return size_bytes


def main_video(path: Path, container: InputContainer) -> VideoStream:
    """Return the largest video stream; cover images and thumbnails don't count."""
    real = [s for s in container.streams.video if not s.disposition & _PICTURES]
    if not real:
        raise InputError(f"{path}: has no video stream. Choose a video file")
    readable = [s for s in real if cast(Any, s.codec_context) is not None]
    if not readable:
        raise InputError(f"{path}: its video codec is not supported. Convert it to HEVC or H.264")
    default = Disposition.default
    return max(
        readable, key=lambda s: (s.width * s.height, bool(s.disposition & default), -s.index)
    )


def _check_limits(path: Path, container: InputContainer, video: VideoStream) -> None:
    """Refuse sizes and durations in the header beyond the limits, before decoding."""
    largest = LARGEST_SIDE_PX
    if not (0 < video.width <= largest and 0 < video.height <= largest):
        raise InputError(
            f"{path}: the header says {video.width} x {video.height} pixels; accepted are "
            f"1 to {largest} on each side"
        )
    seconds = _duration_seconds(container, video) or 0.0
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise InputError(
            f"{path}: the header says {seconds:.0f} seconds; accepted are up to "
            f"{LONGEST_SECONDS} (24 hours). Split the video"
        )


def _first_frame(path: Path, container: InputContainer, video: VideoStream) -> VideoFrame:
    """Decode one frame, as a test and because only frames carry rotation and stereo tags."""
    reason = "it has no frames"
    video.codec_context.thread_count = 1
    for number, packet in enumerate(container.demux(video)):
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError as error:
            reason = error.strerror or str(error)
        if number >= _PACKETS_TO_FIRST_FRAME:
            break
    raise DamagedInputError(
        f"{path}: the first frame can't be decoded ({reason}). The file is cut off or damaged. "
        "Copy it again, or re-export it as HEVC or H.264"
    )


def _working_layout(path: Path, frame: VideoFrame) -> PixelLayout:
    """Choose 8-bit 4:2:0 for 8-bit sources, 10-bit 4:2:0 for deeper ones."""
    depth = max((component.bits for component in frame.format.components), default=0)
    if not 8 <= depth <= 16:
        raise InputError(
            f"{path}: pixel format {frame.format.name} is not supported; accepted are 8 to 16 bits "
            "per sample. Convert the video to 8 or 10 bits"
        )
    return YUV420P if depth == 8 else YUV420P10


def _time_base(path: Path, video: VideoStream) -> Fraction:
    if not video.time_base:
        raise InputError(f"{path}: has no time base. Remux it into MP4 or MOV first")
    return video.time_base


def _duration_seconds(container: InputContainer, video: VideoStream) -> float | None:
    if video.duration and video.time_base:
        return float(video.duration * video.time_base)
    if container.duration:
        return container.duration / av.time_base
    return None


def _color_tags(video: VideoStream, frame: VideoFrame, chroma_location: int) -> ColorTags:
    """Return the tags of frames as `to_planar` returns them: RGB becomes limited-range BT.709."""
    context = video.codec_context
    matrix = int(context.colorspace)
    if frame.format.is_rgb:
        matrix = BT709
    elif matrix == _RGB_MATRIX:
        matrix = _UNSPECIFIED  # the tag can't be true of luma and colour differences
    return ColorTags(
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        matrix=matrix,
        full_range=context.color_range == _FULL_RANGE and not frame.format.is_rgb,
        chroma_location=chroma_location,
    )


def _chroma_location(container: InputContainer, video: VideoStream) -> int:
    """Return the chroma location as FFmpeg's number, 0 where unspecified.

    PyAV has no property for it; FFmpeg's description of the file has it at the verbose level.
    """
    with _dump_lock:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            text = str(cast(Any, container).dumps_format())
        finally:
            av.logging.set_libav_level(av.logging.INFO)
            av.logging.set_level(level)
    line = re.search(rf"^ *Stream #0:{video.index}\b.*?: Video: (.*)$", text, re.MULTILINE)
    match = re.search(
        r"\([^()]*\b(" + "|".join(_CHROMA_LOCATIONS[1:]) + r")\)", line[1] if line else ""
    )
    return _CHROMA_LOCATIONS.index(match[1]) if match else 0


def _stream_info(stream: Stream) -> StreamInfo:
    """Describe a stream other than the main video."""
    context: Any = cast(Any, stream).codec_context
    codec = getattr(stream, "name", None) or "unknown"
    title = stream.metadata.get("title")
    detail = stream.metadata.get("handler_name") or stream.metadata.get("filename") or ""
    if context is not None:
        codec = context.codec.canonical_name
        if stream.type == "audio":
            detail = f"{context.sample_rate} Hz, {context.layout.name}"
        elif stream.type == "video":
            detail = f"{context.width} x {context.height}"
    return StreamInfo(
        index=stream.index,
        kind=stream.type if stream.type != "unknown" else "data",
        codec=codec,
        time_base=stream.time_base or Fraction(1, 1000),
        language=_language(stream),
        title=title,
        detail=detail,
    )


def _language(stream: Stream) -> str | None:
    language = stream.metadata.get("language")
    return None if language in (None, "", "und") else language
