"""Composers: one for each deliverable, from a prepared frame to an image of that deliverable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from vrmatte.colorimetry import BT709
from vrmatte.compose.alpha_packed import AlphaPacker
from vrmatte.compose.confidence import ConfidenceMap
from vrmatte.compose.detection_overlay import DetectionOverlay, overlay_size
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.preview import Preview, preview_size
from vrmatte.compose.straight import StraightComposer
from vrmatte.compose.view import PreparedFrame, SourceView
from vrmatte.deliverable_kinds import DeliverableName
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
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES, Subjects

_OPAQUE = 255

ComposedImage = PlanarFrame | StraightFrame | Matte

Composer = Callable[[PreparedFrame], ComposedImage]
"""Returns the image of a frame for one deliverable, with both eyes."""


@dataclass(frozen=True, slots=True)
class ComposerInputs:
    """Everything that a composer is built from."""

    config: Config
    view: SourceView
    layout: PixelLayout
    """Layout of the images."""
    color: ColorTags
    """Tags of the images."""
    estimates_foreground: bool
    """True: soft edges get the people's own colours."""
    subjects: Subjects = WHOLE_EYES
    """People, viewports and lenses, for images that show them."""
    timeline: Timeline | None = None
    """All frames of the source, for images that show times."""


@dataclass(frozen=True, slots=True)
class ComposeRecipe:
    """The composer of a deliverable, and the size of its images."""

    build: Callable[[ComposerInputs], Composer]
    size: Callable[[int, int], tuple[int, int]] = lambda width, height: (width, height)
    """Returns width and height of an image, given those of a source frame."""


def matte_frame(
    matte: Matte, layout: PixelLayout, color_full_range: bool = False, pts: int = 0
) -> PlanarFrame:
    """Return a matte as a grey frame: alpha 0 is exactly black, 255 exactly white.

    Args:
        matte: shape (H, W).
        layout: layout of the frame.
        color_full_range: True: black and white are the first and last code, not 16 and 235.
        pts: presentation time of the frame.

    Returns:
        A frame whose planes of neutral chroma are read-only, and shared by all frames of its size.
    """
    luma = cast(Plane, cv2.LUT(matte, _luma_codes(layout, color_full_range)))
    height, width = matte.shape
    neutral = _neutral_chroma(height, width, layout)
    color = ColorTags(BT709, BT709, BT709, color_full_range)
    return PlanarFrame(luma, neutral, neutral, layout, color, pts)


@lru_cache(maxsize=4)
def _luma_codes(layout: PixelLayout, full_range: bool) -> Plane:
    """Return the luma code of each alpha 0..255, rounded to the nearest."""
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


def eye_of(image: ComposedImage, eye: Eye | None) -> ComposedImage:
    """Return one eye's half of an image as views on the same memory; None: the whole image."""
    if eye is None:
        return image
    if isinstance(image, PlanarFrame):
        return image.eye(eye)
    if isinstance(image, StraightFrame):
        return StraightFrame(image.picture.eye(eye), half_of(image.alpha, eye))
    return half_of(image, eye)


def _stored_matte(_: ComposerInputs) -> Composer:
    return lambda p: p.shown_matte


def _grey_matte(inputs: ComposerInputs) -> Composer:
    layout, full_range = inputs.layout, inputs.color.full_range
    return lambda p: matte_frame(p.shown_matte, layout, full_range)


def _greenscreen(inputs: ComposerInputs) -> Composer:
    view, estimated = inputs.view, inputs.estimates_foreground
    screen = GreenScreen(inputs.config.output.background_color, view.layout, view.color)
    return lambda p: screen.compose(p.foreground if estimated else p.shown, p.shown_matte)


def _alpha_packed(inputs: ComposerInputs) -> Composer:
    view, estimated = inputs.view, inputs.estimates_foreground
    packed = inputs.config.output.alpha_packed
    packer = AlphaPacker(view.source, packed.fov_deg, packed.channel, view.layout, view.color)
    return lambda p: packer.pack(p.decontaminated if estimated else p.frame, p.matte)


def _straight(inputs: ComposerInputs) -> Composer:
    view, estimated = inputs.view, inputs.estimates_foreground
    full_range = inputs.color.full_range
    straight = StraightComposer(view.layout, inputs.layout, view.color, full_range=full_range)
    return lambda p: straight(p.foreground if estimated else p.shown, p.shown_matte)


def _preview(inputs: ComposerInputs) -> Composer:
    preview = Preview(inputs.view.layout, inputs.view.color)
    return lambda p: preview(p.shown, p.shown_matte)


def _overlay(inputs: ComposerInputs) -> Composer:
    view = inputs.view
    overlay = DetectionOverlay(
        view.target, view.layout, view.color, inputs.subjects, inputs.timeline
    )
    return lambda p: overlay(p.number, p.shown, p.shown_matte)


def _confidence(inputs: ComposerInputs) -> Composer:
    confidence_map = ConfidenceMap(inputs.view.source, inputs.subjects)
    layout, full_range = inputs.layout, inputs.color.full_range

    def compose(prepared: PreparedFrame) -> ComposedImage:
        confidence = confidence_map(prepared.number, prepared.frame, prepared.stored)
        # Reprojection fills with 0. Inverted, that becomes full confidence beyond the source.
        shown = ~prepared.in_view(~confidence)
        return matte_frame(shown, layout, full_range, prepared.frame.pts)

    return compose


RECIPES: dict[DeliverableName, ComposeRecipe] = {
    "matte": ComposeRecipe(_grey_matte),
    "matte-lossless": ComposeRecipe(_stored_matte),
    "xalpha": ComposeRecipe(_grey_matte),
    "alpha-packed": ComposeRecipe(_alpha_packed),
    "greenscreen": ComposeRecipe(_greenscreen),
    "prores4444": ComposeRecipe(_straight),
    "webm-alpha": ComposeRecipe(_straight),
    "ffv1-alpha": ComposeRecipe(_straight),
    "png": ComposeRecipe(_straight),
    "exr": ComposeRecipe(_straight),
    "preview": ComposeRecipe(_preview, preview_size),
    "confidence": ComposeRecipe(_confidence),
    "overlay": ComposeRecipe(_overlay, overlay_size),
}
"""The recipe of every deliverable."""
