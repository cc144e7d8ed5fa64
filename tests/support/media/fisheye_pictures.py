"""Half-equirectangular pictures as a fisheye lens would have taken them.

What a wider lens sees behind the hemisphere repeats the hemisphere's end, where the half-equirect
picture ends; so no black ring stands where a real lens has a picture.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vrmatte.colorimetry import rgb_to_yuv
from vrmatte.frames import EYES, PlanarFrame, half_of
from vrmatte.geometry.edges import endless
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.geometry.remap import LUMA_SITES, chroma_sites, resample, sampling_grid
from vrmatte.media.planes import video_frame


def frame_by_fisheye(frame: PlanarFrame, fov_deg: float) -> PlanarFrame:
    """A side-by-side frame of the same size, black outside the circles."""
    color = frame.color
    sites = LUMA_SITES, *2 * [chroma_sites(frame.layout, color)]
    black = rgb_to_yuv((0, 0, 0), color.matrix, frame.layout.bit_depth, color.full_range)
    planes = frame.y, frame.u, frame.v
    y, u, v = (
        _by_fisheye(plane, frame.height, fov_deg, place, border, frame.layout.peak)
        for plane, place, border in zip(planes, sites, black, strict=True)
    )
    return replace(frame, y=y, u=u, v=v)


def matte_by_fisheye(matte: np.ndarray, fov_deg: float) -> np.ndarray:
    """A side-by-side matte of the same size, transparent outside the circles."""
    return _by_fisheye(matte, matte.shape[0], fov_deg, LUMA_SITES, 0, 255)


def _by_fisheye(plane, eye_px, fov_deg, sites, border, peak):
    grid = sampling_grid(Fisheye(eye_px, fov_deg), endless(HalfEquirect(eye_px)), sites, sites)
    out = np.empty_like(plane)
    for eye in EYES:
        resample(half_of(plane, eye), grid, border=border, peak=peak, out=half_of(out, eye))
    return out


def write_frames(path: Path, frames: list[PlanarFrame], rate: int = 30) -> None:
    """Encode 8-bit BT.709 frames to an mp4 without visible loss."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        context.color_range = 1
        for index, frame in enumerate(frames):
            picture = video_frame(frame)
            picture.pts, picture.time_base = index, Fraction(1, rate)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
