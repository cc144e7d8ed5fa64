"""What turns a prepared frame into the picture of one deliverable."""

from __future__ import annotations

from collections.abc import Callable

from vrmatte.compose.alpha_packed import AlphaPacker
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.matte_video import matte_frame
from vrmatte.compose.preview import Preview
from vrmatte.compose.straight import StraightComposer
from vrmatte.compose.view import PreparedFrame, SourceView
from vrmatte.config import Config, DeliverableName
from vrmatte.frames import ColorTags, Eye, Matte, PixelLayout, PlanarFrame, StraightFrame, half_of

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
) -> Composer:
    """The composer of a deliverable.

    Args:
        name: which.
        config: settings of its pictures.
        view: how frames come and are shown.
        target: layout of its pictures.
        color: tags of its pictures.
        own_colours: whether soft edges get the people's own colours.
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
    if name == "matte" or name == "xalpha":
        return lambda p: matte_frame(p.shown_matte, target, color.full_range)
    if name == "matte-lossless":
        return lambda p: p.shown_matte
    straight = StraightComposer(view.layout, target, view.color, full_range=color.full_range)
    return lambda p: straight(p.foreground if own_colours else p.shown, p.shown_matte)


def eye_of(picture: Picture, eye: Eye | None) -> Picture:
    """One eye's half of a side-by-side picture, as views on the same memory; None: all of it."""
    if eye is None:
        return picture
    if isinstance(picture, PlanarFrame):
        return picture.eye(eye)
    if isinstance(picture, StraightFrame):
        return StraightFrame(picture.picture.eye(eye), half_of(picture.alpha, eye))
    return half_of(picture, eye)
