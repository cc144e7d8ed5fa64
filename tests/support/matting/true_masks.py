"""A recording stand-in for networks that follow people."""

from __future__ import annotations

from vrmatte.masks import brightness


class BrightMasks(brightness.BrightMasks):
    """Masks of bright regions, with a record of the prompts of each call."""

    def __init__(self, reach_px: int = 6) -> None:
        super().__init__(reach_px)
        self.asked: list[tuple] = []
        self.looked: list[int] = []
        """Number of frames of each call of `before`."""

    def masks(self, view, pictures, prompts):
        self.asked.append((view, tuple(prompts)))
        return super().masks(view, pictures, prompts)

    def before(self, frames, prompts):
        self.looked.append(len(frames))
        return super().before(frames, prompts)
