"""Small video files made on the spot, each with one trait a real camera file may have."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.paths import REPOSITORY
from vrmatte.frames import ColorTags

NTSC = Fraction(30000, 1001)
AUDIO_RATE = 48000
BT709 = ColorTags(primaries=1, transfer=1, matrix=1)
PQ = ColorTags(primaries=9, transfer=16, matrix=9)


Draw = Callable[[int, tuple[int, int], str, int, Fraction], av.VideoFrame]
"""Makes frame `index` of a size and pixel format, at a time in a time base."""


def write_clip(
    path: Path,
    *,
    size: tuple[int, int] = (256, 128),
    frames: int = 30,
    rate: Fraction = NTSC,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    color: ColorTags = BT709,
    full_range: bool = False,
    start_offset: Fraction = Fraction(0),
    bframes: bool = True,
    audio: Sequence[str] = (),
    audio_seconds: Fraction | None = None,
    gop: int = 12,
    rotation_deg: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    draw: Draw | None = None,
) -> list[int]:
    """Write a clip of moving shapes; returns the presentation times given to the encoder.

    `pts` (in `time_base`) replaces the even spacing of `rate` and sets the number of frames.
    `start_offset` in seconds delays the video, not the audio. The container follows the suffix;
    Matroska rounds times to milliseconds. `draw` replaces the moving shapes.
    """
    time_base = time_base or default_time_base(rate)
    if pts is None:
        step = 1 / rate / time_base
        pts = [round(index * step) for index in range(frames)]
    pts = [time + round(start_offset / time_base) for time in pts]
    muxing = {"video_track_timescale": str(time_base.denominator)} if _is_mp4(path) else {}
    with av.open(str(path), "w", options=muxing | (container_options or {})) as container:
        video: Any = container.add_stream(
            codec, rate=rate, options=_encoder_options(codec, bframes)
        )
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        video.time_base = video.codec_context.time_base = time_base
        video.codec_context.gop_size = gop
        video.codec_context.options |= options or {}
        _tag(video.codec_context, color, full_range)
        if rotation_deg:
            video.set_display_rotation(rotation_deg)
        tracks = [_add_audio(container, name) for name in audio]
        for index, time in enumerate(pts):
            shown = (draw or picture)(index, size, pix_fmt, time, time_base)
            container.mux(video.encode(shown))
        container.mux(video.encode(None))
        seconds = audio_seconds or (pts[-1] * time_base + 1 / rate)
        for number, track in enumerate(tracks):
            _encode_tone(container, track, seconds, 220.0 * (number + 1))
    return pts


def write_edit_list_clip(
    path: Path, *, hidden: int = 5, audio: Sequence[str] = ("aac",), **clip: Any
) -> list[int]:
    """Write a clip whose edit list hides its first `hidden` frames, as a trim without re-encoding.

    Returns the presentation times that are shown; the first of them is no key frame. The
    header still counts the hidden ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.mp4"
        times = write_clip(whole, audio=audio, **clip)
        with av.open(str(whole)) as source:
            video = source.streams.video[0]
            assert video.time_base is not None
            start_seconds = times[hidden] * video.time_base
            options = {"video_track_timescale": str(video.time_base.denominator)}
            with av.open(str(path), "w", options=options) as target:
                copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(start_seconds / packet.time_base)
                    packet.pts -= shift
                    packet.dts -= shift
                    packet.stream = copies[packet.stream_index]
                    target.mux(packet)
    return [time - times[hidden] for time in times[hidden:]]


def decoded_pts(path: Path) -> list[int]:
    """Presentation times of all frames as the decoder shows them."""
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(video=0) if frame.pts is not None]


def write_faststart_clip(path: Path, **clip: Any) -> list[int]:
    """Write an MP4 whose index precedes its media, so that a cut file still opens."""
    return write_clip(path, container_options={"movflags": "faststart"}, **clip)


