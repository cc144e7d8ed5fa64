"""A small picture for people who judge a matte on a flat screen.

One row for each eye: source, matte, the people over a grey checker. Side by side, an edge in the
matte is found again in the source at the same height; one above the other, the eyes' mattes can be
compared. Neither hair darker nor hair lighter than its surroundings vanishes before two greys.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np

from vrmatte.compose.foreground.estimate import ForegroundEstimator
from vrmatte.compose.greenscreen import GreenScreen
from vrmatte.compose.plain_screen import Picture, PlainScreen, screen_frame, shrunk
from vrmatte.frames import EYES, ColorTags, Eye, Matte, PixelLayout, PlanarFrame, half_of

_MOST_PX = 640
"""Width of a panel; three of them make 1920."""
_CHECKER_PX = 16
_CHECKER_GREYS = (0.40, 0.50)


class Preview:
    """Makes the pictures: 8-bit 4:2:0, BT.709, at most 1920 pixels wide."""

    def __init__(
        self,
        layout: PixelLayout,
        color: ColorTags,
        foreground: ForegroundEstimator | None = None,
        eyes: Sequence[Eye] = EYES,
    ) -> None:
        """Prepare for frames of one kind.

        Args:
            layout: of all frames; 4:2:0.
            color: of all frames; HDR is brought to what a plain screen shows.
            foreground: gives edges their own colours in the third panel; None: as in the source.
            eyes: which eyes are shown, from top to bottom.

        Raises:
            ValueError: a layout other than 4:2:0.
        """
        self._cut_out = GreenScreen((0, 0, 0), layout, color, foreground)
        self._screen = PlainScreen(layout, color)
        self._eyes = tuple(eyes)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture made of a side-by-side frame."""
        return preview_size(width, height, len(self._eyes))

    def __call__(self, frame: PlanarFrame, matte: Matte) -> PlanarFrame:
        """The picture of one side-by-side frame and its matte.

        Raises:
            ValueError: the matte or the layout does not fit.
        """
        size = _panel_size(frame.width, frame.height)
        cut_out = self._cut_out.compose(frame, matte)
        rows = [
            self._row(frame.eye(eye), cut_out.eye(eye), half_of(matte, eye), size)
            for eye in self._eyes
        ]
        return screen_frame(np.concatenate(rows), frame.pts)

    def _row(
        self, source: PlanarFrame, cut_out: PlanarFrame, matte: Matte, size: tuple[int, int]
    ) -> Picture:
        alpha = shrunk(matte, size)[..., None] * np.float32(1 / 255)
        # Averaged over black, the people's colours are free of what lay beside them.
        colours = cast(
            Picture, self._screen.rgb(cut_out, size) / np.maximum(alpha, np.float32(1 / 255))
        )
        people = alpha * self._screen.shown(colours) + (1 - alpha) * _checker(size)
        matte_panel = np.broadcast_to(alpha, people.shape)
        panels = (self._screen.shown(self._screen.rgb(source, size)), matte_panel, people)
        return np.concatenate(panels, axis=1, dtype=np.float32)


def preview_size(width: int, height: int, eyes: int = len(EYES)) -> tuple[int, int]:
    """Width and height of the picture made of a side-by-side frame of that size."""
    across, down = _panel_size(width, height)
    return 3 * across, eyes * down


def _panel_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a panel, both even, in the shape of an eye."""
    eye = width // 2
    across = min(eye, _MOST_PX) // 2 * 2
    return across, max(round(height * across / eye / 2) * 2, 2)


@lru_cache(maxsize=4)
def _checker(size: tuple[int, int]) -> Picture:
    x, y = np.meshgrid(np.arange(size[0]) // _CHECKER_PX, np.arange(size[1]) // _CHECKER_PX)
    return np.array(_CHECKER_GREYS, np.float32)[(x + y) % 2][..., None]
