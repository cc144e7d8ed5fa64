"""Detection of people in one frame: in flat views of each eye, as boxes on the sphere.

Detectors are trained on flat images and miss people in half-equirectangular ones. The views
overlap, so that a person cut by the border of one view is complete in another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import rgb_to_yuv, yuv_to_rgb
from vrmatte.frames import EYES, PlanarFrame, Plane
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import EyeProjection, HalfEquirect
from vrmatte.geometry.remap import Interpolation, SamplingGrid, make_sampling_grid, resample
from vrmatte.geometry.viewport import Viewport, ViewportPicture
from vrmatte.people.sphere import CutSides, EyeSighting, from_viewport_box, merge_sightings

Pictures = npt.NDArray[np.uint8]
"""RGB images, shape (n, H, W, 3)."""

WIDE_VIEW = Viewport(0, -10, 170, 170, "stereographic")
"""Nearly all of an eye at once. It costs a quarter of all views. Alone it detects people with lower
scores and coarser boxes, and people half hidden by others later."""

VIEWS = (*(Viewport(yaw_deg, -15, 90, 90) for yaw_deg in (-50, 0, 50)), WIDE_VIEW)
"""Views of each eye. The perspective views overlap by 40 degrees; wider people are complete in the
wide view. Measured on people at half a metre to two metres: people not hidden by others are
detected in both eyes with a score of 0.79 or more, and nothing else with 0.5 or more. Eight views
of 75 degrees (yaw -60, -20, 20, 60; pitch 0, -40) cost twice as much, cut close people into parts
and give worse boxes."""

_BORDER_SHARE = 0.012
"""A box closer to the border of a view than this share of its size counts as cut by it."""
_EDGE_DEG = 1.5
"""A box this close to the edge of the hemisphere counts as cut by it."""
_FILL = 114
"""Grey outside the hemisphere: the padding that detectors are trained with."""

_MOST_DISPARITY_DEG = 14.0
"""Disparity of something 0.3 m away, plus a little for imprecise boxes."""
_LEAST_PAIR_IOU = 0.4
"""Least overlap of a person's boxes in both eyes after the disparity is removed."""


@dataclass(frozen=True, slots=True)
class ViewBox:
    """A person's box in one image, in continuous pixel coordinates."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    """0..1."""


class Detector(Protocol):
    """Finds people in flat images."""

    @property
    def input_px(self) -> int:
        """Preferred side of the square images."""
        ...

    def detect(self, pictures: Pictures) -> list[list[ViewBox]]:
        """Return the people in each image, unlikely ones included, without duplicates."""
        ...


@dataclass(frozen=True, slots=True)
class Detection:
    """A person seen by one eye."""

    box: AngularBox
    score: float
    """Of the best view, 0..1."""
    cut_by_edge: bool
    """True if the person reaches beyond the eye, or beyond all views."""


@dataclass(frozen=True, slots=True)
class StereoDetection:
    """The same person in both eyes; None: that eye does not see them."""

    left: Detection | None
    right: Detection | None

    @property
    def score(self) -> float:
        """The better eye's score."""
        return max(eye.score for eye in (self.left, self.right) if eye is not None)


def detect_stereo(
    frame: PlanarFrame,
    detector: Detector,
    threshold: float,
    weak_threshold: float | None = None,
    views: Sequence[Viewport] = VIEWS,
    projection: EyeProjection | None = None,
) -> list[StereoDetection]:
    """Return the people in a side-by-side frame, best score first.

    Args:
        frame: both eyes.
        detector: finds people in flat views.
        threshold: least score of the better eye.
        weak_threshold: least score of the other eye; default: half of `threshold`, since a box at
            the place that the better eye predicts is evidence too.
        views: of each eye.
        projection: as in `view_pictures`.
    """
    weak = threshold / 2 if weak_threshold is None else weak_threshold
    size = detector.input_px
    pictures = np.concatenate(
        [view_pictures(frame.eye(eye), size, views, projection) for eye in EYES]
    )
    boxes = detector.detect(pictures)
    left, right = (
        _on_the_sphere(half, views, size, weak)
        for half in (boxes[: len(views)], boxes[len(views) :])
    )
    return [pair for pair in pair_eyes(left, right) if pair.score >= threshold]


def pair_eyes(left: Sequence[Detection], right: Sequence[Detection]) -> list[StereoDetection]:
    """Match the people of both eyes, best score first; people without a match are kept."""
    likely = sorted(
        (
            (_pair_likeness(a.box, b.box), i, j)
            for i, a in enumerate(left)
            for j, b in enumerate(right)
        ),
        reverse=True,
    )
    partner_of: dict[int, int] = {}
    for likeness, i, j in likely:
        if likeness > 0 and i not in partner_of and j not in partner_of.values():
            partner_of[i] = j
    pairs = [
        StereoDetection(a, right[partner_of[i]] if i in partner_of else None)
        for i, a in enumerate(left)
    ]
    alone = [b for j, b in enumerate(right) if j not in partner_of.values()]
    pairs += [StereoDetection(None, b) for b in alone]
    return sorted(pairs, key=lambda pair: -pair.score)