def write_cut_copy(source: Path, path: Path, fraction: float) -> None:
    """Copy the first part of a file, as an interrupted download leaves it."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])


def camera_clip() -> Path:
    """A real VR180 camera file that is not part of the repository; skips the test without it.

    Looked for in the folder VRMATTE_CLIPS_DIR, or in shared/clips beside the repository.
    """
    beside = REPOSITORY.parent / "shared" / "clips"
    path = Path(os.environ.get("VRMATTE_CLIPS_DIR", beside)) / "vr180_camera_tb_mesh.mp4"
    if not path.exists():
        pytest.skip("needs vr180_camera_tb_mesh.mp4 in VRMATTE_CLIPS_DIR")
    return path


def default_time_base(rate: Fraction) -> Fraction:
    """A time base at least 1/10000 s fine in which frames at `rate` fall on whole ticks."""
    return Fraction(1, rate.numerator * math.ceil(10000 / rate.numerator))


def picture(
    index: int, size: tuple[int, int], pix_fmt: str, pts: int, time_base: Fraction
) -> av.VideoFrame:
    """A gradient with a bright block that moves with `index`; other planes are flat."""
    frame = av.VideoFrame(size[0], size[1], pix_fmt)
    deep = 10 if "10" in pix_fmt else 12 if "12" in pix_fmt else 8
    for number, plane in enumerate(frame.planes):
        dtype = np.uint8 if deep == 8 else np.uint16
        stored = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        samples = np.full((plane.height, plane.width), 128.0)
        if number == 0:
            samples[:] = np.linspace(40, 120, plane.width)
            left = (index * 5) % max(plane.width - 24, 1)
            samples[plane.height // 4 : plane.height // 2, left : left + 24] = 200
        stored[:, : plane.width] = (samples * 2 ** (deep - 8)).astype(dtype)
    frame.pts, frame.time_base = pts, time_base
    return frame


def people_picture(
    index: int, size: tuple[int, int], pix_fmt: str, pts: int, time_base: Fraction
) -> av.VideoFrame:
    """A bright soft-edged oval in each eye before dark colours; it moves, and no eye is the other.

    All codes lie in the range of video, so that they mean something in either range.
    """
    frame = av.VideoFrame(size[0], size[1], pix_fmt)
    sample_bytes = 2 if "10" in pix_fmt else 1
    for number, plane in enumerate(frame.planes):
        high, wide = plane.height, plane.width
        down, across = np.mgrid[0.5:high, 0.5:wide] / high
        eye = across // (wide / high / 2)
        across %= wide / high / 2
        across /= wide / high / 2
        middle = 0.4 + 0.02 * index + 0.06 * eye
        inside = np.clip(6 * (1.15 - np.hypot((across - middle) / 0.22, (down - 0.5) / 0.36)), 0, 1)
        if number == 0:
            person, ground = 190 + 25 * down, 32 + 24 * across + 6 * eye
        else:
            person = 128 + (14 - 28 * down) * (1 if number == 1 else -1)
            ground = 128 + (40 * across - 20) * (1 if number == 1 else -1) + 6 * eye
        samples = np.rint((ground + inside * (person - ground)) * 4 ** (sample_bytes - 1))
        stored = np.frombuffer(plane, np.uint8 if sample_bytes == 1 else np.uint16)
        stored.reshape(high, -1)[:, :wide] = samples.astype(stored.dtype)
    frame.pts, frame.time_base = pts, time_base
    return frame


def _is_mp4(path: Path) -> bool:
    return path.suffix in (".mp4", ".mov", ".m4v")


def _encoder_options(codec: str, bframes: bool) -> dict[str, str]:
    count = 2 if bframes else 0
    if codec == "libx264":
        return {"preset": "superfast", "bf": str(count), "threads": "1"}
    if codec == "libx265":
        params = f"log-level=none:bframes={count}:b-adapt=0:pools=none:frame-threads=1"
        return {"preset": "ultrafast", "x265-params": params}
    return {}


def _tag(context: Any, color: ColorTags, full_range: bool) -> None:
    context.color_primaries = color.primaries
    context.color_trc = color.transfer
    context.colorspace = color.matrix
    context.color_range = 2 if full_range or color.full_range else 1


def _add_audio(container: Any, codec: str) -> Any:
    stream = container.add_stream(codec, rate=AUDIO_RATE)
    stream.codec_context.layout = "stereo"
    stream.time_base = Fraction(1, AUDIO_RATE)
    return stream


def _encode_tone(container: Any, stream: Any, seconds: Fraction, hertz: float) -> None:
    context = stream.codec_context
    resampler = av.AudioResampler(
        context.format, context.layout, AUDIO_RATE, frame_size=context.frame_size or 1024
    )
    times = np.arange(math.ceil(seconds * AUDIO_RATE)) / AUDIO_RATE
    tone = np.tile(np.sin(times * 2 * math.pi * hertz) * 0.25, (2, 1)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = AUDIO_RATE, 0
    frame.time_base = Fraction(1, AUDIO_RATE)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))
