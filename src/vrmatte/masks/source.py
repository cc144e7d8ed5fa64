"""What follows people through pictures once told where they are, and what it is told.

A source answers with masks: they say who, not how soft the edge is; a matte is laid on top of them
elsewhere. It sees the same pictures of the same views as matting engines do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vrmatte.frames import FloatArray
from vrmatte.view_memory import ViewMemory


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """A place in a picture that shows the person, or doesn't."""

    x_px: float
    """Continuous pixel coordinates: the picture's left border is 0, its right border its width."""
    y_px: float
    is_person: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """Where somebody is, in one picture of a view."""

    person: int
    """Id as in people.json."""
    picture: int
    """Which of the view's pictures: 0 left eye, 1 right eye."""
    box_px: tuple[float, float, float, float] | None
    """Left, top, right, bottom in continuous pixel coordinates; None: points alone."""
    points: tuple[PromptPoint, ...] = ()


class MaskSource(ViewMemory, Protocol):
    """Follows people through successive pictures of views.

    A view is known by its name and has a memory of its own for each of its pictures. The size of
    its pictures stays the same until `forget`.
    """

    name: str
    provider: str
    """Where it runs, for the report."""

    def masks(
        self, view: str, pictures: FloatArray, prompts: Sequence[Prompt]
    ) -> Mapping[int, FloatArray]:
        """Where each person is in a view's next pictures, which its memory moves on by.

        Args:
            view: the view's name.
            pictures: shape (pictures, 3, h, w), RGB 0..1.
            prompts: what is known of people in these very pictures; somebody new joins by one,
                somebody known is corrected by one, somebody lost is found again by one.

        Returns:
            By person, how surely a pixel shows them: shape (pictures, h, w), 0..1, 0.5 being the
            border. Everybody ever prompted in this view, also who isn't seen at present.

        Raises:
            ValueError: the pictures of this view changed in size or number.
        """
        ...


@runtime_checkable
class FollowsBack(Protocol):
    """What some mask sources can do besides: follow people back in time."""

    def before(
        self, frames: Sequence[FloatArray], prompts: Mapping[int, Sequence[Prompt]]
    ) -> Sequence[Mapping[int, FloatArray]]:
        """Where people were before they were first pointed at; no view's memory is touched.

        Args:
            frames: successive pictures of one view, oldest first, each of shape
                (pictures, 3, h, w), RGB 0..1.
            prompts: by position in `frames`, what people are first pointed at by there.

        Returns:
            For each frame, by person, the masks of all who are pointed at in a later one: shape
            (pictures, h, w), 0..1.
        """
        ...
