"""A stand-in for networks that follow people: bright things in a box are whoever was pointed at."""

from __future__ import annotations

import numpy as np

BRIGHT = 0.5


class BrightMasks:
    """Follows bright things by where they were, a little way on from picture to picture.

    Like the real ones it knows only whom it was pointed at, and its memory is all it goes by.
    """

    name = "bright"
    provider = "tests"

    def __init__(self, reach_px=6):
        self._reach = reach_px
        self._places: dict[str, np.ndarray] = {}
        self.asked: list[tuple] = []
        self.looked: list[int] = []
        """How many frames each look back took."""

    def masks(self, view, pictures, prompts):
        self.asked.append((view, tuple(prompts)))
        places = {k: v for k, v in self._places.items() if k.rpartition("/")[0] == view}
        for prompt in prompts:
            if prompt.box_px is not None:
                boxes = places.setdefault(
                    f"{view}/{prompt.person}", np.zeros((len(pictures), 4), np.float32)
                ).copy()
                boxes[prompt.picture] = prompt.box_px
                places[f"{view}/{prompt.person}"] = boxes
        found = {}
        for key, boxes in places.items():
            masks = np.zeros((len(pictures), *pictures.shape[2:]), np.float32)
            after = boxes.copy()
            for at, (left, top, right, bottom) in enumerate(boxes):
                if right <= left:
                    continue
                near = np.zeros(pictures.shape[2:], bool)
                rows = slice(max(0, int(top)), int(bottom) + 1)
                near[rows, max(0, int(left)) : int(right) + 1] = True
                shown = near & (pictures[at].mean(axis=0) > BRIGHT)
                masks[at] = shown
                if shown.any():
                    ys, xs = np.nonzero(shown)
                    r = self._reach
                    after[at] = xs.min() - r, ys.min() - r, xs.max() + r, ys.max() + r
            self._places[key] = after
            found[int(key.rpartition("/")[2])] = masks
        return found

    def before(self, frames, prompts):
        self.looked.append(len(frames))
        back, later, found = BrightMasks(self._reach), set(), [{} for _ in frames]
        for at in reversed(range(len(frames))):
            here = prompts.get(at, ())
            masks = back.masks("back", frames[at], here)
            found[at] = {person: masks[person] for person in later}
            later |= {prompt.person for prompt in here}
        return found

    def remembers(self, view):
        return any(key.rpartition("/")[0] == view for key in self._places)

    def turn(self, view, pixel_map):
        for key, boxes in self._places.items():
            if key.rpartition("/")[0] == view:
                corners = np.array([[b[0], b[1], 1] for b in boxes]).T
                others = np.array([[b[2], b[3], 1] for b in boxes]).T
                moved = [(pixel_map @ c)[:2] / (pixel_map @ c)[2] for c in (corners, others)]
                self._places[key] = np.concatenate(moved).T.astype(np.float32)

    def forget(self, view):
        for key in [key for key in self._places if key.rpartition("/")[0] == view]:
            del self._places[key]

    def state(self):
        return dict(self._places)

    def restore(self, state):
        self._places = dict(state)
