"""Writing of the demo clip: side-by-side H.264 with audio, and its exact alpha in a second file."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from vrmatte.demo.scene import Scene, StereoPicture, render_pair
from vrmatte.errors import ConfigError, output_error

SAMPLE_RATE = 48_000
_AAC_FRAME = 1024


def write_clip(
    video: Path,
    truth: Path | None = None,
    *,
    eye_px: int = 768,
    frames: int = 48,
    rate: Fraction = Fraction(30),
    scene: Scene | None = None,
    audio: bool = True,
    crf: int = 18,
    on_frame: Callable[[int], None] | None = None,
) -> None:
    """Render a scene to `video` (MP4), and the alpha of all people to `truth` (FFV1 in Matroska).

    Args:
        video: side by side, `2 eye_px` x `eye_px`, BT.709 limited range, tagged as such.
        truth: grey, same size and frames, full range 0..255; None: not written.
        eye_px: width and height of one eye, even.
        frames: number of frames.
        rate: frames per second; also sets the pace of the motion.
        scene: people, room and cameras; None: one person a metre away.
        audio: add a stereo track that changes all the time (see `tone`).
        crf: H.264 quality, lower is better.
        on_frame: called with the number of frames done.

    Raises:
        ConfigError: the size or the number of frames is impossible.
        OutputError: a file can't be written (DiskFullError: no space).
    """
    _check(eye_px, frames, rate)
    timed = replace(scene or Scene(), frame_rate=float(rate))
    try:
        with ExitStack() as files:
            mp4 = files.enter_context(av.open(str(video), "w", format="mp4"))
            tracks = [_OutputTrack(mp4, _h264(mp4, eye_px, rate, crf))]
            aac = mp4.add_stream("aac", rate=SAMPLE_RATE, layout="stereo") if audio else None
            if truth is not None:
                mkv = files.enter_context(av.open(str(truth), "w", format="matroska"))
                tracks.append(_OutputTrack(mkv, _ffv1(mkv, eye_px, rate)))
                _start(mkv, truth)
            _start(mp4, video)
            for index in range(frames):
                _add_frame(tracks, render_pair(timed, eye_px, index), index, rate)
                if on_frame:
                    on_frame(index + 1)
            for track in tracks:
                track.write(None)
            if aac:
                _write_audio(_OutputTrack(mp4, aac), math.ceil(frames / rate * SAMPLE_RATE))
    except OSError as error:
        raise output_error(error, video) from error


def _check(eye_px: int, frames: int, rate: Fraction) -> None:
    if eye_px < 16 or eye_px % 2:
        raise ConfigError(f"demo eye size {eye_px} px: choose an even number, 16 or more")
    if frames < 1 or rate <= 0:
        raise ConfigError(
            f"demo of {frames} frames at {rate} per second: choose 1 frame or more, a rate above 0"
        )


def _start(container: OutputContainer, path: Path) -> None:
    """Open the file of a container now, while it is clear which file an error belongs to."""
    try:
        container.start_encoding()
    except OSError as error:
        raise output_error(error, path) from error


@dataclass(frozen=True, slots=True)
class _OutputTrack:
    """A stream and the file it is written to."""

    container: OutputContainer
    stream: VideoStream | AudioStream

    def write(self, frame: av.VideoFrame | av.AudioFrame | None) -> None:
        """Encode and write a frame; None flushes the encoder."""
        # Video streams get video frames, audio streams audio frames; nothing else differs.
        self.container.mux(self.stream.encode(frame))  # pyright: ignore[reportArgumentType]


def _add_frame(tracks: list[_OutputTrack], pair: StereoPicture, index: int, rate: Fraction) -> None:
    """Write one frame, and its alpha if there is a second track."""
    pictures = (_as_yuv(pair.side_by_side()), _as_grey(pair.alpha_side_by_side()))
    for track, picture in zip(tracks, pictures, strict=False):
        picture.pts, picture.time_base = index, 1 / rate
        track.write(picture)


def _h264(container: OutputContainer, eye_px: int, rate: Fraction, crf: int) -> VideoStream:
    options = {"crf": str(crf), "preset": "veryfast"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = 2 * eye_px, eye_px, "yuv420p"
    context = stream.codec_context
    context.time_base = stream.time_base = 1 / rate
    context.gop_size = max(round(2 * rate), 1)
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    return stream


def _ffv1(container: OutputContainer, eye_px: int, rate: Fraction) -> VideoStream:
    stream = container.add_stream("ffv1", rate=rate)
    stream.width, stream.height, stream.pix_fmt = 2 * eye_px, eye_px, "gray"
    stream.codec_context.color_range = ColorRange.JPEG
    stream.codec_context.time_base = 1 / rate
    return stream


def _as_yuv(rgb: npt.NDArray[np.uint8]) -> av.VideoFrame:
    # Both sides are named: by default the conversion silently uses BT.601.
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _as_grey(alpha: npt.NDArray[np.uint8]) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(alpha, format="gray")
    frame.color_range = ColorRange.JPEG
    return frame


def tone(samples: int) -> npt.NDArray[np.float32]:
    """Return the audio, shape (2, samples): left rises, right falls, so that no moment repeats.

    Swapped channels, shifts in time and cuts can therefore be detected.
    """
    t = np.arange(samples) / SAMPLE_RATE
    left = np.sin(2 * np.pi * (220 * t + 60 * t**2))
    right = np.sin(2 * np.pi * 2500 * 8 * (1 - np.exp(-t / 8)))
    beat = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    return (0.2 * np.stack((left * beat, right * beat[::-1]))).astype(np.float32)


def _write_audio(track: _OutputTrack, samples: int) -> None:
    wave = tone(samples)
    for start in range(0, samples, _AAC_FRAME):
        block = np.ascontiguousarray(wave[:, start : start + _AAC_FRAME])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        frame.pts, frame.time_base = start, Fraction(1, SAMPLE_RATE)
        track.write(frame)
    track.write(None)
