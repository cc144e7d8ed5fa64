"""Frames with straight alpha, for editors.

Colours are those of the given frame. Editors need a frame from a `ForegroundEstimator` with
`continued=True`: their filters (scaling, blurring, another choke) mix in neighbours with alpha 0,
so the colours of people continue beyond the edge; farther away the frame is black, which takes the
fewest bits. A decoded frame shows the source everywhere, for matting it again.
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
class _CodeRange:
    """Meaning of codes at a bit depth and range."""

    black: int
    neutral: int
    luma_span: int
    chroma_span: int


@dataclass(frozen=True, slots=True)
class _CodeScale:
    """Linear mapping of codes to codes, with one fixed pair."""

    gain: float
    fixed_from: int
    fixed_to: int

    @property
    def offset(self) -> float:
        """Term added after the gain."""
        return self.fixed_to - self.gain * self.fixed_from

    @property
    def changes_nothing(self) -> bool:
        """True if codes have the same meaning on both sides."""
        return self.gain == 1 and self.offset == 0


class StraightComposer:
    """Composes straight-alpha images in another layout."""

    def __init__(
        self,
        layout: PixelLayout,
        target: PixelLayout,
        color: ColorTags,
        *,
        full_range: bool,
    ) -> None:
        """Prepare for frames of one source.

        Args:
            layout: layout of all frames; 4:2:0.
            target: layout of the images: 4:2:0, or 4:4:4 with chroma interpolated to every pixel.
            color: tags of all frames, including the location of chroma samples.
            full_range: True if the images use all codes.

        Raises:
            ValueError: the target can't be composed from the layout.
        """
        shifts = (target.chroma_shift_x, target.chroma_shift_y)
        if (layout.chroma_shift_x, layout.chroma_shift_y) != (1, 1) or shifts not in (
            (0, 0),
            (1, 1),
        ):
            raise ValueError(f"can't compose {target.name} from {layout.name}")
        self.layout, self.target = layout, target
        self._full_range = full_range
        old = _codes(layout.bit_depth, color.full_range)
        new = _codes(target.bit_depth, self._full_range)
        self._luma = _CodeScale(new.luma_span / old.luma_span, old.black, new.black)
        self._chroma = _CodeScale(new.chroma_span / old.chroma_span, old.neutral, new.neutral)
        self._sites = _sites(color.chroma_location)

    def __call__(self, frame: PlanarFrame, matte: Matte) -> StraightFrame:
        """Return the image and its alpha, with the chroma of each eye interpolated by itself.

        Raises:
            ValueError: the size of the matte or the layout of the frame is wrong.
        """
        if matte.shape != frame.y.shape or frame.layout != self.layout:
            raise ValueError(
                f"expected {self.layout.name} and a matte of {frame.y.shape}; "
                f"got {frame.layout.name} and {matte.shape}"
            )
        y = self._scaled(frame.y, self._luma)
        u, v = (self._upsampled(plane, frame.y.shape) for plane in (frame.u, frame.v))
        color = replace(frame.color, full_range=self._full_range)
        picture = PlanarFrame(y, u, v, self.target, color, frame.pts)
        return StraightFrame(picture, scaled_alpha(matte, self.target))

    def _scaled(self, plane: Plane, scale: _CodeScale) -> Plane:
        if scale.changes_nothing:
            return plane
        scaled = cast(Plane, np.empty(plane.shape, self.target.dtype))
        samples = np.ascontiguousarray(plane)
        _rescale(samples, scale.gain, scale.offset, self.target.peak, scaled)
        return scaled

    def _upsampled(self, plane: Plane, shape: tuple[int, ...]) -> Plane:
        """Return chroma in the density and codes of the target."""
        if self.target.chroma_shift_x:
            return self._scaled(plane, self._chroma)
        upsampled = cast(Plane, np.empty(shape, self.target.dtype))
        samples, scale = np.ascontiguousarray(plane), self._chroma
        middle = plane.shape[1] // 2 if shape[1] % 4 == 0 else plane.shape[1]
        for left, right in ((0, middle), (middle, plane.shape[1])):
            if left < right:
                codes = (scale.gain, scale.offset, self.target.peak)
                _spread(samples, left, right, self._sites, *codes, upsampled)
        return upsampled


def scaled_alpha(matte: Matte, target: PixelLayout) -> Plane:
    """Return alpha 0..255 scaled to 0..peak of a layout; both ends are exact."""
    if target.peak == _OPAQUE:
        return matte
    alpha = np.empty(matte.shape, np.uint16)
    _rescale(np.ascontiguousarray(matte), target.peak / _OPAQUE, 0.0, target.peak, alpha)
    return alpha


def _codes(bit_depth: int, full_range: bool) -> _CodeRange:
    step, neutral = 1 << (bit_depth - 8), 1 << (bit_depth - 1)
    if full_range:
        peak = (1 << bit_depth) - 1
        return _CodeRange(0, neutral, peak, peak)
    return _CodeRange(16 * step, neutral, 219 * step, 224 * step)


def _sites(location: int) -> tuple[int, int]:
    """Return the site of chroma across and down, from AVChromaLocation; unspecified is left."""
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
    """Return the two chroma samples around a luma pixel, and the share of the second."""
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
    """Interpolate chroma columns left..right-1 at every luma pixel, bilinearly, and rescale."""
    rows, count = plane.shape[0], right - left
    factor, shift, most = np.float32(gain), np.float32(offset + 0.5), np.float32(peak)
    first, last = 2 * left, min(2 * right, out.shape[1])
    # The share is the same for all even and for all odd columns. One extra sample on either side
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
