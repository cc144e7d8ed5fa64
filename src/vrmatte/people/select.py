"""Selection of the people to keep, and recognition of the body of the camera's wearer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Literal

from vrmatte.geometry.angular_box import AngularBox
from vrmatte.people.viewports import people_of, viewports_for
from vrmatte.subjects import People, Person, PersonKind, TimedBox

_BELOW_PITCH_DEG = -45.0
"""Highest pitch of the centre of one's own body while looking straight ahead."""
_NO_HEAD_ABOVE_DEG = -25.0
"""Highest pitch that it reaches; a head would reach higher."""
_LEAST_WIDTH_DEG = 40.0
"""Least width, since it is so close."""
_LEAST_SHIFT_DEG = 2.0
"""Least disparity, that of something 1.5 m away, where both eyes see it."""
_MOST_MOTION_DEG = 15.0


def kind_of(boxes: Sequence[TimedBox]) -> PersonKind:
    """Return the kind of a track: another person, or the viewer's headless body."""
    seen = [box for timed in boxes for box in timed.boxes]
    middles = [box.center for box in seen]
    shifts = [
        timed.left.center[0] - timed.right.center[0]
        for timed in boxes
        if timed.left is not None and timed.right is not None
    ]
    pitches = [pitch for _, pitch in middles]
    is_own = (
        median(pitches) < _BELOW_PITCH_DEG
        and median(box.pitch_max_deg for box in seen) < _NO_HEAD_ABOVE_DEG
        and median(box.width_deg for box in seen) > _LEAST_WIDTH_DEG
        and max(pitches) - min(pitches) < _MOST_MOTION_DEG
        and (not shifts or median(shifts) > _LEAST_SHIFT_DEG or _reaches_nadir(seen))
    )
    return "viewer_body" if is_own else "person"


def _reaches_nadir(boxes: Sequence[AngularBox]) -> bool:
    """Return True if boxes reach the nadir, where yaw and therefore disparity mean nothing."""
    return median(box.pitch_min_deg for box in boxes) < -80


def kept_people(people: People, viewer_body: Literal["keep", "exclude"]) -> tuple[Person, ...]:
    """Return the people that belong in the matte."""
    return tuple(
        person
        for person in people.people
        if person.keep and (person.kind == "person" or viewer_body == "keep")
    )


def chosen(
    people: People, viewer_body: Literal["keep", "exclude"], *, derive_viewports: bool
) -> People:
    """Return the document as a run uses it, without viewports of excluded people.

    Args:
        people: as read.
        viewer_body: `people.viewer_body`.
        derive_viewports: compute them from the boxes instead of using the listed ones.
    """
    kept = kept_people(people, viewer_body)
    ids = {person.id for person in kept}
    marked = tuple(replace(person, keep=person.id in ids) for person in people.people)
    if derive_viewports:
        viewports = viewports_for(kept, people.shots, people.source.rate)
    else:
        viewports = tuple(
            path for path in people.viewports if not people_of(path) or people_of(path) & ids
        )
    return replace(people, people=marked, viewports=viewports)
