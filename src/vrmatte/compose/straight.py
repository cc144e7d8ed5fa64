"""Frame and matte as a picture with straight alpha, for editors.

Colours are those of the frame given. Editors want a frame from a `ForegroundEstimator` made with
`continued=True`: their filters (scaling, blurring, another choke) mix in neighbours of alpha 0, so
the people's colours run on beyond the edge; farther out is black, which costs the codec least. A
frame as it came shows the source everywhere, to be matted anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numba
import numpy as np

from vrmatte.frames import ColorTags, Matte, PixelLayout, PlanarFrame, Plane, StraightFrame

_CENTRED, _FIRST, _SECOND = 0, 1, 2
_OPAQUE = 255


@dataclass(frozen=True, slots=True)
class _Codes:
    """What codes mean at a bit depth and range."""

    black: int
    neutral: int
    luma_span: int
    chroma_span: int


@dataclass(frozen=True, slots=True)
class _Scale:
    """From codes to codes, one of each kept fixed."""

    gain: float
    fixed_from: int
    fixed_to: int

    @property
    def offset(self) -> float:
        """What is added after the gain."""
        return self.fixed_to - self.gain * self.fixed_from

    @property
    def changes_nothing(self) -> bool:
        """The codes mean the same."""
        return self.gain == 1 and self.offset == 0


class StraightComposer:
    """Makes straight-alpha pictures in another layout."""

    def __init__(
        self,
        layout: PixelLayout,
        target: PixelLayout,
        color: ColorTags,
        *,
        full_range: bool | None = None,
    ) -> None:
        """Prepare for frames of one kind.

        Args:
            layout: of all frames; 4:2:0.
            target: of the pictures: 4:2:0, or 4:4:4 with chroma interpolated to every pixel.
            color: of all frames; tells where their chroma samples lie.
            full_range: whether the pictures use all codes; None: as the frames do.

        Raises:
            ValueError: a layout that isn't made from another.
        """
        shifts = (target.chroma_shift_x, target.chroma_shift_y)
        if (layout.chroma_shift_x, layout.chroma_shift_y) != (1, 1) or shifts not in (
            (0, 0),
            (1, 1),
        ):
            raise ValueError(f"no straight alpha in {target.name} from {layout.name}")
        self.layout, self.target = layout, target
        self._full_range = color.full_range if full_range is None else full_range
        old = _codes(layout.bit_depth, color.full_range)
        new = _codes(target.bit_depth, self._full_range)
        self._luma = _Scale(new.luma_span / old.luma_span, old.black, new.black)
        self._chroma = _Scale(new.chroma_span / old.chroma_span, old.neutral, new.neutral)
        self._sites = _sites(color.chroma_location)

    def __call__(self, frame: PlanarFrame, matte: Matte) -> StraightFrame:
        """The picture and its alpha, each eye's chroma interpolated by itself.

        Raises:
            ValueError: the matte or the layout does not fit.
        """
        if matte.shape != frame.y.shape or frame.layout != self.layout:
            raise ValueError(
                f"expected {self.layout.name} and a matte of {frame.y.shape}; "
                f"got {frame.layout.name} and {matte.shape}"
            )
        y = self._scaled(frame.y, self._luma)
        u, v = (self._placed(plane, frame.y.shape) for plane in (frame.u, frame.v))
        color = replace(frame.color, full_range=self._full_range)
        picture = PlanarFrame(y, u, v, self.target, color, frame.pts)
        return StraightFrame(picture, scaled_alpha(matte, self.target))

    def _scaled(self, plane: Plane, scale: _Scale) -> Plane:
        if scale.changes_nothing:
            return plane
        made = cast(Plane, np.empty(plane.shape, self.target.dtype))
        samples = np.ascontiguousarray(plane)
        _rescale(samples, scale.gain, scale.offset, self.target.peak, made)
        return made

    def _placed(self, plane: Plane, shape: tuple[int, ...]) -> Plane:
        """Chroma in the target's density and codes."""
        if self.target.chroma_shift_x:
            return self._scaled(plane, self._chroma)
        made = cast(Plane, np.empty(shape, self.target.dtype))
        samples, scale = np.ascontiguousarray(plane), self._chroma
        middle = plane.shape[1] // 2 if shape[1] % 4 == 0 else plane.shape[1]
        for left, right in ((0, middle), (middle, plane.shape[1])):
            if left < right:
                codes = (scale.gain, scale.offset, self.target.peak)
                _spread(samples, left, right, self._sites, *codes, made)
        return made


