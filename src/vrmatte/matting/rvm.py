"""Robust Video Matting: a recurrent network that mattes people without being told where they are.

Only the low-resolution part of its graph runs; it ends in guided coefficients, which is what an
engine answers. A graph that can't be cut is run whole on the small picture, and coefficients are
fitted to its alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.matting.base import Coefficients, FloatArray, State
from vrmatte.matting.guided import fit_coefficients
from vrmatte.models.graph_cut import STATES_IN, STATES_OUT, UnknownGraphError, cut_rvm
from vrmatte.models.runtime import Session

SETTLING_FRAMES = 2
"""Through viewports the first picture's matte is within 3 % of that after fifteen showings, with
or without them (measured on three clips at 0, 3, 6, 10 and 15); whole eyes, where people are small,
gain from being seen again."""

_STATE_NAMES = tuple(name.removesuffix("i") for name in STATES_IN)
_FIRST_STATE = (np.zeros((1, 1, 1, 1), np.float32),) * len(STATES_IN)
_FIT_RADIUS_PX = 1
_FIT_EPSILON = 1e-5

Memory = tuple[FloatArray, ...]
"""The four recurrent tensors of one view, each (pictures, channels, h, w)."""


class RvmNetwork(Protocol):
    """One step of the network for pictures of equal size."""

    provider: str

    def step(self, pictures: FloatArray, memory: Memory) -> tuple[Coefficients, Memory]:
        """Coefficients and next memory; pictures are (n, 3, h, w), RGB 0..1."""
        ...


class CutNetwork:
    """The low-resolution part of the graph, which makes coefficients itself."""

    def __init__(self, session: Session) -> None:
        """Take a session of the cut graph."""
        self.provider = session.provider
        self._session = session

    def step(self, pictures: FloatArray, memory: Memory) -> tuple[Coefficients, Memory]:
        """Coefficients and next memory."""
        feeds = {"src_small": pictures, **dict(zip(STATES_IN, memory, strict=True))}
        slopes, offsets, *after = self._session.run(("a", "b", *STATES_OUT), feeds)
        return Coefficients(slopes[:, 0], offsets[:, 0]), tuple(after)


class WholeNetwork:
    """The graph as published, at the size of the small picture."""

    def __init__(self, session: Session) -> None:
        """Take a session of the whole graph."""
        self.provider = f"{session.provider}, whole graph (its structure is not RVM's)"
        self._session = session

    def step(self, pictures: FloatArray, memory: Memory) -> tuple[Coefficients, Memory]:
        """Coefficients fitted to the graph's alpha, and next memory."""
        feeds = {
            "src": pictures,
            "downsample_ratio": np.ones(1, np.float32),
            **dict(zip(STATES_IN, memory, strict=True)),
        }
        alphas, *after = self._session.run(("pha", *STATES_OUT), feeds)
        fitted = [
            fit_coefficients(picture.mean(axis=0), alpha[0], _FIT_RADIUS_PX, _FIT_EPSILON)
            for picture, alpha in zip(pictures, alphas, strict=True)
        ]
        slopes, offsets = zip(*fitted, strict=True)
        return Coefficients(np.stack(slopes), np.stack(offsets)), tuple(after)


