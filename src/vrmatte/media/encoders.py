"""Choice of the encoder for a file: codec, implementation, and settings that suit large frames.

A hardware encoder is used only after it has encoded frames of the wanted size in a trial: FFmpeg
lists encoders whether or not the machine has them, and NVENC's H.264 ends at 4096 pixels wide
(docs/formats.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Literal

import av
import av.error
from av.video.frame import VideoFrame

from vrmatte.deliverable_kinds import KINDS, DeliverableName, Encoding
from vrmatte.errors import ConfigError
from vrmatte.frames import YUV420P, YUV420P10, YUVA420P, YUVA444P10, PixelLayout
from vrmatte.settings.config import OutputConfig

# The library never prints, but SVT-AV1 logs to standard error by default.
os.environ.setdefault("SVT_LOG", "1")

Codec = Literal["h264", "hevc", "av1"]
FileFormat = Literal["mp4", "mov", "matroska", "webm"]
"""FFmpeg's names of the containers of files and their chunks."""

_SOFTWARE: dict[str, str] = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
_HARDWARE: dict[str, tuple[str, ...]] = {
    "auto": ("nvenc", "qsv", "amf"),
    "nvenc": ("nvenc",),
    "qsv": ("qsv",),
    "amf": ("amf",),
    "software": (),
}
_X26_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_PRESETS: dict[str, tuple[str, ...]] = {
    "libx264": _X26_PRESETS,
    "libx265": _X26_PRESETS,
    "libsvtav1": tuple(str(number) for number in range(14)),
}
_DEFAULT_PRESET = {"libx264": "veryfast", "libx265": "veryfast", "libsvtav1": "10"}
_DEFAULT_QUALITY = {"h264": 18, "hevc": 20, "av1": 26}
_QUALITY_OPTION = {"nvenc": "cq", "qsv": "global_quality", "amf": "qp_i"}
_WIDEST_H264 = 4096
_LOOKAHEAD_FRAMES, _LARGE_LOOKAHEAD_FRAMES = 10, 5
"""The second for frames wider than headsets decode in H.264: each costs 28 MB at 6144x3072."""
_REPEATABLE_H264 = "sync-lookahead=0:cpu-independent=1"
"""Without the second, x264's AVX-512 code sometimes encodes the same frames to another file: in
half of all runs at some widths (96, 320)."""
_WIDEST_REORDERED = 4096
_HEVC = f"rc-lookahead={_LOOKAHEAD_FRAMES}:frame-threads=1"
_LARGE_HEVC = "bframes=0:rc-lookahead=2:frame-threads=1"
"""A 6144x3072 frame costs x265 170 MB (230 in 10 bit) from look-ahead to last reference: 2.1 GB
with B-frames and ten frames of look-ahead, 1.0 GB with these settings."""

