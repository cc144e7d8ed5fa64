"""What a session of transformers may forget after each picture, so that it never grows.

The library frees nothing by itself. The next picture is read together with the masks of the last
`memories - 1` pictures, the pointers (what somebody looked like) of the last `pointers - 1`, and
all of everybody's prompted pictures; what goes here is never looked at again, so masks stay the
same to the last bit. Only `prompted` changes what is remembered, where somebody is prompted more
often than that.
"""

from __future__ import annotations

from typing import Any

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
