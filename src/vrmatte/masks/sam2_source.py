"""A mask source on a network of the SAM 2 family, with bounded memory.

One network serves all views and both eyes; each image of each view has its own follower.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from vrmatte.frames import DoubleArray, FloatArray
from vrmatte.masks import follower_state
from vrmatte.masks.follower import Follower, followed_back, usable
from vrmatte.masks.sam2_network import Sam2Network
from vrmatte.masks.source import Prompt
from vrmatte.view_memory import State

PROMPTED_KEPT = 4
"""Number of newest prompted images remembered per person; SAM 3 uses as many itself. Each costs as
much time in every later image as one of the six tracked ones."""

_FACTS = frozenset({"size", "people"})


@dataclass(slots=True)
class _ViewFollowers:
    """Memory of one view."""

    shape: tuple[int, ...]
    followers: list[Follower]
    people: list[int] = field(default_factory=list[int])
    """Return everybody ever prompted, in any of the images."""


class Sam2Source:
    """A `MaskSource` on a network of the SAM 2 family."""

    def __init__(
        self,
        name: str,
        network: Sam2Network,
        *,
        provider: str = "PyTorch on the CPU",
        prompted_kept: int = PROMPTED_KEPT,
        offload_idle: bool = False,
    ) -> None:
        """Take a network.

        Args:
            name: of the network, for the report.
            network: on its device.
            provider: the device, in words.
            prompted_kept: number of prompted images remembered per person.
            offload_idle: keep the memory of all views but the last one on the host.
        """
        self.name, self.provider = name, provider
        self.network = network
        self._prompted = prompted_kept
        self._offload = offload_idle
        self._views: dict[str, _ViewFollowers] = {}
        self._last: str | None = None

    def masks(
        self, view: str, pictures: FloatArray, prompts: Sequence[Prompt]
    ) -> Mapping[int, FloatArray]:
        """Return the masks of people in a view's next images; see `MaskSource.masks`.

        Raises:
            ValueError: images changed in size or number, or prompts are unusable.
            MemoryError: the network ran out of memory; every view is forgotten then, since some
                may have advanced and others not.
        """
        memory = self._views.get(view)
        if memory is None:
            memory = self._views[view] = self._new_view(pictures.shape)
        if memory.shape != pictures.shape:
            raise ValueError(
                f"pictures of {view} changed from {memory.shape} to {pictures.shape}; "
                "forget the view first"
            )
        astray = [p.picture for p in prompts if not 0 <= p.picture < len(pictures)]
        if astray:
            raise ValueError(f"{view} has {len(pictures)} pictures, prompts are for {astray}")
        size = pictures.shape[2], pictures.shape[3]
        told = [
            usable([p for p in prompts if p.picture == at], size, follower.people)
            for at, follower in enumerate(memory.followers)
        ]
        self._make_room(view)
        new = [prompt.person for prompt in prompts if prompt.person not in memory.people]
        with self._shortage_told():
            found = [
                follower.step(picture, of_it)
                for follower, picture, of_it in zip(memory.followers, pictures, told, strict=True)
            ]
        memory.people += dict.fromkeys(new)
        nowhere = np.zeros(size, np.float32)
        return {
            person: np.stack([masks.get(person, nowhere) for masks in found])
            for person in memory.people
        }

    def _new_view(self, shape: tuple[int, ...]) -> _ViewFollowers:
        return _ViewFollowers(shape, [self._new_follower() for _ in range(shape[0])])

    def _new_follower(self) -> Follower:
        return Follower(self.network, self._prompted)

    def before(
        self, frames: Sequence[FloatArray], prompts: Mapping[int, Sequence[Prompt]]
    ) -> Sequence[Mapping[int, FloatArray]]:
        """Return masks of people before their first prompt; see `FollowsBack.before`.

        Raises:
            MemoryError: as in `masks`.
        """
        self._make_room(None)
        with self._shortage_told():
            return followed_back(self._new_follower, frames, prompts)

    def _make_room(self, view: str | None) -> None:
        """Keep only this view's memory on the device; None: nothing."""
        if self._offload and self._last != view:
            for follower in self._followers(self._last):
                follower.move_to("cpu")
            for follower in self._followers(view):
                follower.move_to(self.network.device)
        self._last = view

    def _followers(self, view: str | None) -> list[Follower]:
        memory = None if view is None else self._views.get(view)
        return [] if memory is None else memory.followers

    @contextmanager
    def _shortage_told(self) -> Generator[None]:
        """Convert a lack of memory to one line, and free what was allocated."""
        import torch  # pyright: ignore[reportMissingImports]

        try:
            yield
        except RuntimeError as error:
            lines = str(error).splitlines() or [""]
            if not isinstance(error, torch.OutOfMemoryError) and "allocate" not in lines[0]:
                raise
            self._views.clear()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise MemoryError(f"{self.name} ran out of memory: {lines[0]}") from error

    def follower(self, view: str, picture: int) -> Follower | None:
        """Return the follower of one image of a view, if the view is known."""
        followers = self._followers(view)
        return followers[picture] if followers else None

    def remembers(self, view: str) -> bool:
        """Return True if anybody is followed in a view."""
        return view in self._views and bool(self._views[view].people)

    def turn(self, view: str, pixel_map: DoubleArray) -> None:
        """Note that a view turned.

        Memory cannot be turned and stays as it is: to the network the turn is a camera pan. People
        moved further than a pan does are prompted again in the next image, at the place of their
        last mask.
        """
        if view in self._views:
            shape = self._views[view].shape
            for follower in self._views[view].followers:
                follower.turn(pixel_map, (shape[2], shape[3]))

    def forget(self, view: str) -> None:
        """Drop a view's memory; unknown views are ignored."""
        self._views.pop(view, None)

    def state(self) -> dict[str, FloatArray]:
        """Return everything needed to continue exactly, as plain arrays in fp32; read-only.

        Names are like `VIEW/size`, `VIEW/people` and `VIEW/PICTURE.1.tracked`.
        """
        arrays: dict[str, FloatArray] = {}
        for view, memory in self._views.items():
            arrays[f"{view}/size"] = np.array(memory.shape, np.float32)
            arrays[f"{view}/people"] = np.array(memory.people, np.float32)
            for at, follower in enumerate(memory.followers):
                for name, array in follower_state.saved(follower).items():
                    arrays[f"{view}/{at}.{name}"] = array
        return arrays

    def restore(self, state: State) -> None:
        """Continue from a saved state; an empty one is a fresh start.

        Raises:
            ValueError: it is not a state of this engine.
        """
        by_view: dict[str, dict[str, FloatArray]] = {}
        for name, array in state.items():
            view, _, fact = name.rpartition("/")
            by_view.setdefault(view, {})[fact] = array
        views: dict[str, _ViewFollowers] = {}
        for view, facts in by_view.items():
            if not facts.keys() >= _FACTS:
                raise ValueError(f"not a state of this engine: {view} holds {sorted(facts)}")
            memory = self._new_view(tuple(facts["size"].astype(int).tolist()))
            memory.people = facts["people"].astype(int).tolist()
            for at, follower in enumerate(memory.followers):
                start = f"{at}."
                of_one = {n.removeprefix(start): a for n, a in facts.items() if n.startswith(start)}
                follower_state.restore(follower, of_one)
                if self._offload:
                    follower.move_to("cpu")
            views[view] = memory
        self._views, self._last = views, None
