"""Everybody in one eye's pictures of one view, followed from picture to picture.

A box of somebody begins them anew in that picture, whoever they were before. Points alone of
somebody known correct what memory says, and the corrected picture is remembered like a prompted
one, as SAM 2's own predictor does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vrmatte.frames import DoubleArray, FloatArray
from vrmatte.masks.sam2_network import Sam2Network
from vrmatte.masks.source import Prompt

PROMPTED, TRACKED = "cond_frame_outputs", "non_cond_frame_outputs"
"""What the library calls pictures that somebody was prompted in, and those that follow."""

FEATURES, POSITIONS, POINTER = "maskmem_features", "maskmem_pos_enc", "object_pointer"
"""What is remembered of one picture: a mask with the picture around it, where its parts lie, and
what the person looked like."""

_REMEMBERED = frozenset({FEATURES, POSITIONS, POINTER})


def forget_the_past(
    session: Any, frame: int, *, memories: int, pointers: int, prompted: int
) -> None:
    """Drop what no later picture needs.

    Args:
        session: of transformers, after its forward step for `frame`.
        frame: index of the picture just looked at.
        memories: from how many pictures masks are remembered.
        pointers: from how many pictures pointers are remembered.
        prompted: how many of their newest prompted pictures everybody keeps, at least 1.
    """
    session.processed_frames = None
    session.cache.clear_all()
    for person, kept in session.output_dict_per_obj.items():
        session.point_inputs_per_obj[person].clear()
        session.mask_inputs_per_obj[person].clear()
        session.frames_tracked_per_obj[person].clear()
        for at in sorted(kept[PROMPTED])[:-prompted]:
            del kept[PROMPTED][at]
        for at in [at for at in kept[TRACKED] if at <= frame - (pointers - 1)]:
            del kept[TRACKED][at]
        for entry in (*kept[PROMPTED].values(), *kept[TRACKED].values()):
            for name in entry.keys() - _REMEMBERED:
                del entry[name]
        for at, entry in kept[TRACKED].items():
            if at <= frame - (memories - 1):
                entry.pop(FEATURES, None)
                entry.pop(POSITIONS, None)
        for entry in kept[PROMPTED].values():
            _own(entry)


def _own(entry: dict[str, Any]) -> None:
    """Free an entry that stays from the others its tensors were made together with."""
    for name, tensor in entry.items():
        if tensor.untyped_storage().nbytes() > tensor.nbytes:
            entry[name] = tensor.clone()


Box = tuple[float, float, float, float]

LARGEST_PAN = 1 / 8
"""Share of the picture's side by which a turn may move somebody without their being pointed at
again. SAM 2 follows through pans of a camera, which move less than that from picture to picture."""
_LEAST_BOX_PX = 1.0


class Follower:
    """Follows people through one stream of pictures of equal size."""

    def __init__(self, network: Sam2Network, prompted: int) -> None:
        """Take a network, and how many of their prompted pictures everybody keeps, at least 1."""
        if prompted < 1:
            raise ValueError(f"everybody must keep a prompted picture, {prompted} were asked for")
        self.network = network
        self.session: Any = network.new_session()
        self.frame = 0
        """Index of the next picture."""
        self.boxes: dict[int, Box] = {}
        """Where everybody was in the last picture who was seen there."""
        self.hints: dict[int, Box] = {}
        """Where people are in the next picture, as far as a turn of the view tells."""
        self.positions: Any = None
        """Where the parts of a memory lie; the same for all of them, so it is kept once."""
        self._prompted = prompted

    @property
    def people(self) -> list[int]:
        """Everybody ever prompted here, in the order in which they came."""
        return list(self.session.obj_ids)

    def step(self, picture: FloatArray, prompts: Sequence[Prompt]) -> dict[int, FloatArray]:
        """Look at the next picture.

        Args:
            picture: shape (3, h, w), RGB 0..1.
            prompts: of this picture, as `usable` answers them.

        Returns:
            By person, how surely a pixel shows them, shape (h, w).
        """
        corrected = self._point(prompts, (picture.shape[1], picture.shape[2]))
        if not self.people:
            return {}
        found = self.network.forward(self.session, self.frame, picture)
        self._keep(self.frame, corrected)
        self.boxes = {p: box for p, mask in found.items() if (box := _box_of(mask)) is not None}
        self.hints = {}
        self.frame += 1
        return found

    def _point(self, prompts: Sequence[Prompt], size: tuple[int, int]) -> list[int]:
        """Write prompts and hints into the session; answers who is corrected by points alone."""
        known = set(self.people)
        given = {prompt.person for prompt in prompts}
        hints = [
            Prompt(person, 0, box) for person, box in self.hints.items() if person in known - given
        ]
        corrected = [p.person for p in prompts if p.box_px is None and p.person in known]
        for prompt in (*prompts, *hints):
            self.network.point(self.session, self.frame, prompt, size)
        for person in (*corrected, *(hint.person for hint in hints)):
            # Who counts as tracked in this picture is read together with memory.
            index = self.session.obj_id_to_idx(person)
            self.session.frames_tracked_per_obj[index][self.frame] = {"reverse": False}
        self.session.obj_with_new_inputs = [p.person for p in (*prompts, *hints)]
        return corrected

    def _keep(self, frame: int, corrected: Sequence[int]) -> None:
        """Remember what a picture brought, and forget what is needed no more."""
        outputs = self.session.output_dict_per_obj
        for person in corrected:
            kept = outputs[self.session.obj_id_to_idx(person)]
            kept[PROMPTED][frame] = kept[TRACKED].pop(frame)
        network = self.network
        forget_the_past(
            self.session,
            frame,
            memories=network.memories,
            pointers=network.pointers,
            prompted=self._prompted,
        )
        for kept in outputs.values():
            for entries in (kept[PROMPTED], kept[TRACKED]):
                if frame in entries:
                    self._share_positions(entries[frame])

    def _share_positions(self, entry: dict[str, Any]) -> None:
        if self.positions is None:
            self.positions = entry[POSITIONS].clone()
        if _same(entry[POSITIONS], self.positions):
            entry[POSITIONS] = self.positions

    def turn(self, pixel_map: DoubleArray, size: tuple[int, int]) -> None:
        """Note where people are after the view turned, where it turned further than a pan does.

        Args:
            pixel_map: shape (3, 3), from old to new continuous pixel coordinates.
            size: height and width of the pictures.
        """
        for person, box in {**self.boxes, **self.hints}.items():
            moved = _mapped(box, pixel_map)
            within = None if moved is None else _clipped(moved, size)
            is_hinted = self.hints.pop(person, None) is not None
            self.boxes.pop(person, None)
            if moved is None or within is None:
                continue
            pan = np.abs(_middle(moved) - _middle(box)) / (size[1], size[0])
            kept = self.hints if is_hinted or pan.max() > LARGEST_PAN else self.boxes
            kept[person] = within

    def move_to(self, device: Any) -> None:
        """Keep all that is remembered on another device."""
        positions = self.positions
        if positions is not None:
            self.positions = positions.to(device)
        for kept in self.session.output_dict_per_obj.values():
            for entry in (*kept[PROMPTED].values(), *kept[TRACKED].values()):
                for name, tensor in entry.items():
                    entry[name] = self.positions if tensor is positions else tensor.to(device)


def usable(prompts: Sequence[Prompt], size: tuple[int, int], known: Sequence[int]) -> list[Prompt]:
    """Prompts for one picture as the network takes them: boxes cut to it, those outside left out.

    Args:
        prompts: of one picture.
        size: its height and width.
        known: who is followed in it already.

    Raises:
        ValueError: somebody has two prompts, or one without box and points, or somebody unknown
            has only points that don't show them.
    """
    people = [prompt.person for prompt in prompts]
    if len(set(people)) != len(people):
        raise ValueError(f"two prompts for one person in one picture: {people}")
    inside: list[Prompt] = []
    for prompt in prompts:
        if prompt.box_px is not None:
            box = _clipped(prompt.box_px, size)
            if box is not None:
                inside.append(replace(prompt, box_px=box))
            continue
        if not prompt.points:
            raise ValueError(f"the prompt for person {prompt.person} has neither box nor points")
        if prompt.person not in known and not any(point.is_person for point in prompt.points):
            raise ValueError(f"person {prompt.person} is new: their points must show them")
        inside.append(prompt)
    return inside


def _same(one: Any, other: Any) -> bool:
    import torch  # pyright: ignore[reportMissingImports]

    return one.dtype == other.dtype and torch.equal(one, other)


def _clipped(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box within a picture of height and width, if there is any."""
    left, right = (min(max(x, 0.0), float(size[1])) for x in (box[0], box[2]))
    top, bottom = (min(max(y, 0.0), float(size[0])) for y in (box[1], box[3]))
    if right - left < _LEAST_BOX_PX or bottom - top < _LEAST_BOX_PX:
        return None
    return left, top, right, bottom


