"""Scope of the benchmarks: sizes, lengths, repeats, device; and a short version to try them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vrmatte.errors import ConfigError
from vrmatte.settings.choices import Device
from vrmatte.settings.config import Config
from vrmatte.settings.load import load_config

Size = tuple[int, int]
DEFAULT_SIZES: tuple[Size, ...] = ((2048, 1024), (6144, 3072), (8192, 4096))
WORKER = (sys.executable, "-m", "benchmarks.worker")
_LARGE_PX = 6144


@dataclass(frozen=True, slots=True)
class Scope:
    """Sizes, lengths and repeats of the measurements."""

    out: Path
    """Directory of clips, runs and results; clips are kept and used again."""
    sizes: tuple[Size, ...] = DEFAULT_SIZES
    frames: int = 60
    repeats: int = 3
    device: Device = "auto"
    peer: Path | None = None
    """A checkout of Robust Video Matting; None: the peer isn't measured."""
    peer_python: str = sys.executable
    """The interpreter that has the peer's libraries."""
    base_eye_px: int = 512
    """Size at which people are rendered before they are enlarged."""
    base_frames: int = 48
    small: Size = (1024, 512)
    """Frame size of long clips, of which only the length matters."""
    small_frames: int = 1000
    large_frames: int = 300
    long_chunks: int = 20
    """Number of chunks of a long clip."""
    chunk_frames: int = 300
    chunks: int = 10
    model_eye_px: int = 3072
    model_ratio: float = 0.125
    model_frames: int = 8
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])
    """Settings of every run, by key."""
    worker: tuple[str, ...] = WORKER
    """The command that measures one task in a process of its own."""

    @property
    def overhead_size(self) -> Size:
        """The frame size of single-size benchmarks: 6K, or the largest requested one below it."""
        fitting = [size for size in self.sizes if size[0] <= _LARGE_PX]
        return max(fitting or self.sizes)

    def settings(self, overrides: Mapping[str, object]) -> Config:
        """Return the defaults, with the device asked for, the scope's keys and these."""
        keys = {"hardware.device": self.device, **self.overrides, **overrides}
        return load_config(overrides=keys).config


def quick(scope: Scope) -> Scope:
    """Reduce the benchmarks to seconds; this tests that they run, and measures nothing."""
    return replace(
        scope,
        sizes=((256, 128),),
        frames=8,
        repeats=1,
        base_eye_px=64,
        base_frames=4,
        small=(256, 128),
        small_frames=24,
        large_frames=24,
        long_chunks=6,
        chunk_frames=3,
        chunks=4,
        model_eye_px=256,
        model_ratio=0.25,
        model_frames=2,
    )


def parse_sizes(text: str) -> tuple[Size, ...]:
    """Parse sizes such as "2048x1024,6144x3072".

    Raises:
        ConfigError: a size has another form, or its eyes aren't squares.
    """
    sizes: list[Size] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d+)x(\d+)", word)
        width, height = (int(n) for n in match.groups()) if match else (0, 0)
        if height < 64 or height % 4 or width != 2 * height:
            raise ConfigError(
                f"--sizes: {word!r} is not a valid size; accepted are frames of two square eyes "
                "side by side, 64 px or more and a multiple of 4, e.g. 2048x1024,6144x3072"
            )
        sizes.append((width, height))
    if not sizes:
        raise ConfigError("--sizes: give at least one, e.g. 2048x1024")
    return tuple(sizes)
