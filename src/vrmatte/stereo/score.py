"""How well the eyes agree on a person, in numbers.

Three things can be wrong, and each has its measure: the eyes may call other pixels a person
(intersection over union), one eye's outline may lie further out all around (contour offset, which
a large person hides from the first measure), and one eye may lack a limb (largest solid
disagreement, which a large body hides from both). The score is the worst of the three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import Eye, FloatArray, Mask
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.stereo.evidence import Evidence

Labels = npt.NDArray[np.int16]

REFERENCE_PX = 1024
"""Size of the eye whose pixels contour offsets are told in."""
_PER_PX = 0.06
"""What a pixel of contour offset costs; two of them make a matte worth mending."""
_LIMB = 0.5
"""What a limb costs: times the root of its share of the person."""
_SOLID_PX = 5
"""Of a Cassini picture of 512: edges disagree in narrower strips."""
_DIFFERENT = 0.5
_FAINT, _NEARLY = 0.02, 0.98
_BOX_GROWN_SHARE, _BOX_GROWN_DEG = 0.1, 2.0
_LEAST_AREA_PX = 12.0
"""People smaller than that in both eyes are not judged."""
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the eyes agree on one person in one frame."""

    iou: float
    """Intersection over union of both mattes at one half, where both eyes see; 1 is best."""
    band_error: float
    """Mean difference of alpha in the soft edge, 0..1; the carrying itself costs some 0.03."""
    offset_px: float
    """How much further out the right eye's outline lies, in pixels of a 1024-pixel eye."""
    limb_share: float
    """Largest solid part that only one eye has, as a share of the person."""
    seen_share: float
    """How much of the person both eyes see."""
    right_area_share: float
    """Part of the person's two areas that lies in the right eye; one half where both are alike."""

    @property
    def score(self) -> float:
        """0 none .. 1 perfect; the least of what the measures say."""
        by_offset = 1 - _PER_PX * abs(self.offset_px)
        by_limb = 1 - _LIMB * float(np.sqrt(self.limb_share))
        return max(0.0, min(self.iou, by_offset, by_limb))


def label_people(
    bounds: Sequence[AngularBox | None], yaw_deg: FloatArray, pitch_deg: FloatArray
) -> Labels:
    """Which person each pixel is judged with, by their boxes; `NOBODY` outside all of them.

    Args:
        bounds: a person's box each; None: this eye doesn't see them.
        yaw_deg: of each pixel.
        pitch_deg: of each pixel.

    Returns:
        The person's number; where boxes overlap, of the one whose middle is nearer in terms of
        the box's size.
    """
    labels = np.full(yaw_deg.shape, NOBODY, np.int16)
    best = np.ones(yaw_deg.shape, np.float32)
    for number, box in enumerate(bounds):
        if box is None:
            continue
        middle_yaw = (box.yaw_min_deg + box.yaw_max_deg) / 2
        middle_pitch = (box.pitch_min_deg + box.pitch_max_deg) / 2
        grown = 1 + 2 * _BOX_GROWN_SHARE
        half_yaw = grown * (box.yaw_max_deg - box.yaw_min_deg) / 2 + _BOX_GROWN_DEG
        half_pitch = grown * (box.pitch_max_deg - box.pitch_min_deg) / 2 + _BOX_GROWN_DEG
        away = np.maximum(
            np.abs(yaw_deg - middle_yaw) / half_yaw, np.abs(pitch_deg - middle_pitch) / half_pitch
        )
        nearer = away < best
        labels[nearer], best[nearer] = number, away[nearer]
    return labels


def agreement(
    evidence: Mapping[Eye, Evidence], labels: Mapping[Eye, Labels], number: int
) -> Agreement | None:
    """How the eyes agree on the pixels of one person; None where nobody is or nobody can tell."""
    parts = {eye: _Part.of(evidence[eye], labels[eye] == number) for eye in Eye}
    left, right = parts[Eye.LEFT], parts[Eye.RIGHT]
    either = left.either + right.either
    area = max(left.area, right.area)
    if area < _LEAST_AREA_PX or either < _LEAST_AREA_PX:
        return None
    size = evidence[Eye.LEFT].own.shape[0]
    contour = max(left.contour + right.contour, 1.0)
    band = max(left.band + right.band, 1.0)
    return Agreement(
        iou=(left.both + right.both) / either,
        band_error=(left.band_error + right.band_error) / band,
        offset_px=(right.surplus - left.surplus) / contour * REFERENCE_PX / size,
        limb_share=min(1.0, max(left.limb, right.limb) / area),
        seen_share=min(1.0, (left.seen + right.seen) / max(left.area + right.area, 1.0)),
        right_area_share=right.area / max(left.area + right.area, 1.0),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Sums over the pixels that one eye gives a person."""

    area: float
    seen: float
    both: float
    either: float
    surplus: float
    """Own alpha less what the other eye tells."""
    contour: float
    band: float
    band_error: float
    limb: float

    @staticmethod
    def of(evidence: Evidence, mine: Mask) -> _Part:
        rows, columns = (np.flatnonzero(mine.any(axis=axis)) for axis in (1, 0))
        if rows.size == 0:
            return _Part(*(0.0,) * 9)
        at = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        own, told, mine = evidence.own[at], evidence.told[at], mine[at]
        judged = mine & (evidence.seen[at] > 0)
        solid_own, solid_told = own > _DIFFERENT, told > _DIFFERENT
        either = (solid_own | solid_told) & judged
        soft = ((own > _FAINT) & (own < _NEARLY)) | ((told > _FAINT) & (told < _NEARLY))
        soft &= judged
        surplus = np.where(judged, own - told, np.float32(0))
        return _Part(
            area=float(own[mine].sum()),
            seen=float(own[judged].sum()),
            both=float((solid_own & solid_told & judged).sum()),
            either=float(either.sum()),
            surplus=float(surplus.sum()),
            contour=float(_contour_px(np.maximum(own, told), judged)),
            band=float(soft.sum()),
            band_error=float(np.abs(surplus)[soft].sum()),
            limb=_largest_solid(np.abs(surplus), evidence.own.shape[0]),
        )


def _contour_px(matte: FloatArray, judged: Mask) -> float:
    """Length of the outline: what the gradient of alpha adds up to across it is 1."""
    dx, dy = (
        cv2.Sobel(matte, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))
    )
    return float(np.hypot(dx, dy)[judged].sum())


def _largest_solid(difference: FloatArray, size: int) -> float:
    """Area of the largest disagreement that is no mere strip, in pixels."""
    side = max(3, round(_SOLID_PX * size / 512))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    solid = cv2.morphologyEx((difference > _DIFFERENT).astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, _, stats, _ = cv2.connectedComponentsWithStats(solid)
    return float(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0.0
