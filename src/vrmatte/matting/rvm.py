"""Robust Video Matting: a recurrent network that mattes people without being told where they are.

Only the low-resolution part of its graph runs in the network runtime; the full-size part is one
pass over the YUV planes (`guided.apply_coefficients`). A graph that can't be cut is run whole,
which gives the same mattes but needs full-size float pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from vrmatte.frames import Matte, PlanarFrame
from vrmatte.matting.base import FloatArray, State
from vrmatte.matting.guided import apply_coefficients
from vrmatte.matting.network_input import full_rgb, packed, small_rgb
from vrmatte.models.graph_cut import STATES_IN, STATES_OUT, UnknownGraphError, cut_rvm
from vrmatte.models.runtime import Session

WARMUP_FRAMES = 15
"""After this many frames a sequence started in its middle is as good as one run from its start."""

_FIRST_STATE = (np.zeros((1, 1, 1, 1), np.float32),) * len(STATES_IN)
_STATE_NAMES = tuple(name.removesuffix("i") for name in STATES_IN)

ViewState = tuple[FloatArray, ...]
"""The four recurrent tensors of one view, each (1, channels, h, w)."""


class RvmNetwork(Protocol):
    """One step of the network for views of equal size, which run as one batch."""

    provider: str

    def step(
        self, pictures: Sequence[PlanarFrame], states: list[FloatArray]
    ) -> tuple[list[Matte], list[FloatArray]]:
        """Mattes and next states; the first axis of each state counts the pictures."""
        ...


class CutNetwork:
    """The low-resolution part in the runtime, the full-size part in planes."""

    def __init__(self, session: Session, scale: float) -> None:
        """Take a session of the cut graph and network pixels per picture pixel."""
        self.provider = session.provider
        self._session = session
        self._scale = scale

    def step(
        self, pictures: Sequence[PlanarFrame], states: list[FloatArray]
    ) -> tuple[list[Matte], list[FloatArray]]:
        """Mattes and next states."""
        pictures = [packed(picture) for picture in pictures]
        width, height = network_size(pictures[0], self._scale)
        small = np.stack([small_rgb(picture, width, height) for picture in pictures])
        feeds = {"src_small": small, **dict(zip(STATES_IN, states, strict=True))}
        slopes, offsets, *states = self._session.run(("a", "b", *STATES_OUT), feeds)
        mattes = [
            apply_coefficients(picture, slope[0], offset[0])
            for picture, slope, offset in zip(pictures, slopes, offsets, strict=True)
        ]
        return mattes, states


class WholeNetwork:
    """The graph as published, fed with full-size RGB."""

    def __init__(self, session: Session, scale: float) -> None:
        """Take a session of the whole graph and its downsample ratio."""
        self.provider = f"{session.provider}, whole graph (slow: its structure is not RVM's)"
        self._session = session
        self._scale = scale

    def step(
        self, pictures: Sequence[PlanarFrame], states: list[FloatArray]
    ) -> tuple[list[Matte], list[FloatArray]]:
        """Mattes and next states."""
        feeds = {
            "src": np.stack([full_rgb(picture) for picture in pictures]),
            "downsample_ratio": np.array([self._scale], np.float32),
            **dict(zip(STATES_IN, states, strict=True)),
        }
        alphas, *states = self._session.run(("pha", *STATES_OUT), feeds)
        return [(alpha[0] * 255 + 0.5).astype(np.uint8) for alpha in alphas], states


class RvmEngine:
    """Mattes of one sequence, recurrent state of each view kept between frames."""

    name = "rvm"
    warmup_frames = WARMUP_FRAMES

    def __init__(self, network: RvmNetwork, *, batch_views: bool = False) -> None:
        """Take a network, and whether views of equal size run together (same mattes)."""
        self.provider = network.provider
        self._network = network
        self._batch_views = batch_views
        self._states: list[ViewState] = []
        self._sizes: list[tuple[int, int]] = []

    def matte(self, pictures: Sequence[PlanarFrame]) -> list[Matte]:
        """One matte per picture; advances the state by one frame.

        Raises:
            ValueError: number or sizes of the pictures changed without `reset`.
        """
        sizes = [(picture.width, picture.height) for picture in pictures]
        if self._sizes and sizes != self._sizes:
            raise ValueError(f"views changed from {self._sizes} to {sizes} without a reset")
        states = self._states or [_FIRST_STATE] * len(pictures)
        if len(states) != len(pictures):
            raise ValueError(f"{len(pictures)} views, but the state is of {len(states)}")
        together = self._batch_views and len(set(sizes)) == 1
        step = len(pictures) if together else 1
        mattes: list[Matte] = []
        advanced: list[ViewState] = []
        for first in range(0, len(pictures), step):
            batch = list(zip(*states[first : first + step], strict=True))
            fed = [tensors[0] if step == 1 else np.concatenate(tensors) for tensors in batch]
            made, after = self._network.step(pictures[first : first + step], fed)
            mattes += made
            advanced += [
                tuple(tensor[view : view + 1] for tensor in after) for view in range(len(made))
            ]
        self._states, self._sizes = advanced, sizes
        return mattes

    def state(self) -> dict[str, FloatArray]:
        """The recurrent tensors of each view, named like `view0_r1`; not to be written to."""
        return {
            f"view{view}_{name}": tensor
            for view, tensors in enumerate(self._states)
            for name, tensor in zip(_STATE_NAMES, tensors, strict=True)
        }

    def restore(self, state: State) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: the names aren't those of `state`.
        """
        views = len(state) // len(_STATE_NAMES)
        names = [[f"view{view}_{name}" for name in _STATE_NAMES] for view in range(views)]
        if sorted(state) != sorted(name for of_view in names for name in of_view):
            raise ValueError(f"not a state of this engine: it holds {sorted(state)}")
        self._states = [
            tuple(np.ascontiguousarray(state[name], np.float32) for name in of_view)
            for of_view in names
        ]
        self._sizes = []

    def reset(self) -> None:
        """Forget all frames."""
        self._states, self._sizes = [], []


def load_rvm(
    weights: bytes, scale: float, open_network: Callable[[bytes], Session], *, batch_views: bool
) -> RvmEngine:
    """The engine with its graph cut where possible.

    Args:
        weights: content of an ONNX file with RVM's interface.
        scale: network pixels per picture pixel.
        open_network: makes a session of a serialised graph.
        batch_views: run views of equal size in one batch, if the graph can be cut.
    """
    try:
        cut = cut_rvm(weights)
    except UnknownGraphError:
        # Two full-size float pictures at once would double what is too much already.
        return RvmEngine(WholeNetwork(open_network(weights), scale))
    return RvmEngine(CutNetwork(open_network(cut), scale), batch_views=batch_views)


def network_size(picture: PlanarFrame, scale: float) -> tuple[int, int]:
    """Width and height in network pixels."""
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
