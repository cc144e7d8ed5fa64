"""A small video for judging a matte on a flat screen.

Each eye has a row: source, matte, and the people over a grey checkerboard. Panels in a row show the
same edge at the same height; rows show the same edge in both eyes. Two greys make both dark and
light hair visible.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import numpy as np

from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.plain_screen import PlainScreen, ScreenRgb, screen_frame, shrunk
from vrmatte.frames import EYES, ColorTags, Matte, PixelLayout, PlanarFrame, half_of

_MOST_PX = 640
"""Maximum width of a panel; three of them are 1920 wide."""
_CHECKER_PX = 16
_CHECKER_GREYS = (0.40, 0.50)


class Preview:
    """Composes the images: 8-bit 4:2:0, BT.709, at most 1920 pixels wide."""

    def __init__(self, layout: PixelLayout, color: ColorTags) -> None:
        """Prepare for frames of one source.

        Args:
            layout: layout of all frames; 4:2:0.
            color: tags of all frames; HDR is tone-mapped for an SDR screen.

        Raises:
            ValueError: the layout is not 4:2:0.
        """
        self._cut_out = GreenScreen((0, 0, 0), layout, color)
        self._screen = PlainScreen(layout, color)

    def __call__(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """Return the image of one side-by-side frame and its matte.

        Raises:
            ValueError: the size of the matte or the layout of the frame is wrong.
        """
        size = _panel_size(frame.width, frame.height)
        cut_out = self._cut_out.compose(frame, matte)
        rows = [
            self._row(frame.eye(eye), cut_out.eye(eye), half_of(matte, eye), size) for eye in EYES
        ]
        return screen_frame(np.concatenate(rows), frame.pts)

    def _row(
        self, source: PlanarFrame, cut_out: PlanarFrame, matte: Matte, size: tuple[int, int]
    ) -> ScreenRgb:
        alpha = shrunk(matte, size)[..., None] * np.float32(1 / 255)
        # Averaged over black, the colours of people are free of what was beside them.
        colours = cast(
            ScreenRgb, self._screen.rgb(cut_out, size) / np.maximum(alpha, np.float32(1 / 255))
        )
        people = alpha * self._screen.shown(colours) + (1 - alpha) * _checker(size)
        matte_panel = np.broadcast_to(alpha, people.shape)
        panels = (self._screen.shown(self._screen.rgb(source, size)), matte_panel, people)
        return np.concatenate(panels, axis=1, dtype=np.float32)


def preview_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the image composed from a side-by-side frame of that size."""
    panel_width, panel_height = _panel_size(width, height)
    return 3 * panel_width, len(EYES) * panel_height


def _panel_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of a panel, both even, in the shape of an eye."""
    eye = width // 2
    panel_width = min(eye, _MOST_PX) // 2 * 2
    return panel_width, max(round(height * panel_width / eye / 2) * 2, 2)


@lru_cache(maxsize=4)
def _checker(size: tuple[int, int]) -> ScreenRgb:
    x, y = np.meshgrid(np.arange(size[0]) // _CHECKER_PX, np.arange(size[1]) // _CHECKER_PX)
    return np.array(_CHECKER_GREYS, np.float32)[(x + y) % 2][..., None]
