"""Standard metrics of a matte video against ground truth, gathered frame by frame.

Definitions, units and pitfalls: docs/engineering/quality.md. Memory use does not grow with the
length of the video.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.errors import InputError
from vrmatte.frames import EYES, Eye
from vrmatte.quality.truth.field_metrics import (
    Alpha,
    connectivity_error,
    gradient_error,
    moving_error,
)

Region = Literal["whole", "left", "right"]
REGIONS: tuple[Region, ...] = ("whole", "left", "right")

_BAND_KERNEL = np.ones((9, 9), np.uint8)
_WORST = 5
_Sums = Mapping[str, float]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TruthScore:
    """Distance of a matte from the truth; lower is better, except for IoU. None: not measurable."""

    mad: float | None
    """Mean |a - g|, x 1000."""
    mse: float | None
    """Mean (a - g)^2, x 1000."""
    sad: float | None
    """Sum of |a - g| per eye, / 1000."""
    grad: float | None
    """Sum of squared differences of slope per eye, / 1000."""
    conn: float | None
    """Sum of differences of connectedness per eye, / 1000."""
    dtssd: float | None
    """Root mean square of the error's change from frame to frame, x 100."""
    messddt: float | None
    """Mean change of the squared error along the truth's motion, x 10000."""
    band_mad: float | None
    """MAD near soft edges of the truth: 0.02 < g < 0.98, widened by 4 px; x 1000."""
    trimap_mad: float | None
    """MAD where the trimap is unknown (MAD-T), x 1000."""
    fg_mad: float | None
    """MAD where g > 0.5, i.e. holes in people; x 1000."""
    bg_mad: float | None
    """MAD where g <= 0.02, i.e. false people; x 1000."""
    iou: float | None
    """Intersection over union of both at 0.5."""


@dataclass(frozen=True, slots=True)
class FrameError:
    """A frame with a large error."""

    frame: int
    mad: float


@dataclass(frozen=True, slots=True)
class TruthReport:
    """Scores of a whole video."""

    frames: int
    """Number of frames in the video."""
    scored: int
    """Number of frames that count."""
    every: int
    """Conn and MESSDdt are measured in every `every`-th frame."""
    scores: Mapping[Region, TruthScore]
    worst: tuple[FrameError, ...]
    """Largest MAD first."""


class TruthScorer:
    """Scorer of pairs of side-by-side mattes, taken in order."""

    def __init__(self, skip: int = 0, every: int = 1) -> None:
        """Skip the first `skip` frames; measure Conn and MESSDdt in every `every`-th of the others.

        `every` 0 leaves both out.
        """
        self._skip, self._every = skip, every
        self._frames = 0
        self._before: tuple[Alpha, Alpha] | None = None
        self._totals: dict[Region, defaultdict[str, list[float]]] = {
            region: defaultdict(lambda: [0.0, 0.0]) for region in REGIONS
        }
        self._worst: list[tuple[float, int]] = []

    def add(self, matte: Alpha, truth: Alpha, trimap: Alpha | None = None) -> None:
        """Take the next frame; all mattes have one size, (H, W), 0..1.

        Raises:
            InputError: their sizes differ.
        """
        for name, other in (("matte", matte), ("trimap", trimap)):
            if other is not None and other.shape != truth.shape:
                ours, theirs = ("x".join(map(str, p.shape[::-1])) for p in (other, truth))
                raise InputError(
                    f"frame {self._frames}: the {name} is {ours}, the truth {theirs}; only mattes "
                    "of one size can be compared"
                )
        if self._frames >= self._skip:
            at = self._frames - self._skip
            is_slow = self._every > 0 and at % self._every == 0
            self._score(matte, truth, trimap, is_slow=is_slow)
        self._before = matte, truth
        self._frames += 1

    def _score(self, matte: Alpha, truth: Alpha, trimap: Alpha | None, *, is_slow: bool) -> None:
        sums: dict[Region, _Sums] = {}
        for eye, region in zip(EYES, REGIONS[1:], strict=True):
            pair = _half(matte, eye), _half(truth, eye)
            known = None if trimap is None else _half(trimap, eye)
            before = None
            if self._before is not None:
                before = _half(self._before[0], eye), _half(self._before[1], eye)
            sums[region] = _sums(*pair, known, before, is_slow=is_slow)
        left, right = sums["left"], sums["right"]
        sums["whole"] = {name: left[name] + right[name] for name in left}
        for region in REGIONS:
            measures = _measures(sums[region], eyes=2 if region == "whole" else 1)
            for name, value in measures.items():
                total = self._totals[region][name]
                total[0] += value
                total[1] += 1
            if region == "whole":
                heapq.heappush(self._worst, (measures["mad"], self._frames))
                if len(self._worst) > _WORST:
                    heapq.heappop(self._worst)

    def result(self) -> TruthReport:
        """Return the means over all frames that count.

        Raises:
            InputError: no frame counts.
        """
        scored = self._frames - self._skip
        if scored < 1:
            raise InputError(
                f"matte and truth have {self._frames} frames, and the first {self._skip} are "
                "skipped: nothing is left to compare"
            )
        scores: dict[Region, TruthScore] = {
            region: _score_of(self._totals[region]) for region in REGIONS
        }
        worst = tuple(FrameError(at, round(mad, 4)) for mad, at in sorted(self._worst)[::-1])
        return TruthReport(self._frames, scored, self._every, scores, worst)


