"""Robust Video Matting: a recurrent network that mattes people without being told where they are.

Only the low-resolution part of its graph runs; it ends in guided coefficients, which is what an
engine answers. A graph that can't be cut is run whole on the small picture, and coefficients are
fitted to its alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from vrmatte.frames import DoubleArray, FloatArray
from vrmatte.matting.base import Coefficients
from vrmatte.matting.guided import fit_coefficients
from vrmatte.models.devices import GPU_DEVICES, HALF_DEVICES
from vrmatte.models.half_precision import halved_rvm
from vrmatte.models.runtime import OpenNetwork, Resident, Session
from vrmatte.models.rvm_cut import STATES_IN, STATES_OUT, UnknownGraphError, cut_rvm
from vrmatte.models.rvm_faster import quick_rvm
from vrmatte.view_memory import State

SETTLING_FRAMES = 2
"""Through viewports the first picture's matte is within 3 % of that after fifteen showings, with
or without them (measured on three clips at 0, 3, 6, 10 and 15); whole eyes, where people are small,
gain from being seen again."""

_STATE_NAMES = tuple(name.removesuffix("i") for name in STATES_IN)
_FIRST_STATE = (np.zeros((1, 1, 1, 1), np.float32),) * len(STATES_IN)
_FIT_RADIUS_PX = 1
_FIT_EPSILON = 1e-5

_TRIAL_PX = 64

Memory = tuple[FloatArray | Resident, ...]
"""The four recurrent tensors of one step's pictures, each (pictures, channels, h, w)."""
HostMemory = tuple[FloatArray, ...]
"""The same in ordinary memory."""


class RvmNetwork(Protocol):
    """One step of the network for pictures of equal size."""

    provider: str

    def step(self, pictures: FloatArray, memory: Memory) -> tuple[Coefficients, Memory]:
        """Coefficients and next memory; pictures are (n, 3, h, w), RGB 0..1."""
        ...


