"""Chooses the encoder for a file: codec, implementation, and settings that suit large frames.

A hardware encoder is used only after it has really encoded frames of the wanted size: FFmpeg lists
encoders whether or not the machine has them, and NVENC's H.264 ends at 4096 wide (docs/formats.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Literal

import av
import av.error
from av.video.frame import VideoFrame

from vrmatte.config import OutputConfig
from vrmatte.errors import ConfigError
from vrmatte.frames import YUV420P, YUV420P10, PixelLayout
from vrmatte.media.planes import plane_view

Codec = Literal["h264", "hevc", "av1"]

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
_LOOKAHEAD_FRAMES = 10
_WIDEST_REORDERED = 4096
_LARGE_HEVC = "bframes=0:rc-lookahead=2:frame-threads=1"
"""A frame of 6144x3072 costs x265 170 MB (230 in 10 bit) from look-ahead to last reference: with
B-frames and ten frames of look-ahead 2.1 GB, like this 1.0 GB."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder with all its settings; plain values, part of a chunk's key."""

    encoder: str
    """FFmpeg's name, e.g. "libx265"."""
    layout: PixelLayout
    options: tuple[tuple[str, str], ...]
    codec_tag: str | None
    container: Literal["mp4", "matroska"]
    """What its chunks are written to."""

    @property
    def label(self) -> str:
        """For people: "libx265 yuv420p10le crf=20 preset=veryfast"."""
        shown = [f"{k}={v}" for k, v in self.options if k in ("crf", "cq", "preset", "level")]
        return " ".join([self.encoder, self.layout.name, *shown])


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The encoder to use and what the user should know about the choice."""

    spec: EncoderSpec
    notices: tuple[str, ...] = ()


MATTE_STORE = EncoderSpec(
    "ffv1",
    PixelLayout("gray", 8, 0, 0),
    (("level", "3"), ("slices", "4"), ("slicecrc", "1"), ("g", "1")),
    None,
    "matroska",
)
"""Lossless grey, every frame a key frame, with checksums per slice."""


def choose_encoder(
    output: OutputConfig, width: int, height: int, bit_depth: int, rate: Fraction
) -> EncoderChoice:
    """The encoder for frames of `width` x `height` with `bit_depth` (8 or 10).

    Raises:
        ConfigError: the codec asked for can't make such a file.
    """
    codec = _codec_for(output, width, bit_depth)
    layout = YUV420P if bit_depth == 8 else YUV420P10
    notices: list[str] = []
    for family in _HARDWARE[output.encoder]:
        spec = _hardware_spec(codec, family, layout, output, rate)
        refusal = trial_encode(spec, width, height)
        if refusal is None:
            return EncoderChoice(spec, tuple(notices))
        if output.encoder != "auto":
            notices.append(
                f"{spec.encoder} can't encode {width}x{height} here ({refusal}): "
                f"using {_SOFTWARE[codec]} on the CPU"
            )
    spec = _software_spec(codec, layout, output, rate, width)
    refusal = trial_encode(spec, 256, 128)
    if refusal is not None:
        raise ConfigError(
            f"{spec.encoder} refuses these settings ({refusal}): "
            "check output.preset and output.quality"
        )
    return EncoderChoice(spec, tuple(notices))


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
            f"output.preset can't be {output.preset!r}: {name} takes {', '.join(_PRESETS[name])}"
        )
    quality = _DEFAULT_QUALITY[codec] if output.quality is None else output.quality
    options = {
        "crf": str(quality),
        "g": _gop(rate),
        "preset": output.preset or _DEFAULT_PRESET[name],
    }
    look = f"rc-lookahead={_LOOKAHEAD_FRAMES}"
    if name == "libx264":
        options["x264-params"] = f"{look}:sync-lookahead=0"
    elif name == "libx265":
        effort = f"{look}:frame-threads=2" if width <= _WIDEST_REORDERED else _LARGE_HEVC
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
    """Two seconds between key frames, so that players can seek."""
    return str(max(1, round(2 * rate)))


@cache
def trial_encode(spec: EncoderSpec, width: int, height: int) -> str | None:
    """Really encode two frames; None when that works, else the reason it doesn't, in few words."""
    try:
        with av.open(BytesIO(), "w", format="mp4") as container:
            stream = container.add_stream(spec.encoder, rate=30, options=dict(spec.options))
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, spec.layout.name
            packets = 0
            for index in range(2):
                frame = VideoFrame(width, height, spec.layout.name)
                for plane in frame.planes:
                    plane_view(plane, 1)[:] = 0
                frame.pts = index
                packets += len(stream.encode(frame))
            packets += len(stream.encode(None))
            return None if packets == 2 else f"{packets} of 2 frames came out"
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return (reason.splitlines() or [type(error).__name__])[0][:120]
