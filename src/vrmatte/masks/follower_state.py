"""What a follower remembers, as plain fp32 arrays and back, without losing a bit.

Half precisions have fewer bits than fp32, so they go there and back unchanged; which one it was is
kept beside them. At most six tracked and the newest few prompted masks are remembered of
everybody, so the size has a bound that doesn't depend on the length of the video.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vrmatte.frames import FloatArray
from vrmatte.masks.follower import FEATURES, POINTER, POSITIONS, PROMPTED, TRACKED, Follower

_PRECISIONS = "float32", "bfloat16", "float16"
_KINDS = {"prompted": PROMPTED, "tracked": TRACKED}
_LARGEST_FRAME = 1 << 24
"""Beyond it fp32 no longer tells whole numbers apart."""


def saved(follower: Follower) -> dict[str, FloatArray]:
    """All a follower needs to go on exactly; not to be written to."""
    people = follower.people
    arrays = {
        "frame": _numbers([follower.frame]),
        "people": _numbers(people),
        "boxes": _boxes(follower.boxes),
        "hints": _boxes(follower.hints),
    }
    if follower.positions is not None:
        arrays |= _saved_tensors("positions", [follower.positions])
    for index, person in enumerate(people):
        kept = follower.session.output_dict_per_obj[index]
        for name, kind in _KINDS.items():
            arrays |= _saved_entries(f"{person}.{name}", kept[kind], follower.positions)
    return arrays


def restore(follower: Follower, arrays: Mapping[str, FloatArray]) -> None:
    """Let a fresh follower go on from what `saved` answered.

    Raises:
        ValueError: the arrays aren't those of `saved`.
    """
    try:
        follower.frame = int(arrays["frame"][0])
        follower.boxes = _boxes_in(arrays["boxes"])
        follower.hints = _boxes_in(arrays["hints"])
        device = follower.network.device
        if "positions" in arrays:
            (follower.positions,) = _tensors("positions", arrays, device)
        for person in arrays["people"].astype(int).tolist():
            index = follower.session.obj_id_to_idx(person)
            for name, kind in _KINDS.items():
                entries = _entries(f"{person}.{name}", arrays, follower.positions, device)
                follower.session.output_dict_per_obj[index][kind].update(entries)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"not a state of this engine: {sorted(arrays)}") from error


def _saved_entries(
    name: str, entries: Mapping[int, dict[str, Any]], shared: Any
) -> dict[str, FloatArray]:
    """Entries of one person: when they are of, all pointers, and the masks of the newest."""
    ordered = [entries[at] for at in entries]
    with_mask = [entry for entry in ordered if FEATURES in entry]
    arrays = {name: _numbers(list(entries))}
    if ordered:
        arrays |= _saved_tensors(f"{name}.pointers", [entry[POINTER] for entry in ordered])
    if with_mask:
        arrays |= _saved_tensors(f"{name}.masks", [entry[FEATURES] for entry in with_mask])
        if any(entry[POSITIONS] is not shared for entry in with_mask):
            arrays |= _saved_tensors(f"{name}.positions", [e[POSITIONS] for e in with_mask])
    return arrays


def _entries(
    name: str, arrays: Mapping[str, FloatArray], shared: Any, device: Any
) -> dict[int, dict[str, Any]]:
    frames = arrays[name].astype(int).tolist()
    if not frames:
        return {}
    entries = {
        at: {POINTER: pointer}
        for at, pointer in zip(frames, _tensors(f"{name}.pointers", arrays, device), strict=True)
    }
    if f"{name}.masks" in arrays:
        masks = _tensors(f"{name}.masks", arrays, device)
        own = f"{name}.positions"
        positions = _tensors(own, arrays, device) if own in arrays else [shared] * len(masks)
        newest = frames[-len(masks) :]
        for at, mask, where in zip(newest, masks, positions, strict=True):
            entries[at] |= {FEATURES: mask, POSITIONS: where}
    return entries


def _saved_tensors(name: str, tensors: list[Any]) -> dict[str, FloatArray]:
    precisions = [_PRECISIONS.index(str(t.dtype).removeprefix("torch.")) for t in tensors]
    values = np.stack([tensor.detach().float().cpu().numpy() for tensor in tensors])
    return {name: values, f"{name}.precision": _numbers(precisions)}


def _tensors(name: str, arrays: Mapping[str, FloatArray], device: Any) -> list[Any]:
    import torch  # pyright: ignore[reportMissingImports]

    precisions = arrays[f"{name}.precision"].astype(int).tolist()
    values = np.array(arrays[name], np.float32)  # a copy: what is restored may be read-only
    return [
        torch.from_numpy(value).to(device=device, dtype=getattr(torch, _PRECISIONS[precision]))
        for value, precision in zip(values, precisions, strict=True)
    ]


def _numbers(values: list[int]) -> FloatArray:
    if any(abs(value) >= _LARGEST_FRAME for value in values):
        raise ValueError(f"numbers from {_LARGEST_FRAME} on can't be kept in fp32: {values}")
    return np.array(values, np.float32)


def _boxes(boxes: Mapping[int, tuple[float, ...]]) -> FloatArray:
    """Rows of person, left, top, right, bottom."""
    rows = [(person, *box) for person, box in boxes.items()]
    return np.array(rows, np.float32).reshape(-1, 5)


def _boxes_in(rows: FloatArray) -> dict[int, tuple[float, float, float, float]]:
    return {int(row[0]): (row[1], row[2], row[3], row[4]) for row in rows.tolist()}