def view_pictures(
    eye: PlanarFrame,
    size_px: int,
    views: Sequence[Viewport] = VIEWS,
    projection: EyeProjection | None = None,
) -> Pictures:
    """Return the views of one eye as RGB, shape (views, size_px, size_px, 3).

    Only these small images are converted to RGB. A denser eye is first averaged down to slightly
    more than the density of the views, to avoid aliasing.

    Args:
        eye: the image of one eye.
        size_px: width and height of the views.
        views: directions and fields of view.
        projection: of the eye, at any size; None: half-equirectangular.
    """
    views = tuple(views)
    shown = (projection or HalfEquirect(eye.height)).resized(eye.height)
    shown = shown.resized(eye.height // _shrink_factor(shown, views, size_px))
    planes = [_shrunk(plane, shown.size) for plane in (eye.y, eye.u, eye.v)]
    grids = _grids(views, size_px, shown)
    fill = rgb_to_yuv(
        (_FILL, _FILL, _FILL), eye.color.matrix, eye.layout.bit_depth, eye.color.full_range
    )
    to_rgb = yuv_to_rgb(eye.color.matrix, eye.layout.bit_depth, eye.color.full_range)
    to_codes = np.ascontiguousarray(255 * to_rgb)
    pictures = np.empty((len(views), size_px, size_px, 3), np.uint8)
    for picture, grid in zip(pictures, grids, strict=True):
        samples = [
            resample(plane, grid, Interpolation.LINEAR, peak=eye.layout.peak, border=code)
            for plane, code in zip(planes, fill, strict=True)
        ]
        rgb: Any = cv2.transform(cv2.merge(samples).astype(np.float32), to_codes)
        np.clip(np.rint(rgb, out=rgb), 0, 255, out=picture, casting="unsafe")
    return pictures


def _shrink_factor(eye: EyeProjection, views: Sequence[Viewport], size_px: int) -> int:
    """Return the number of pixels, along a side, that can be averaged without losing detail."""
    eye_px, span = eye.size, math.radians(eye.span_deg)
    densest_px = max(view.scales(size_px, size_px)[0] for view in views) * span
    most = max(1, int(eye_px / densest_px))
    # Averaging blocks of whole pixels is many times faster.
    whole = [factor for factor in range(most // 2 + 1, most + 1) if eye_px % factor == 0]
    return max(whole, default=most)


def _shrunk(plane: Plane, size_px: int) -> Any:
    """Resize a plane to `size_px` square: averaged if it is larger, interpolated if smaller."""
    kind = cv2.INTER_AREA if plane.shape[0] > size_px else cv2.INTER_LINEAR
    if plane.shape == (size_px, size_px):
        return plane
    return cv2.resize(plane, (size_px, size_px), interpolation=kind)


@lru_cache(maxsize=4)
def _grids(
    views: tuple[Viewport, ...], size_px: int, eye: EyeProjection
) -> tuple[SamplingGrid, ...]:
    return tuple(make_sampling_grid(view.picture(size_px, size_px), eye) for view in views)


def _on_the_sphere(
    boxes: Sequence[Sequence[ViewBox]], views: Sequence[Viewport], size_px: int, threshold: float
) -> list[Detection]:
    sightings: list[EyeSighting] = []
    for view, found in zip(views, boxes, strict=True):
        picture = view.picture(size_px, size_px)
        for box in found:
            sighting = _sighting(picture, box) if box.score >= threshold else None
            if sighting is not None:
                sightings.append(sighting)
    return [_detection(sighting) for sighting in merge_sightings(sightings)]


def _sighting(picture: ViewportPicture, box: ViewBox) -> EyeSighting | None:
    margin_x, margin_y = _BORDER_SHARE * picture.width, _BORDER_SHARE * picture.height
    cut = CutSides(
        left=box.x0 <= margin_x,
        right=box.x1 >= picture.width - margin_x,
        bottom=box.y1 >= picture.height - margin_y,
        top=box.y0 <= margin_y,
    )
    x0, x1 = max(box.x0, 0), min(box.x1, picture.width)
    y0, y1 = max(box.y0, 0), min(box.y1, picture.height)
    if x0 >= x1 or y0 >= y1:
        return None
    bounds = from_viewport_box(picture, x0, y0, x1, y1)
    return None if bounds is None else EyeSighting(bounds, box.score, cut)


def _detection(sighting: EyeSighting) -> Detection:
    box = sighting.box
    at_the_end = (
        box.yaw_min_deg <= -90 + _EDGE_DEG
        or box.yaw_max_deg >= 90 - _EDGE_DEG
        or box.pitch_min_deg <= -90 + _EDGE_DEG
        or box.pitch_max_deg >= 90 - _EDGE_DEG
    )
    return Detection(box, sighting.score, at_the_end or sighting.cut.any)


def _pair_likeness(left: AngularBox, right: AngularBox) -> float:
    """Return the likeness of boxes in both eyes, up to 1; 0 if they cannot show the same person.

    The lenses are parallel, so things appear further right in the left eye than in the right eye,
    the more the closer they are; heights differ little.
    """
    shift_deg = left.center[0] - right.center[0]
    slack_deg = 2 + 0.15 * max(left.width_deg, right.width_deg)
    if not -slack_deg <= shift_deg <= _MOST_DISPARITY_DEG + slack_deg:
        return 0
    iou = left.iou(right.shifted(shift_deg))
    # Of two equally tall people, the one with less disparity is likelier.
    return iou - 0.01 * abs(shift_deg) if iou >= _LEAST_PAIR_IOU else 0
