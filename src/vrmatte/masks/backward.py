"""People who were found late, followed back through the pictures just before.

A detector often finds somebody some frames after they came in. A network can follow them from there
on backwards as it follows forwards: time runs the other way to it. Every picture is looked at once,
for all who are found after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vrmatte.masks.follower import Follower, usable
from vrmatte.masks.source import FloatArray, Prompt


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