def scaled_alpha(matte: Matte, target: PixelLayout) -> Plane:
    """Alpha 0..255 as 0..peak of a layout, both ends exact."""
    if target.peak == _OPAQUE:
        return matte
    made = np.empty(matte.shape, np.uint16)
    _rescale(np.ascontiguousarray(matte), target.peak / _OPAQUE, 0.0, target.peak, made)
    return made


def _codes(bit_depth: int, full_range: bool) -> _Codes:
    step, neutral = 1 << (bit_depth - 8), 1 << (bit_depth - 1)
    if full_range:
        peak = (1 << bit_depth) - 1
        return _Codes(0, neutral, peak, peak)
    return _Codes(16 * step, neutral, 219 * step, 224 * step)


def _sites(location: int) -> tuple[int, int]:
    """Where chroma lies across and down, of FFmpeg's AVChromaLocation; unspecified means left."""
    across = _CENTRED if location in (2, 4, 6) else _FIRST
    if location in (3, 4):
        return across, _FIRST
    return across, _SECOND if location in (5, 6) else _CENTRED


@numba.njit(cache=True, nogil=True)
def _rescale(plane: Any, gain: float, offset: float, peak: int, out: Any) -> None:
    factor, shift, most = np.float32(gain), np.float32(offset + 0.5), np.float32(peak)
    for i in range(out.shape[0]):
        line, into = plane[i], out[i]
        for j in range(into.size):
            value = np.float32(line[j]) * factor + shift
            into[j] = np.int32(min(max(value, np.float32(0)), most))


@numba.njit(cache=True, nogil=True)
def _neighbours(at: int, count: int, site: int) -> Any:
    """The two chroma samples a luma pixel lies between, and the share of the second."""
    half, odd = at >> 1, at & 1
    if site == _CENTRED:
        side = half + 1 if odd else half - 1
        return half, min(max(side, 0), count - 1), np.float32(0.25)
    if odd == (site == _FIRST):
        side = half + 1 if odd else half - 1
        return half, min(max(side, 0), count - 1), np.float32(0.5)
    return half, half, np.float32(0)


@numba.njit(cache=True, nogil=True)
def _spread(
    plane: Any,
    left: int,
    right: int,
    sites: Any,
    gain: float,
    offset: float,
    peak: int,
    out: Any,
) -> None:
    """Chroma columns left..right-1 at every luma pixel, bilinear, rescaled in the same step."""
    rows, count = plane.shape[0], right - left
    factor, shift, most = np.float32(gain), np.float32(offset + 0.5), np.float32(peak)
    first, last = 2 * left, min(2 * right, out.shape[1])
    # The share is the same for all even and for all odd columns; one sample more on either side
    # repeats the ends.
    between = np.empty(count + 2, np.float32)
    even_share, odd_share = _neighbours(2, 9, sites[0])[2], _neighbours(3, 9, sites[0])[2]
    for i in range(out.shape[0]):
        near, far, share = _neighbours(i, rows, sites[1])
        upper, lower = plane[near, left:right], plane[far, left:right]
        for k in range(count):
            one = np.float32(upper[k])
            mixed = one + share * (np.float32(lower[k]) - one)
            between[k + 1] = mixed * factor + shift
        between[0], between[count + 1] = between[1], between[count]
        into = out[i, first:last]
        for k in range(into.size - into.size // 2):
            value = between[k + 1] + even_share * (between[k] - between[k + 1])
            into[2 * k] = np.int32(min(max(value, np.float32(0)), most))
        for k in range(into.size // 2):
            value = between[k + 1] + odd_share * (between[k + 2] - between[k + 1])
            into[2 * k + 1] = np.int32(min(max(value, np.float32(0)), most))