class RvmEngine:
    """Recurrent matting; the memory of each view is kept between frames."""

    name = "rvm"
    settling_frames = SETTLING_FRAMES

    def __init__(self, network: RvmNetwork, *, batch_pictures: bool = False) -> None:
        """Take a network, and whether a view's pictures run in one batch (same result)."""
        self.provider = network.provider
        self._network = network
        self._batch = batch_pictures
        self._memories: dict[str, Memory] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def infer(self, view: str, pictures: FloatArray) -> Coefficients:
        """Coefficients of a view's next pictures.

        Raises:
            ValueError: number or size of the view's pictures changed.
        """
        if self._shapes.get(view, pictures.shape) != pictures.shape:
            raise ValueError(
                f"pictures of {view} changed from {self._shapes[view]} to {pictures.shape}; "
                "forget the view first"
            )
        count = len(pictures)
        memory = self._memories.get(view) or tuple(
            np.repeat(tensor, count, axis=0) for tensor in _FIRST_STATE
        )
        step = count if self._batch else 1
        parts = [
            self._network.step(
                pictures[at : at + step], tuple(tensor[at : at + step] for tensor in memory)
            )
            for at in range(0, count, step)
        ]
        self._memories[view] = tuple(
            np.concatenate(tensors) for tensors in zip(*(after for _, after in parts), strict=True)
        )
        self._shapes[view] = pictures.shape
        return Coefficients(
            np.concatenate([found.slope for found, _ in parts]),
            np.concatenate([found.offset for found, _ in parts]),
        )

    def remembers(self, view: str) -> bool:
        """Whether a view has been shown since it was forgotten."""
        return view in self._memories

    def turn(self, view: str, pixel_map: npt.NDArray[np.float64]) -> None:
        """Turn a view's memory with its picture; a view without memory has nothing to turn."""
        memory, shape = self._memories.get(view), self._shapes.get(view)
        if memory is None or shape is None:
            return
        self._memories[view] = tuple(
            _turned(tensor, pixel_map, (shape[3], shape[2])) for tensor in memory
        )

    def forget(self, view: str) -> None:
        """Drop a view's memory."""
        self._memories.pop(view, None)
        self._shapes.pop(view, None)

    def state(self) -> dict[str, FloatArray]:
        """The recurrent tensors of each view, named like `eye/r1`; not to be written to."""
        kept = {
            f"{view}/{name}": tensor
            for view, memory in self._memories.items()
            for name, tensor in zip(_STATE_NAMES, memory, strict=True)
        }
        sizes = {f"{view}/size": np.array(s, np.float32) for view, s in self._shapes.items()}
        return kept | sizes

    def restore(self, state: State) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: the names aren't those of `state`, or tensors don't fit their pictures.
        """
        views = sorted({name.rpartition("/")[0] for name in state})
        names = {f"{view}/{part}" for view in views for part in (*_STATE_NAMES, "size")}
        if set(state) != names:
            raise ValueError(f"not a state of this engine: it holds {sorted(state)}")
        shapes = {view: tuple(int(n) for n in state[f"{view}/size"]) for view in views}
        memories = {
            view: tuple(
                np.ascontiguousarray(state[f"{view}/{name}"], np.float32) for name in _STATE_NAMES
            )
            for view in views
        }
        for view, shape in shapes.items():
            if len(shape) != 4 or any(len(tensor) != shape[0] for tensor in memories[view]):
                raise ValueError(f"not a state of this engine: {view} is of pictures {shape}")
        self._memories, self._shapes = memories, shapes

    def reset(self) -> None:
        """Forget all views."""
        self._memories, self._shapes = {}, {}


def load_rvm(
    weights: bytes, open_network: Callable[[bytes], Session], *, batch_pictures: bool
) -> RvmEngine:
    """The engine with a graph cut where possible.

    Args:
        weights: content of an ONNX file with RVM's interface.
        open_network: makes a session of a serialised graph.
        batch_pictures: run a view's pictures in one batch.
    """
    try:
        network: RvmNetwork = CutNetwork(open_network(cut_rvm(weights)))
    except UnknownGraphError:
        network = WholeNetwork(open_network(weights))
    return RvmEngine(network, batch_pictures=batch_pictures)


def _turned(
    tensor: FloatArray, pixel_map: npt.NDArray[np.float64], size: tuple[int, int]
) -> FloatArray:
    """A recurrent tensor (pictures, channels, h, w) of a picture of `size`, moved by a pixel map.

    What comes into view has no memory: it takes that of the nearest place, which settles within a
    few frames.
    """
    height, width = tensor.shape[2:]
    # Tensor samples to picture pixels, and OpenCV's sample centres to continuous coordinates.
    to_picture = np.diag([size[0] / width, size[1] / height, 1.0])
    to_centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    samples = to_picture @ to_centre
    matrix = np.linalg.inv(samples) @ pixel_map @ samples
    turned = np.empty_like(tensor)
    for picture in range(tensor.shape[0]):
        for channel in range(tensor.shape[1]):
            turned[picture, channel] = cv2.warpPerspective(
                tensor[picture, channel],
                matrix,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
    return turned
