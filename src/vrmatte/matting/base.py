"""What a matting engine is, what it answers, and the plain value that says which one was chosen.

An engine sees small RGB pictures and answers with guided coefficients; how the pictures are cut
from the eyes, and how a full-size matte comes from the coefficients, is not its business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from vrmatte.frames import FloatArray, Matte, PlanarFrame
from vrmatte.masks.sam2_weights import MaskWeights
from vrmatte.view_memory import State, ViewMemory

EngineKind = Literal["rvm", "selfie", "sam2", "brightness"]
RefinerName = Literal["rvm", "guided", "vitmatte"]
Precision = Literal["fp32", "fp16", "bf16", "fp16+bf16"]
"""Of networks' inside: fp16 is said of the one that mattes, bf16 of the one that follows people."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """What memory forced on the network, from a chunk on."""

    first_chunk: int
    scale: float
    """Share of the planned network size, along a side."""
    precision: Precision


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine with which weights, as plain values that travel to workers and reports."""

    name: EngineKind
    weights_name: str
    weights_path: str
    weights_sha256: str
    licence: str
    verified: bool
    """Whether the weights have the digest that vrmatte knows."""
    notices: tuple[str, ...] = ()
    """What the user should know about this choice; it also stands in the report."""
    precision: Precision = "fp32"
    """Of the networks' inside; what the one that mattes remembers is fp32 always."""
    downgraded: tuple[Downgrade, ...] = ()
    """In the order of their chunks."""
    masks: MaskWeights | None = None
    """What follows people, in engine `sam2`; the weights above are then the refiner's, if it has
    any."""
    refiner: RefinerName | None = None
    """What makes the edge of masks, in engine `sam2`."""

    def downgrade(self, chunk: int) -> Downgrade:
        """How a chunk is made, as planned where nothing was eased before it."""
        planned = Downgrade(0, 1.0, self.precision)
        return next((e for e in reversed(self.downgraded) if e.first_chunk <= chunk), planned)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A matte as a linear function of the picture: alpha = clip(slope * mean(RGB) + offset).

    Both vary slowly, so they may be stretched or turned to another projection before they are
    applied to a picture of any size, whose edges the matte then follows.
    """

    slope: FloatArray
    """Shape (pictures, h, w), for RGB 0..1."""
    offset: FloatArray
    """Same shape."""


class Engine(ViewMemory, Protocol):
    """Mattes successive pictures of views.

    A view is one way of looking at both eyes (whole, or through a viewport), known by its name;
    each has a memory of its own. The size of its pictures stays the same until `forget`.
    """

    name: str
    settling_frames: int
    """How often a view without memory is shown its first picture before it counts."""
    provider: str
    """Where it runs, for the report."""

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        """Coefficients of a view's next pictures (one per eye), which its memory moves on by.

        Args:
            view: the view's name.
            pictures: shape (pictures, 3, h, w), RGB 0..1.

        Returns:
            Coefficients of shape (pictures, h, w).

        Raises:
            ValueError: the pictures of this view changed in size or number.
        """
        ...

    def reset(self) -> None:
        """Forget all views."""
        ...


AGAIN = "/again"
"""Ending of the name of a view that is looked at once more, without the memory of the first."""


def infer_settled(engine: Engine, view: str, pictures: FloatArray) -> Coefficients:
    """As `engine.infer`; a view without memory first settles on its first pictures.

    Shown a still picture again, a recurrent network finds people as after as many frames of video,
    so nothing starts badly at the beginning, after a cut or when a viewport opens.
    """
    if not engine.remembers(view):
        for _ in range(engine.settling_frames):
            engine.infer(view, pictures)
    return engine.infer(view, pictures)


class FrameMatting(Protocol):
    """Makes the matte of whole side-by-side frames, one after the other."""

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of frame `index` of the video, shape (H, W) like its luma."""
        ...

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """The matte of the frame just matted as it is found without memory; nothing is kept."""
        ...

    def state(self) -> dict[str, FloatArray]:
        """All that is needed to go on exactly with the next frame."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a saved state; an empty one is a fresh start."""
        ...
