"""The interface of matting engines, and the value that says which engine was chosen.

An engine sees small RGB images and returns guided coefficients. Cutting images from the eyes, and
computing a full-size matte from the coefficients, are left to its callers.
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
"""Arithmetic inside the networks: fp16 refers to the matting network, bf16 to the one that follows
people."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """A reduction of the network's size or precision forced by memory, from a chunk on."""

    first_chunk: int
    scale: float
    """Share of the planned network size, along a side."""
    precision: Precision


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The chosen engine and weights, as plain values that travel to workers and reports."""

    name: EngineKind
    weights_name: str
    weights_path: str
    weights_sha256: str
    licence: str
    verified: bool
    """True if the weights have the digest that vrmatte knows."""
    notices: tuple[str, ...] = ()
    """Messages for the user about this choice, also written to the report."""
    precision: Precision = "fp32"
    """Inside the networks; the matting network's memory is always fp32."""
    downgraded: tuple[Downgrade, ...] = ()
    """In the order of their chunks."""
    masks: MaskWeights | None = None
    """Weights of the network that follows people, in engine `sam2`; the weights above are then the
    refiner's, if it has any."""
    refiner: RefinerName | None = None
    """Method for the soft edges of masks, in engine `sam2`."""

    def downgrade(self, chunk: int) -> Downgrade:
        """Return the downgrade that applies to a chunk; scale 1 if there is none."""
        planned = Downgrade(0, 1.0, self.precision)
        return next((e for e in reversed(self.downgraded) if e.first_chunk <= chunk), planned)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A matte as a linear function of the image: alpha = clip(slope * mean(RGB) + offset).

    Both vary slowly, so they can be resized or reprojected before they are applied to an image of
    any size, whose edges the matte then follows.
    """

    slope: FloatArray
    """Shape (images, h, w), for RGB 0..1."""
    offset: FloatArray
    """Same shape."""


class Engine(ViewMemory, Protocol):
    """Mattes successive images of views.

    A view shows both eyes (whole, or through a viewport) and is identified by its name; each has
    its own memory. The size of its images stays the same until `forget`.
    """

    name: str
    settling_frames: int
    """Number of times that a view without memory is shown its first images before they count."""
    provider: str
    """Device or execution provider, for the report."""

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        """Return coefficients of a view's next images (one per eye) and advance its memory.

        Args:
            view: the view's name.
            pictures: shape (images, 3, h, w), RGB 0..1.

        Returns:
            Coefficients of shape (images, h, w).

        Raises:
            ValueError: the images of this view changed in size or number.
        """
        ...

    def reset(self) -> None:
        """Forget all views."""
        ...


AGAIN = "/again"
"""Suffix of a view's name when a frame is matted again without the view's memory."""


def infer_settled(engine: Engine, view: str, pictures: FloatArray) -> Coefficients:
    """Call `engine.infer`; a view without memory first settles on its first images.

    A recurrent network that is shown a still image repeatedly segments people as well as after as
    many frames of video, which avoids a poor start at the beginning, after a cut and when a
    viewport opens.
    """
    if not engine.remembers(view):
        for _ in range(engine.settling_frames):
            engine.infer(view, pictures)
    return engine.infer(view, pictures)


class FrameMatting(Protocol):
    """Mattes whole side-by-side frames in order."""

    def matte(self, index: int, frame: PlanarFrame) -> Matte:
        """Return the matte of frame `index` of the video, shape (H, W) like its luma."""
        ...

    def again(self, index: int, frame: PlanarFrame) -> Matte:
        """Return the matte of the last frame, computed without memory; nothing is kept."""
        ...

    def state(self) -> dict[str, FloatArray]:
        """Return everything needed to continue exactly with the next frame."""
        ...

    def restore(self, state: State) -> None:
        """Continue from a saved state; an empty one is a fresh start."""
        ...
