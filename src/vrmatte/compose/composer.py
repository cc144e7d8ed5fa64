"""What turns a frame and its matte into the picture of one deliverable."""

from __future__ import annotations

from typing import Protocol

from vrmatte.compose.alpha_packed import AlphaPacker
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.matte_video import matte_frame
from vrmatte.config import Config, DeliverableName
from vrmatte.frames import ColorTags, Matte, PixelLayout, PlanarFrame


class Composer(Protocol):
    """Makes the pictures of one deliverable."""

    def __call__(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """Side-by-side frame and matte (H, W) of the same size in, one picture out."""
        ...


def make_composer(
    name: DeliverableName, config: Config, layout: PixelLayout, color: ColorTags, eye_px: int
) -> Composer:
    """The composer of a deliverable for frames in `layout` with `color` tags."""
    if name == "greenscreen":
        return GreenScreen(config.output.background_color, layout, color).compose
    if name == "alpha-packed":
        packed = config.output.alpha_packed
        return AlphaPacker(eye_px, packed.fov_deg, packed.channel, layout, color).pack
    return lambda frame, matte: matte_frame(matte, layout, color.full_range)
