"""What turns a prepared frame into the picture of one deliverable."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from vrmatte.colorimetry import BT709
from vrmatte.compose.alpha_packed import AlphaPacker
from vrmatte.compose.confidence import ConfidenceMap
from vrmatte.compose.detection_overlay import DetectionOverlay
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.preview import Preview
from vrmatte.compose.straight import StraightComposer
from vrmatte.compose.view import PreparedFrame, SourceView
from vrmatte.frames import (
    ColorTags,
    Eye,
    Matte,
    PixelLayout,
    PlanarFrame,
    Plane,
    StraightFrame,
    Timeline,
    half_of,
)
from vrmatte.settings.config import Config, DeliverableName
from vrmatte.subjects import WHOLE_EYES, Subjects

_OPAQUE = 255


def matte_frame(
    matte: Matte, layout: PixelLayout, color_full_range: bool = False, pts: int = 0
) -> PlanarFrame:
    """A grey picture as bright as the matte is opaque.

    Args:
        matte: shape (H, W).
        layout: of the picture.
        color_full_range: black and white are the first and last code, not 16 and 235.
        pts: presentation time of the picture.

    Returns:
        Alpha 0 and 255 are exactly black and white; the planes of neutral chroma are shared by
        all pictures of a size and read-only.
    """
    luma = cast(Plane, cv2.LUT(matte, _luma_codes(layout, color_full_range)))
    height, width = matte.shape
    neutral = _neutral_chroma(height, width, layout)
    color = ColorTags(BT709, BT709, BT709, color_full_range)
    return PlanarFrame(luma, neutral, neutral, layout, color, pts)


@lru_cache(maxsize=4)
def _luma_codes(layout: PixelLayout, full_range: bool) -> Plane:
    """Luma code of each alpha 0..255, rounded to nearest."""
    step = 1 << (layout.bit_depth - 8)
    black, white = (0, layout.peak) if full_range else (16 * step, 235 * step)
    alpha = np.arange(_OPAQUE + 1)
    codes = black + (2 * alpha * (white - black) + _OPAQUE) // (2 * _OPAQUE)
    return cast(Plane, codes.astype(layout.dtype))


@lru_cache(maxsize=4)
def _neutral_chroma(height: int, width: int, layout: PixelLayout) -> Plane:
    shape = (-(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x))
    plane = np.full(shape, 1 << (layout.bit_depth - 1), layout.dtype)
    plane.setflags(write=False)
    return cast(Plane, plane)


Picture = PlanarFrame | StraightFrame | Matte


Composer = Callable[[PreparedFrame], Picture]
"""Makes one side-by-side picture of a frame for one deliverable."""


def make_composer(
    name: DeliverableName,
    config: Config,
    view: SourceView,
    target: PixelLayout,
    color: ColorTags,
    *,
    own_colours: bool,
    subjects: Subjects = WHOLE_EYES,
    timeline: Timeline | None = None,
) -> Composer:
    """The composer of a deliverable.

    Args:
        name: which.
        config: settings of its pictures.
        view: how frames come and are shown.
        target: layout of its pictures.
        color: tags of its pictures.
        own_colours: whether soft edges get the people's own colours.
        subjects: people and viewports, for files that show them.
        timeline: all frames of the source, for files that show times.
    """
    if name == "greenscreen":
        screen = GreenScreen(config.output.background_color, view.layout, view.color)
        return lambda p: screen.compose(p.foreground if own_colours else p.shown, p.shown_matte)
    if name == "alpha-packed":
        packed = config.output.alpha_packed
        packer = AlphaPacker(view.shows, packed.fov_deg, packed.channel, view.layout, view.color)
        return lambda p: packer.pack(p.decontaminated if own_colours else p.frame, p.matte)
    if name == "preview":
        preview = Preview(view.layout, view.color)
        return lambda p: preview(p.shown, p.shown_matte)
    if name == "overlay":
        overlay = DetectionOverlay(view.to_show, view.layout, view.color, subjects, timeline)
        return lambda p: overlay(p.number, p.shown, p.shown_matte)
    if name == "confidence":
        return _confidence(view, target, color, subjects)
    if name == "matte" or name == "xalpha":
        return lambda p: matte_frame(p.shown_matte, target, color.full_range)
    if name == "matte-lossless":
        return lambda p: p.shown_matte
    straight = StraightComposer(view.layout, target, view.color, full_range=color.full_range)
    return lambda p: straight(p.foreground if own_colours else p.shown, p.shown_matte)


def _confidence(
    view: SourceView, target: PixelLayout, color: ColorTags, subjects: Subjects
) -> Composer:
    """Grey pictures of how far the matte as it is kept can be believed."""
    find = ConfidenceMap(view.shows, subjects)

    def made(prepared: PreparedFrame) -> Picture:
        sure = find(prepared.number, prepared.frame, prepared.stored)
        # Turned over on the way: where the source shows nothing, nothing is in doubt.
        shown = ~prepared.in_view(~sure)
        return matte_frame(shown, target, color.full_range, prepared.frame.pts)

    return made


def eye_of(picture: Picture, eye: Eye | None) -> Picture:
    """One eye's half of a side-by-side picture, as views on the same memory; None: all of it."""
    if eye is None:
        return picture
    if isinstance(picture, PlanarFrame):
        return picture.eye(eye)
    if isinstance(picture, StraightFrame):
        return StraightFrame(picture.picture.eye(eye), half_of(picture.alpha, eye))
    return half_of(picture, eye)