class CutNetwork:
    """The low-resolution part of the graph, which makes coefficients itself."""

    def __init__(self, session: Session, *, resident: bool = False, note: str = "") -> None:
        """Take a session of the cut graph, and whether its memory stays where it runs."""
        self.provider = f"{session.provider}{note}"
        self._session = session
        self._resident = resident

    def step(self, pictures: FloatArray, memory: Memory) -> tuple[Coefficients, Memory]:
        """Coefficients and next memory."""
        if self._resident:
            feeds = {"src_small": pictures, **dict(zip(STATES_IN, memory, strict=True))}
            (slopes, offsets), after = self._session.run_resident(("a", "b"), STATES_OUT, feeds)
            return Coefficients(slopes[:, 0], offsets[:, 0]), after
        feeds = {"src_small": pictures, **dict(zip(STATES_IN, on_host(memory), strict=True))}
        slopes, offsets, *kept = self._session.run(("a", "b", *STATES_OUT), feeds)
        return Coefficients(slopes[:, 0], offsets[:, 0]), tuple(kept)


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
            **dict(zip(STATES_IN, on_host(memory), strict=True)),
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

    def __init__(
        self, network: RvmNetwork, *, batch_pictures: bool = False, offload_idle: bool = False
    ) -> None:
        """Take a network.

        Args:
            network: the network.
            batch_pictures: run a view's pictures in one batch (same result).
            offload_idle: keep in ordinary memory what views other than the last one remember.
        """
        self.provider = network.provider
        self._network = network
        self._batch = batch_pictures
        self._offload = offload_idle
        self._memories: dict[str, tuple[Memory, ...]] = {}
        """For each view the memory of each step, so that it can stay where the network runs."""
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._last = ""

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
        if self._offload and self._last != view and self._last in self._memories:
            self._memories[self._last] = tuple(map(on_host, self._memories[self._last]))
        step = len(pictures) if self._batch else 1
        first = tuple(np.repeat(tensor, step, axis=0) for tensor in _FIRST_STATE)
        parts = range(0, len(pictures), step)
        memories = self._memories.get(view) or (first,) * len(parts)
        made = [
            self._network.step(pictures[at : at + step], memory)
            for at, memory in zip(parts, memories, strict=True)
        ]
        self._memories[view] = tuple(after for _, after in made)
        self._shapes[view] = pictures.shape
        self._last = view
        return Coefficients(
            np.concatenate([found.slope for found, _ in made]),
            np.concatenate([found.offset for found, _ in made]),
        )

    def remembers(self, view: str) -> bool:
        """Whether a view has been shown since it was forgotten."""
        return view in self._memories

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Turn a view's memory with its picture; a view without memory has nothing to turn."""
        memories, shape = self._memories.get(view), self._shapes.get(view)
        if memories is None or shape is None:
            return
        size = shape[3], shape[2]
        self._memories[view] = tuple(
            tuple(_turned(tensor, pixel_map, size) for tensor in on_host(memory))
            for memory in memories
        )

    def forget(self, view: str) -> None:
        """Drop a view's memory."""
        self._memories.pop(view, None)
        self._shapes.pop(view, None)

    def state(self) -> dict[str, FloatArray]:
        """The recurrent tensors of each view, named like `eye/r1`; not to be written to."""
        kept = {
            f"{view}/{name}": np.concatenate(tensors)
            for view, memories in self._memories.items()
            for name, tensors in zip(
                _STATE_NAMES, zip(*map(on_host, memories), strict=True), strict=True
            )
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
        self._memories = {view: self._in_steps(memory) for view, memory in memories.items()}
        self._shapes = shapes

    def _in_steps(self, memory: HostMemory) -> tuple[Memory, ...]:
        """A view's memory, cut as its pictures are run."""
        count = len(memory[0])
        step = count if self._batch else 1
        return tuple(
            tuple(tensor[at : at + step] for tensor in memory) for at in range(0, count, step)
        )

    def reset(self) -> None:
        """Forget all views."""
        self._memories, self._shapes = {}, {}


def on_host(memory: Memory) -> HostMemory:
    """Recurrent tensors as arrays, fetched from where the network runs."""
    return tuple(t.on_host() if isinstance(t, Resident) else t for t in memory)


def load_rvm(
    weights: bytes,
    open_network: OpenNetwork,
    *,
    batch_pictures: bool,
    half: bool = False,
    offload_idle: bool = False,
) -> RvmEngine:
    """The engine with a graph cut where possible.

    Args:
        weights: content of an ONNX file with RVM's interface.
        open_network: makes a session of a serialised graph.
        batch_pictures: run a view's pictures in one batch.
        half: in half precision, recurrent states excepted; see `half_rvm_runs`.
        offload_idle: keep in ordinary memory what views other than the last one remember.
    """
    try:
        cut = cut_rvm(weights)
    except UnknownGraphError:
        network: RvmNetwork = WholeNetwork(open_network(weights, trial=_try_whole))
    else:
        session = open_network(halved_rvm(cut) if half else quick_rvm(cut), trial=_try_cut)
        network = CutNetwork(
            session,
            resident=session.device in GPU_DEVICES,
            note=", half precision with fp32 states" if half else "",
        )
    return RvmEngine(network, batch_pictures=batch_pictures, offload_idle=offload_idle)


def half_rvm_runs(weights: bytes, open_network: OpenNetwork) -> str | None:
    """Why the network can't run in half precision where that gains something; None: it can."""
    try:
        session = open_network(halved_rvm(cut_rvm(weights)), trial=_try_cut)
    except UnknownGraphError as error:
        return f"the graph's structure is not RVM's: {error}"
    if session.device in HALF_DEVICES:
        return None
    return "; ".join(session.notes) or f"{session.provider} gains nothing from it"


def _try_cut(session: Session) -> Sequence[FloatArray]:
    """Two steps of the cut graph, the second with the memory of the first."""
    return _tried(CutNetwork(session, resident=session.device in GPU_DEVICES))


def _try_whole(session: Session) -> Sequence[FloatArray]:
    return _tried(WholeNetwork(session))


def _tried(network: RvmNetwork) -> Sequence[FloatArray]:
    shape = (2, 1, 3, _TRIAL_PX, _TRIAL_PX)
    pictures = np.random.default_rng(0).random(shape, dtype=np.float32)
    _, memory = network.step(pictures[0], _FIRST_STATE)
    found, memory = network.step(pictures[1], memory)
    return (found.slope, found.offset, *on_host(memory))


def _turned(tensor: FloatArray, pixel_map: DoubleArray, size: tuple[int, int]) -> FloatArray:
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
