"""Merging the boxes of many views into one box per person on the sphere.

Several overlapping views show the same person. The border of a view cuts boxes that reach across
it; such fragments are merged with the whole box from another view.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import ViewportPicture

_OUTLINE_POINTS = 64
_SAME_WHOLE_IOU = 0.45
"""Two whole boxes that overlap this much show one person; people side by side overlap less."""
_SAME_FRAGMENT_SHARE = 0.5
"""A fragment belongs to a box that covers this share of it."""
_FRAGMENT_YAW_SHARE = 0.5
"""Two fragments without a whole box belong together if they share this much of their yaw."""

_SURE_SHARE = 0.6
"""A fragment moves a person's sides only if its score is this share of the best one."""


def from_viewport_box(
    picture: ViewportPicture, x0: float, y0: float, x1: float, y1: float
) -> AngularBox | None:
    """Return the bounds of the person in a viewport's box, clipped to the hemisphere.

    The ellipse inscribed in the box is projected onto the sphere. A person touches the middles of
    the sides of a box and leaves its corners free, but the corners bulge most on the sphere: bounds
    of the whole box are far too wide away from the middle of a view (measured IoU with exact bounds
    0.79 against 0.91 for a whole person at 1.5 m, 0.5 against 0.84 for one at half a metre).

    Returns:
        None where the box lies outside the hemisphere.
    """
    turn = np.linspace(0, 2 * math.pi, _OUTLINE_POINTS, endpoint=False)
    centre_x, centre_y, half_x, half_y = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    dx, dy, dz = picture.directions(
        centre_x + half_x * np.cos(turn), centre_y + half_y * np.sin(turn)
    )
    middle_deg = picture.viewport.yaw_deg
    # Relative to the middle of the view, so that no outline wraps around at 180 degrees.
    yaw = middle_deg + (np.degrees(np.arctan2(dx, dz)) - middle_deg + 180) % 360 - 180
    pitch = -np.degrees(np.arctan2(dy, np.hypot(dx, dz)))
    bounds = [float(yaw.min()), float(yaw.max()), float(pitch.min()), float(pitch.max())]
    for pole_deg, at in ((-90.0, 2), (90.0, 3)):
        x, y = picture.pixels(np.zeros(1), np.full(1, -pole_deg), np.zeros(1))
        if abs(x[0] - centre_x) <= half_x and abs(y[0] - centre_y) <= half_y:
            bounds[0], bounds[1], bounds[at] = -180.0, 180.0, pole_deg
    return AngularBox(*bounds).clipped()


@dataclass(frozen=True, slots=True)
class CutSides:
    """The sides of a box that the border of its view cut off."""

    left: bool = False
    right: bool = False
    bottom: bool = False
    top: bool = False

    @property
    def any(self) -> bool:
        """True if the box is a fragment."""
        return self.left or self.right or self.bottom or self.top


WHOLE = CutSides()


@dataclass(frozen=True, slots=True)
class EyeSighting:
    """One view's box of a person, on the sphere."""

    box: AngularBox
    score: float
    cut: CutSides = WHOLE


def merge_sightings(sightings: Iterable[EyeSighting]) -> list[EyeSighting]:
    """Return one sighting per person, best first, with the best score of any view.

    Its box is the mean of the whole boxes, weighted by score, widened by fragments that reach
    further: a box that is too wide costs a little, one that is too narrow cuts off an arm. If there
    are only fragments, it is their union, and sides that no view shows completely stay marked as
    cut.
    """
    groups: list[list[EyeSighting]] = []
    for sighting in sorted(sightings, key=lambda s: (s.cut.any, -s.score)):
        best = max(groups, key=lambda group: _likeness(sighting, group), default=None)
        if best is not None and _likeness(sighting, best) > 0:
            best.append(sighting)
        else:
            groups.append([sighting])
    return sorted(map(_joined, groups), key=lambda merged: -merged.score)


def _likeness(sighting: EyeSighting, group: Sequence[EyeSighting]) -> float:
    """Return the likeness of a sighting to the person of a group; 0: another person."""
    return max(_same_person(sighting, member) for member in group)


def _same_person(a: EyeSighting, b: EyeSighting) -> float:
    iou = a.box.iou(b.box)
    if iou >= _SAME_WHOLE_IOU:
        return 1 + iou
    if a.cut.any and b.cut.any:
        shared = max(a.box.share_in(b.box), b.box.share_in(a.box))
        return iou if shared > 0 and _agree_on_yaw(a.box, b.box) else 0
    for fragment, other in ((a, b), (b, a)):
        if fragment.cut.any and fragment.box.share_in(other.box) >= _SAME_FRAGMENT_SHARE:
            return iou
    return 0


def _agree_on_yaw(a: AngularBox, b: AngularBox) -> bool:
    shared = min(a.yaw_max_deg, b.yaw_max_deg) - max(a.yaw_min_deg, b.yaw_min_deg)
    widest = max(a.width_deg, b.width_deg)
    return widest > 0 and shared / widest >= _FRAGMENT_YAW_SHARE


def _joined(group: Sequence[EyeSighting]) -> EyeSighting:
    score = max(sighting.score for sighting in group)
    whole = [sighting for sighting in group if not sighting.cut.any]
    fragments = [s for s in group if s.cut.any and s.score >= _SURE_SHARE * score]
    if whole:
        weights = [sighting.score for sighting in whole]
        bounds = np.average([astuple(s.box) for s in whole], axis=0, weights=weights).tolist()
        box = AngularBox(*bounds)
        for fragment in fragments:
            box = _widened(box, fragment)
        return EyeSighting(box, score)
    box, cut = fragments[0].box, fragments[0].cut
    for fragment in fragments[1:]:
        cut = _sides_cut(box, cut, fragment)
        box = box.union(fragment.box)
    return EyeSighting(box, score, cut)


def _widened(box: AngularBox, fragment: EyeSighting) -> AngularBox:
    """Return the box, extended to the sides of the fragment that are not cut and further out."""
    a, b, cut = box, fragment.box, fragment.cut
    return AngularBox(
        a.yaw_min_deg if cut.left else min(a.yaw_min_deg, b.yaw_min_deg),
        a.yaw_max_deg if cut.right else max(a.yaw_max_deg, b.yaw_max_deg),
        a.pitch_min_deg if cut.bottom else min(a.pitch_min_deg, b.pitch_min_deg),
        a.pitch_max_deg if cut.top else max(a.pitch_max_deg, b.pitch_max_deg),
    )


def _sides_cut(box: AngularBox, cut: CutSides, other: EyeSighting) -> CutSides:
    """Return the cut sides of a union of two fragments: those whose outermost bound is cut."""
    a, b = box, other.box
    return CutSides(
        left=(cut.left if a.yaw_min_deg <= b.yaw_min_deg else other.cut.left),
        right=(cut.right if a.yaw_max_deg >= b.yaw_max_deg else other.cut.right),
        bottom=(cut.bottom if a.pitch_min_deg <= b.pitch_min_deg else other.cut.bottom),
        top=(cut.top if a.pitch_max_deg >= b.pitch_max_deg else other.cut.top),
    )