_VP9_DEFAULT_QUALITY = 18
_VP9_DEFAULT_PRESET = 6
_VP9_PRESETS = range(9)
_VP9_FIRST_REALTIME = 6
"""libvpx's speeds: up to 5 for its "good" mode, above for its "realtime" mode."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder with all its settings; plain values, part of a chunk's key."""

    encoder: str
    """FFmpeg's name, e.g. "libx265"."""
    layout: PixelLayout
    options: tuple[tuple[str, str], ...]
    codec_tag: str | None
    container: FileFormat
    """Container of its chunks."""

    @property
    def label(self) -> str:
        """Short description, such as "libx265 yuv420p10le crf=20 preset=veryfast"."""
        shown = ("crf", "cq", "preset", "cpu-used", "level", "profile", "alpha_bits")
        options = [f"{name}={value}" for name, value in self.options if name in shown]
        return " ".join([self.encoder, self.layout.name, *options])

    @property
    def planar_layout(self) -> PixelLayout:
        """Layout of frames before encoding; some hardware encoders take interleaved chroma."""
        return {"nv12": YUV420P, "p010le": YUV420P10}.get(self.layout.name, self.layout)

    @property
    def holds_full_range(self) -> bool:
        """True if frames may use all codes; ProRes has no flag for it."""
        return self.encoder != "prores_ks"


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The encoder to use, and notices for the user about the choice."""

    spec: EncoderSpec
    notices: tuple[str, ...] = ()


TryEncoder = Callable[[EncoderSpec, int, int], str | None]
"""Encodes at a width and height; returns a short reason if that fails."""

MATTE_STORE = EncoderSpec(
    "ffv1",
    PixelLayout("gray", 8, 0, 0),
    (("level", "3"), ("slices", "4"), ("slicecrc", "1"), ("g", "1")),
    None,
    "matroska",
)
"""Lossless grey; every frame is a key frame, with a checksum per slice."""


def choose_encoder(
    output: OutputConfig,
    width: int,
    height: int,
    bit_depth: int,
    rate: Fraction,
    trial: TryEncoder | None = None,
) -> EncoderChoice:
    """Choose the encoder for frames of `width` x `height` with `bit_depth` (8 or 10).

    Each candidate must pass `trial`, by default `trial_encode`.

    Raises:
        ConfigError: the requested codec can't encode such a file.
    """
    trial = trial or trial_encode
    codec = _codec_for(output, width, bit_depth)
    layout = YUV420P if bit_depth == 8 else YUV420P10
    notices: list[str] = []
    for family in _HARDWARE[output.encoder]:
        spec = _hardware_spec(codec, family, layout, output, rate)
        refusal = trial(spec, width, height)
        if refusal is None:
            return EncoderChoice(spec, tuple(notices))
        if output.encoder != "auto":
            notices.append(
                f"{spec.encoder} can't encode {width}x{height} here ({refusal}): "
                f"using {_SOFTWARE[codec]} on the CPU"
            )
    spec = _software_spec(codec, layout, output, rate, width)
    refusal = trial(spec, 256, 128)
    if refusal is not None:
        raise ConfigError(
            f"{spec.encoder} rejects these settings ({refusal}). "
            "Check output.preset and output.quality"
        )
    return EncoderChoice(spec, tuple(notices))


def alpha_encoder(
    name: DeliverableName,
    bit_depth: int,
    width: int,
    height: int,
    rate: Fraction,
    output: OutputConfig,
    trial: TryEncoder | None = None,
) -> EncoderChoice:
    """Choose the encoder of a file with straight alpha, for frames of `bit_depth` (8 or 10).

    It must pass `trial`, by default `trial_encode`.

    Raises:
        ConfigError: this FFmpeg can't encode such a file.
    """
    encoding = KINDS[name].encoding
    if encoding is Encoding.VP9:
        spec, notices = _vp9_spec(rate, output), _vp9_notices(bit_depth, output)
    else:
        is_prores = encoding is Encoding.PRORES
        spec = _prores_spec(output) if is_prores else _ffv1_spec(bit_depth)
        notices = tuple(
            f"{name} has no quality levels: output.{key} is ignored for it"
            for key in ("quality", "preset")
            if getattr(output, key) is not None
        )
    refusal = (trial or trial_encode)(spec, min(width, 256), min(height, 128))
    if refusal is not None:
        raise ConfigError(
            f"{name} can't be encoded here: {spec.encoder} rejects its settings ({refusal}). "
            "Choose another deliverable with alpha"
        )
    return EncoderChoice(spec, notices)


def _prores_spec(output: OutputConfig) -> EncoderSpec:
    options = {
        "profile": "4444",
        "alpha_bits": str(output.prores_alpha_bits),
        "vendor": "apl0",  # some editors only accept Apple's vendor code
    }
    return EncoderSpec("prores_ks", YUVA444P10, tuple(options.items()), None, "mov")


def _ffv1_spec(bit_depth: int) -> EncoderSpec:
    """Return lossless settings: key frames only, parallel slices, a checksum per slice."""
    options = {"level": "3", "slices": "24", "slicecrc": "1", "g": "1"}
    layout = YUVA420P if bit_depth == 8 else YUVA444P10
    return EncoderSpec("ffv1", layout, tuple(options.items()), None, "matroska")


def _vp9_spec(rate: Fraction, output: OutputConfig) -> EncoderSpec:
    speed = _vp9_speed(output)
    options = {
        "crf": str(_VP9_DEFAULT_QUALITY if output.quality is None else output.quality),
        "b": "0",  # without it crf is only an upper bound
        "g": _gop(rate),
        "deadline": "good" if speed < _VP9_FIRST_REALTIME else "realtime",
        "cpu-used": str(speed),
        "row-mt": "1",
        "tile-columns": "4",  # log2 of the maximum; libvpx uses as many as the width allows
        "auto-alt-ref": "0",  # colour and alpha are two streams that must stay in step
        "lag-in-frames": "0",
    }
    return EncoderSpec("libvpx-vp9", YUVA420P, tuple(options.items()), None, "webm")


def _vp9_speed(output: OutputConfig) -> int:
    speeds = {str(speed): speed for speed in _VP9_PRESETS}
    return speeds.get(output.preset or "", _VP9_DEFAULT_PRESET)


def _vp9_notices(bit_depth: int, output: OutputConfig) -> tuple[str, ...]:
    notices: list[str] = []
    if bit_depth > YUVA420P.bit_depth:
        notices.append(
            f"webm-alpha stores 8 bits only: {bit_depth}-bit frames are rounded for it. "
            "prores4444 and ffv1-alpha keep 10 bits"
        )
    if output.preset is not None and output.preset != str(_vp9_speed(output)):
        notices.append(
            f"webm-alpha accepts presets 0 (slow) to {_VP9_PRESETS[-1]}: "
            f"output.preset={output.preset} is ignored for it"
        )
    return tuple(notices)


def preview_encoder(rate: Fraction) -> EncoderChoice:
    """Return an 8-bit H.264 encoder for small frames, which plays everywhere."""
    options = {
        "crf": "24",
        "g": _gop(rate),
        "preset": _DEFAULT_PRESET["libx264"],
        "x264-params": f"rc-lookahead={_LOOKAHEAD_FRAMES}:{_REPEATABLE_H264}",
    }
    return EncoderChoice(EncoderSpec("libx264", YUV420P, tuple(options.items()), None, "mp4"))


def _codec_for(output: OutputConfig, width: int, bit_depth: int) -> Codec:
    if output.codec != "auto":
        return output.codec
    # Headsets decode H.264 in 8 bit and up to 4096 wide only; beyond that HEVC plays everywhere.
    return "h264" if bit_depth == 8 and width <= _WIDEST_H264 else "hevc"


def _software_spec(
    codec: Codec, layout: PixelLayout, output: OutputConfig, rate: Fraction, width: int
) -> EncoderSpec:
    name = _SOFTWARE[codec]
    if output.preset is not None and output.preset not in _PRESETS[name]:
        raise ConfigError(
            f"output.preset can't be {output.preset!r}: {name} accepts {', '.join(_PRESETS[name])}"
        )
    quality = _DEFAULT_QUALITY[codec] if output.quality is None else output.quality
    options = {
        "crf": str(quality),
        "g": _gop(rate),
        "preset": output.preset or _DEFAULT_PRESET[name],
    }
    if name == "libx264":
        frames = _LOOKAHEAD_FRAMES if width <= _WIDEST_H264 else _LARGE_LOOKAHEAD_FRAMES
        options["x264-params"] = f"rc-lookahead={frames}:{_REPEATABLE_H264}"
    elif name == "libx265":
        effort = _HEVC if width <= _WIDEST_REORDERED else _LARGE_HEVC
        options["x265-params"] = f"log-level=none:open-gop=0:{effort}"
    elif name == "libsvtav1":
        options["svtav1-params"] = f"lookahead={_LOOKAHEAD_FRAMES}"
    tag = "hvc1" if codec == "hevc" else None
    return EncoderSpec(name, layout, tuple(options.items()), tag, "mp4")


def _hardware_spec(
    codec: Codec, family: str, layout: PixelLayout, output: OutputConfig, rate: Fraction
) -> EncoderSpec:
    quality = _DEFAULT_QUALITY[codec] if output.quality is None else output.quality
    options = {"g": _gop(rate), _QUALITY_OPTION[family]: str(quality)}
    if family == "nvenc":
        options |= {"preset": output.preset or "p5", "rc": "vbr", "b": "0", "forced-idr": "1"}
    elif output.preset:
        options["preset"] = output.preset
    hardware_layout = layout
    if layout.bit_depth > 8 and family in ("qsv", "amf"):
        hardware_layout = PixelLayout("p010le", 10, 1, 1)
    elif family in ("qsv", "amf"):
        hardware_layout = PixelLayout("nv12", 8, 1, 1)
    tag = "hvc1" if codec == "hevc" else None
    return EncoderSpec(f"{codec}_{family}", hardware_layout, tuple(options.items()), tag, "mp4")


def _gop(rate: Fraction) -> str:
    """Return the frames between key frames: two seconds, so that players can seek."""
    return str(max(1, round(2 * rate)))


@cache
def trial_encode(spec: EncoderSpec, width: int, height: int) -> str | None:
    """Encode two frames into the spec's container; return a short reason if that fails."""
    try:
        with av.open(BytesIO(), "w", format=spec.container) as container:
            stream = container.add_stream(spec.encoder, rate=30, options=dict(spec.options))
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, spec.layout.name
            container.start_encoding()  # fails here if the container doesn't accept the codec
            packets = 0
            for index in range(2):
                packets += len(stream.encode(_black_frame(spec, width, height, index)))
            packets += len(stream.encode(None))
            return None if packets == 2 else f"2 frames gave {packets} packets"
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        return short_reason(error)


def short_reason(error: Exception) -> str:
    """Return the first line of a library's error, at most 120 characters."""
    reason = getattr(error, "strerror", None) or str(error)
    return (reason.splitlines() or [type(error).__name__])[0][:120]


def _black_frame(spec: EncoderSpec, width: int, height: int, pts: int) -> VideoFrame:
    frame = VideoFrame(width, height, spec.layout.name)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts = pts
    return frame
