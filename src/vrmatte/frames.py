"""Values that all stages share: eyes, pixel layouts, colour tags, planar frames, timelines.

Frames stay YUV planes from decoder to encoder. Nothing here depends on their origin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vrmatte.errors import InputError

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]
"""A grey 8-bit image, shape (H, W)."""
Rgb = npt.NDArray[np.uint8]
"""An 8-bit RGB image, shape (H, W, 3)."""

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""One plane of samples, shape (H, W); uint8 for 8-bit layouts, uint16 above."""

Matte = npt.NDArray[np.uint8]
"""A soft matte, shape (H, W), 0 transparent .. 255 opaque, linear."""


_PlaneT = TypeVar("_PlaneT", Plane, Matte)


class Eye(Enum):
    """An eye of a side-by-side frame; the left eye is the left half."""

    LEFT = "left"
    RIGHT = "right"


EYES = (Eye.LEFT, Eye.RIGHT)


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Storage of samples: bit depth and chroma subsampling."""

    name: str
    """FFmpeg's name, e.g. "yuv420p10le"."""
    bit_depth: int
    """Significant bits per sample, in the low bits of the array's type."""
    chroma_shift_x: int
    """log2 of the horizontal chroma subsampling."""
    chroma_shift_y: int
    """log2 of the vertical chroma subsampling."""

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Array type of the samples."""
        return np.uint8 if self.bit_depth == 8 else np.uint16

    @property
    def peak(self) -> int:
        """Largest sample value."""
        return (1 << self.bit_depth) - 1


YUV420P = PixelLayout("yuv420p", 8, 1, 1)
YUV420P10 = PixelLayout("yuv420p10le", 10, 1, 1)
YUVA420P = PixelLayout("yuva420p", 8, 1, 1)
YUVA444P10 = PixelLayout("yuva444p10le", 10, 0, 0)


@dataclass(frozen=True, slots=True)
class ColorTags:
    """Colour description as stored in the stream (ITU-T H.273 code points; 2 = unspecified)."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False
    chroma_location: int = 0
    """FFmpeg's AVChromaLocation: 0 unspecified, 1 left, 2 centre, 3 top-left."""

    @property
    def is_hdr(self) -> bool:
        """True for PQ (16) and HLG (18) transfer."""
        return self.transfer in (16, 18)


@dataclass(frozen=True, slots=True)
class PlanarFrame:
    """One frame as Y, U and V planes."""

    y: Plane
    u: Plane
    v: Plane
    layout: PixelLayout
    color: ColorTags
    pts: int = 0
    """Presentation time in the source's time base."""

    def __post_init__(self) -> None:
        height, width = self.y.shape
        sx, sy = self.layout.chroma_shift_x, self.layout.chroma_shift_y
        expected = (-(-height >> sy), -(-width >> sx))
        if self.u.shape != expected or self.v.shape != expected:
            raise ValueError(f"chroma planes are {self.u.shape}, {self.v.shape}; want {expected}")
        if self.y.dtype != self.layout.dtype:
            raise ValueError(f"{self.layout.name} planes must be {self.layout.dtype.__name__}")

    @property
    def width(self) -> int:
        """Width in luma pixels."""
        return self.y.shape[1]

    @property
    def height(self) -> int:
        """Height in luma pixels."""
        return self.y.shape[0]

    def eye(self, eye: Eye) -> PlanarFrame:
        """Return one half of a side-by-side frame, as views of the same memory."""
        halves = [half_of(plane, eye) for plane in (self.y, self.u, self.v)]
        return replace(self, y=halves[0], u=halves[1], v=halves[2])


@dataclass(frozen=True, slots=True)
class StraightFrame:
    """A frame with straight (unassociated) alpha; its colours are those of the foreground.

    Raises:
        ValueError: alpha and luma differ in size or type.
    """

    picture: PlanarFrame
    alpha: Plane
    """Shape (H, W), 0 transparent .. the layout's peak opaque, linear."""

    def __post_init__(self) -> None:
        luma = self.picture.y
        if self.alpha.shape != luma.shape or self.alpha.dtype != luma.dtype:
            raise ValueError(f"alpha is {self.alpha.shape} {self.alpha.dtype}; want {luma.shape}")


def half_of(plane: _PlaneT, eye: Eye) -> _PlaneT:
    """Return the half of a side-by-side plane that belongs to `eye`, as a view."""
    middle = plane.shape[1] // 2
    return plane[:, :middle] if eye is Eye.LEFT else plane[:, middle:]


@dataclass(frozen=True, slots=True)
class HeldSpan:
    """A damaged range: frames first..last-1 are each replaced by frame `shown`."""

    first: int
    last: int
    shown: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Exact presentation times of all frames."""

    pts: npt.NDArray[np.int64]
    """Strictly increasing presentation times, in `time_base` units."""
    time_base: Fraction
    end_pts: int
    """End of the last frame's display, in `time_base` units."""
    held: tuple[HeldSpan, ...] = ()
    """Damaged ranges, in ascending order."""
    origin_pts: int = 0
    """Where the file begins, in `time_base` units: recordings of streams often begin after hours.
    Seconds count from here."""
    content_digest: str = ""
    """Of all packets of the file; empty where the times were not scanned."""

    def __post_init__(self) -> None:
        if len(self.pts) == 0:
            raise InputError("the video has no frames")
        if np.any(np.diff(self.pts) <= 0):
            at = int(np.argmax(np.diff(self.pts) <= 0)) + 1
            raise InputError(f"presentation times do not increase at frame {at}")

    def __len__(self) -> int:
        return len(self.pts)

    def seconds(self, index: int) -> float:
        """Return the presentation time of frame `index` in seconds from the file's beginning."""
        return float((int(self.pts[index]) - self.origin_pts) * self.time_base)

    @property
    def end_seconds(self) -> float:
        """The end of the last frame in seconds from the file's beginning."""
        return float((self.end_pts - self.origin_pts) * self.time_base)

    def index_at(self, seconds: float) -> int:
        """Return the first frame shown at or after a time; the number of frames if there is none.

        Seconds count from the file's beginning, as in `seconds`.
        """
        ticks = round(Fraction(seconds) / self.time_base) + self.origin_pts
        return int(np.searchsorted(self.pts, ticks))

    def slice(self, first: int, last: int) -> Timeline:
        """Return the unchanged times of frames first..last-1; decoding needs the whole timeline."""
        end = int(self.pts[last]) if last < len(self.pts) else self.end_pts
        return replace(self, pts=self.pts[first:last], end_pts=end, held=(), content_digest="")
