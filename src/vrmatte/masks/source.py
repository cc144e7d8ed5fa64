"""The interface of mask sources, which follow prompted people, and of their prompts.

A source returns masks: they identify people without soft edges; mattes are computed on top of them
elsewhere. It sees the same images of the same views as matting engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vrmatte.frames import FloatArray
from vrmatte.view_memory import ViewMemory


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """A place in an image that shows the person, or does not."""

    x_px: float
    """Continuous pixel coordinates: the image's left border is 0, its right border its width."""
    y_px: float
    is_person: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """A person's place in one image of a view."""

    person: int
    """Id as in people.json."""
    picture: int
    """Which of the view's images: 0 left eye, 1 right eye."""
    box_px: tuple[float, float, float, float] | None
    """Left, top, right, bottom in continuous pixel coordinates; None: points alone."""
    points: tuple[PromptPoint, ...] = ()


class MaskSource(ViewMemory, Protocol):
    """Follows people through successive images of views.

    A view is identified by its name and has a memory for each of its images. The size of its images
    stays the same until `forget`.
    """

    name: str
    provider: str
    """Device, for the report."""

    def masks(
        self, view: str, pictures: FloatArray, prompts: Sequence[Prompt]
    ) -> Mapping[int, FloatArray]:
        """Return masks of people in a view's next images, and advance its memory.

        Args:
            view: the view's name.
            pictures: shape (images, 3, h, w), RGB 0..1.
            prompts: known places of people in these images; a prompt adds somebody new, corrects
                somebody known, and recovers somebody lost.

        Returns:
            By person, the certainty that a pixel shows them: shape (images, h, w), 0..1, 0.5 being
            the border. Everybody ever prompted in this view, including people not visible.

        Raises:
            ValueError: the images of this view changed in size or number.
        """
        ...


@runtime_checkable
class FollowsBack(Protocol):
    """A mask source that can also follow people back in time."""

    def before(
        self, frames: Sequence[FloatArray], prompts: Mapping[int, Sequence[Prompt]]
    ) -> Sequence[Mapping[int, FloatArray]]:
        """Return masks of people before their first prompt; no view's memory is changed.

        Args:
            frames: successive images of one view, oldest first, each of shape (images, 3, h, w),
                RGB 0..1.
            prompts: by position in `frames`, the first prompts of people there.

        Returns:
            For each frame, by person, the masks of all who are prompted in a later one: shape
            (images, h, w), 0..1.
        """
        ...