def _half(alpha: Alpha, eye: Eye) -> Alpha:
    """Return one eye's half, as a view."""
    middle = alpha.shape[1] // 2
    return alpha[:, :middle] if eye is Eye.LEFT else alpha[:, middle:]


def _score_of(totals: Mapping[str, list[float]]) -> TruthScore:
    return TruthScore(
        **{
            name: round(totals[name][0] / totals[name][1], 4) if name in totals else None
            for name in TruthScore.__dataclass_fields__
        }
    )


def _sums(
    matte: Alpha,
    truth: Alpha,
    trimap: Alpha | None,
    before: tuple[Alpha, Alpha] | None,
    *,
    is_slow: bool,
) -> _Sums:
    """Return sums over one eye; both eyes' sums add up to those of the whole frame."""
    error = matte - truth
    distance = np.abs(error)
    ours, theirs = matte > 0.5, truth > 0.5
    sums: dict[str, float] = {
        "pixels": distance.size,
        "distance": _sum(distance),
        "squares": float(np.vdot(error, error)),
        "gradient": gradient_error(matte, truth),
        "both": _count(ours & theirs),
        "either": _count(ours | theirs),
        "truth": _count(theirs),
    }
    places = {"band": _band(truth), "fg": theirs, "bg": truth <= 0.02}
    if trimap is not None:
        places["trimap"] = (trimap > 0.1) & (trimap < 0.9)
    for name, mask in places.items():
        sums[f"{name}_pixels"] = _count(mask)
        sums[f"{name}_distance"] = _sum(distance[mask])
    if is_slow:
        sums["connectivity"] = connectivity_error(matte, truth)
    if before is not None:
        change = error - (before[0] - before[1])
        sums["change"] = float(np.vdot(change, change))
        if is_slow:
            sums["moving"] = moving_error(*before, matte, truth)
    return sums


def _band(truth: Alpha) -> _Mask:
    """Return a mask of the soft edges of the truth, dilated."""
    soft = ((truth > 0.02) & (truth < 0.98)).view(np.uint8)
    return np.asarray(cv2.dilate(soft, _BAND_KERNEL)).view(np.bool_)


def _count(mask: _Mask) -> int:
    return int(np.count_nonzero(mask))


def _sum(values: Alpha) -> float:
    return float(values.sum(dtype=np.float64))


def _measures(sums: _Sums, eyes: int) -> dict[str, float]:
    """Return the metrics of a frame, without those that can't be measured."""
    pixels = sums["pixels"]
    measures = {
        "mad": 1e3 * sums["distance"] / pixels,
        "mse": 1e3 * sums["squares"] / pixels,
        "sad": sums["distance"] / eyes / 1e3,
        "grad": sums["gradient"] / eyes / 1e3,
    }
    if sums["truth"]:
        measures["iou"] = sums["both"] / sums["either"]
    for name in ("band", "trimap", "fg", "bg"):
        if sums.get(f"{name}_pixels"):
            measures[f"{name}_mad"] = 1e3 * sums[f"{name}_distance"] / sums[f"{name}_pixels"]
    if "connectivity" in sums:
        measures["conn"] = sums["connectivity"] / eyes / 1e3
    if "change" in sums:
        measures["dtssd"] = 100 * float(np.sqrt(sums["change"] / pixels))
    if "moving" in sums:
        measures["messddt"] = 1e4 * sums["moving"] / pixels
    return measures