def _box_of(mask: FloatArray) -> Box | None:
    """The box around a mask; None: nobody is seen."""
    columns = np.flatnonzero(mask.max(axis=0) > 0.5)
    if not columns.size:
        return None
    rows = np.flatnonzero(mask.max(axis=1) > 0.5)
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _mapped(box: Box, pixel_map: DoubleArray) -> Box | None:
    """The box around a box's corners after a pixel map; None: it is not all before the viewer."""
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    x, y, w = pixel_map @ np.column_stack([corners, np.ones(4)]).T
    if w.min() <= 0:
        return None
    across, down = (x / w).astype(np.float32), (y / w).astype(np.float32)  # as a state keeps it
    return float(across.min()), float(down.min()), float(across.max()), float(down.max())


def _middle(box: Box) -> DoubleArray:
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2


def followed_back(
    new_follower: Callable[[], Follower],
    frames: Sequence[FloatArray],
    prompts: Mapping[int, Sequence[Prompt]],
) -> list[dict[int, FloatArray]]:
    """Masks as `FollowsBack.before` answers them, by followers that know of nothing else."""
    found: list[dict[int, FloatArray]] = [{} for _ in frames]
    for picture in range(len(frames[0]) if frames else 0):
        follower = new_follower()
        for at in reversed(range(len(frames))):
            shown = frames[at][picture]
            size = shown.shape[1], shown.shape[2]
            found_later = set(follower.people)
            here = [prompt for prompt in prompts.get(at, ()) if prompt.picture == picture]
            masks = follower.step(shown, usable(here, size, follower.people))
            for person in found_later:
                if person not in found[at]:
                    found[at][person] = np.zeros((len(frames[at]), *size), np.float32)
                found[at][person][picture] = masks[person]
    return found
