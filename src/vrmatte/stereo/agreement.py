"""Both eyes' mattes made to agree, frame after frame, and a number that says how well they did.

What differs little is shared out (`balance`); where a person's score is poor, each place in
dispute is decided (`verdict`) and taken over from the eye that is right, at full size. What only
one eye can see stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import EYES, Eye, FloatArray, Mask, Matte, PlanarFrame, half_of
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.stereo.balance import apply_gain, gain
from vrmatte.stereo.evidence import Evidence, compare_eyes, extended, window_of
from vrmatte.stereo.rectify import Rectifier
from vrmatte.stereo.row_offsets import RowOffsets
from vrmatte.stereo.score import NOBODY, Agreement, Labels, agreement, label_people
from vrmatte.stereo.verdict import Before, shares
from vrmatte.subjects import Person
from vrmatte.view_memory import State

Mode = Literal["independent", "reference_eye", "joint"]
Method = Literal["transfer", "reprocess", "ensemble"]

STATE_PREFIX = "stereo/"
_LEADS_CLEARLY = 0.52
"""Share of a person's area from which an eye is the one that sees more of them."""
_MOSTLY_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class AgreementRules:
    """What is asked of the eyes, and what is done where they fall short."""

    mode: Mode
    """independent: compared only."""
    method: Method
    warn_below: float
    correct_below: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one person in one frame, before anything was done."""

    frame: int
    person: int | None
    """Id as in people.json; None where the video has no document of people."""
    agreement: Agreement
    done: Literal["nothing", "balanced", "corrected"]
    flagged: bool
    """Whether the score lies below the warning threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Both eyes of a frame beside each other."""

    index: int
    window: PixelRect
    greys: Mapping[Eye, npt.NDArray[np.uint8]]
    evidence: Mapping[Eye, Evidence]
    labels: Mapping[Eye, Labels]
    scores: Mapping[int, Agreement]
    """By the person's number in `labels`."""
    offsets: RowOffsets | None = None
    """Where the eyes' rows don't agree: what the right eye was straightened by."""

    def worst(self) -> float:
        """The least score; 1 where nobody can be judged."""
        return _worst(self.scores)


class StereoAgreement:
    """Compares and mends the mattes of side-by-side frames, one after the other."""

    def __init__(
        self,
        rectifier: Rectifier,
        people: Sequence[Person],
        rules: AgreementRules,
        *,
        rows_agree: bool = True,
    ) -> None:
        """Take the way to rectified pictures, everybody in the video, and what is asked.

        Where rows don't agree though the lenses are rectified, they are matched in each frame.
        """
        self._rows_agree = rows_agree
        self._rectifier = rectifier
        self._people = people
        self.rules = rules
        self._angles = {eye: rectifier.angles_deg(eye) for eye in EYES}
        self._index: int | None = None
        self._before: dict[Eye, Before] = {}

    def compare(self, index: int, frame: PlanarFrame, matte: Matte) -> Comparison | None:
        """Look at both eyes of frame `index`; None where nobody is in the matte."""
        mattes = {eye: self._rectifier.matte(half_of(matte, eye), eye) for eye in EYES}
        window = window_of(mattes)
        if window is None:
            return None
        greys = {eye: self._rectifier.grey(frame.eye(eye), eye) for eye in EYES}
        offsets = None if self._rows_agree else RowOffsets.found(greys[Eye.LEFT], greys[Eye.RIGHT])
        if offsets is not None:
            greys[Eye.RIGHT] = offsets.straightened(greys[Eye.RIGHT]).astype(np.uint8)
            mattes[Eye.RIGHT] = offsets.straightened(mattes[Eye.RIGHT])
        labels, there = self._label(index)
        evidence = compare_eyes(greys, mattes, window, fine=False)
        scores = _scores(evidence, labels, there)
        if self.rules.mode != "independent" and _worst(scores) < self.rules.correct_below:
            evidence = compare_eyes(greys, mattes, window, fine=True)
            scores = _scores(evidence, labels, there)
        return Comparison(index, window, greys, evidence, labels, scores, offsets)

    def settle(self, matte: Matte, compared: Comparison) -> tuple[Matte, list[Finding]]:
        """The matte with both eyes in agreement, and what was found before.

        Frames come in order; where the order jumps, what was agreed before is dropped.

        Args:
            matte: side by side; it stays as it is.
            compared: what `compare` said of it.
        """
        if self._index is None or compared.index not in (self._index, self._index + 1):
            self._before = {}
        self._index = compared.index
        low = [n for n, a in compared.scores.items() if a.score < self.rules.correct_below]
        left_alone = [n for n in low if self._is_behind(n, compared)]
        poor = [n for n in low if n not in left_alone]
        findings = list(self._findings(compared, poor, left_alone))
        if self.rules.mode == "independent":
            return matte, findings
        result = matte.copy()
        agreed: dict[Eye, Before] = {}
        for eye in EYES:
            evidence = compared.evidence[eye]
            share, in_dispute = self._share(eye, compared, poor)
            mild = gain(evidence, self._mild_share(eye, compared))
            mild[in_dispute] = 0  # there a verdict has fallen
            mild[np.isin(compared.labels[eye], left_alone)] = 0
            if compared.offsets is not None and eye is Eye.RIGHT:
                mild = compared.offsets.bent(mild)
            apply_gain(half_of(result, eye), self._rectifier.back(mild, eye))
            if share.any():
                self._take_over(eye, matte, compared, share, half_of(result, eye))
            settled = evidence.own + share * (evidence.told - evidence.own)
            agreed[eye] = Before(compared.greys[eye], settled.astype(np.float32))
        self._before = agreed
        return result, findings

    def forget(self) -> None:
        """Nobody was there: nothing is agreed on."""
        self._index, self._before = None, {}

    def state(self) -> dict[str, FloatArray]:
        """All that is needed to go on exactly; empty before the first frame."""
        if self._index is None:
            return {}
        # Whole numbers are exact in fp32 up to 2^24: six days of video.
        state = {f"{STATE_PREFIX}frame": np.array([self._index], np.float32)}
        for eye, before in self._before.items():
            state[f"{STATE_PREFIX}{eye.value}/grey"] = before.grey.astype(np.float32)
            state[f"{STATE_PREFIX}{eye.value}/matte"] = before.matte
        return state

    def restore(self, state: State) -> None:
        """Go on from a saved state; names that aren't of this class are passed over."""
        self.forget()
        if f"{STATE_PREFIX}frame" not in state:
            return
        self._index = int(state[f"{STATE_PREFIX}frame"][0])
        for eye in EYES:
            name = f"{STATE_PREFIX}{eye.value}/"
            if f"{name}grey" in state:
                grey = state[f"{name}grey"].astype(np.uint8)
                self._before[eye] = Before(grey, state[f"{name}matte"])

    def _label(self, index: int) -> tuple[dict[Eye, Labels], list[int]]:
        """Whom each pixel belongs to, and who is there."""
        if not self._people:
            everybody = np.zeros((self._rectifier.picture_px,) * 2, np.int16)
            return dict.fromkeys(EYES, everybody), [0]
        labels = {
            eye: label_people([p.box_at(index, eye) for p in self._people], *self._angles[eye])
            for eye in EYES
        }
        there = [n for n, p in enumerate(self._people) if p.is_there(index)]
        return labels, there

    def _is_behind(self, number: int, compared: Comparison) -> bool:
        """Whether somebody nearer covers most of a person: what shows differs between the eyes.

        Measured on two people crossing: mending there made the mattes 2 % worse, and leaving it 1 %
        better.
        """
        if not self._people:
            return False
        person, frame = self._people[number], compared.index
        mine = person.box_at(frame, Eye.LEFT)
        near = person.disparity_deg(frame)
        if mine is None or near is None:
            return False
        for other in self._people:
            theirs, nearer = other.box_at(frame, Eye.LEFT), other.disparity_deg(frame)
            if other is person or theirs is None or nearer is None or nearer <= near:
                continue
            if mine.flat_share_in(theirs) > _MOSTLY_COVERED:
                return True
        return False

    def _findings(
        self, compared: Comparison, poor: Sequence[int], left_alone: Sequence[int]
    ) -> Iterator[Finding]:
        for number, found in compared.scores.items():
            person = self._people[number].id if self._people else None
            done: Literal["nothing", "balanced", "corrected"] = "balanced"
            if self.rules.mode == "independent" or number in left_alone:
                done = "nothing"
            elif number in poor:
                done = "corrected"
            flagged = found.score < self.rules.warn_below
            yield Finding(compared.index, person, found, done, flagged)

    def _leader(self, found: Agreement) -> Eye:
        """The reference eye of a person: the one that sees clearly more, else the left."""
        return Eye.RIGHT if found.right_area_share > _LEADS_CLEARLY else Eye.LEFT

    def _mild_share(self, eye: Eye, compared: Comparison) -> FloatArray:
        """How far an eye moves to the other where they differ little."""
        share = np.full(compared.labels[eye].shape, 0.5, np.float32)
        if self.rules.mode == "reference_eye":
            for number, found in compared.scores.items():
                follows = self._leader(found) is not eye
                share[compared.labels[eye] == number] = 1.0 if follows else 0.0
        return share

    def _share(
        self, eye: Eye, compared: Comparison, poor: Sequence[int]
    ) -> tuple[FloatArray, Mask]:
        """How far an eye goes over to the other where somebody's mattes are in dispute."""
        evidence, labels = compared.evidence[eye], compared.labels[eye]
        if not poor:
            return np.zeros_like(evidence.own), np.zeros(labels.shape, np.bool_)
        judged = np.isin(labels, [*poor, NOBODY]).astype(np.float32)
        found, in_dispute = shares(
            evidence, compared.greys[eye], self._before.get(eye), compared.window, judged
        )
        if self.rules.mode == "reference_eye":
            for number in poor:
                follows = self._leader(compared.scores[number]) is not eye
                mine = labels == number
                found[mine] = np.ceil(found[mine] > 0.02) if follows else 0.0
        if self.rules.method == "transfer":
            # Whoever goes over more than half goes over altogether, edges and all.
            found = np.where(found > 0.5, evidence.seen, np.float32(0)).astype(np.float32)
            found = np.asarray(cv2.GaussianBlur(found, (0, 0), 1.0), np.float32)
        return found, in_dispute

    def _take_over(
        self, eye: Eye, matte: Matte, compared: Comparison, share: FloatArray, half: Matte
    ) -> None:
        """Lay the other eye's full-size matte over one eye where it is right, in place."""
        near, rows, offsets = extended(compared.evidence[eye].near), None, compared.offsets
        if offsets is not None:
            rows = offsets.other_rows(eye)
            if eye is Eye.RIGHT:
                near, share = offsets.bent(near), offsets.bent(share)
        other = half_of(matte, Eye.LEFT if eye is Eye.RIGHT else Eye.RIGHT)
        reduced = np.clip(self._rectifier.back(share, eye), 0, 1)
        down, across = (np.flatnonzero((reduced > 0.002).any(axis=axis)) for axis in (1, 0))
        if down.size == 0:
            return
        small = reduced.shape[0]
        top, bottom = max(0, down[0] - 2), min(small, down[-1] + 3)
        left, right = max(0, across[0] - 2), min(small, across[-1] + 3)
        scale = self._rectifier.eye_px / small
        y0, y1, x0, x1 = (round(at * scale) for at in (top, bottom, left, right))
        size = x1 - x0, y1 - y0
        u, v = self._rectifier.counterparts(near, eye, rows)
        part = np.s_[top:bottom, left:right]
        u, v, weight = (
            cv2.resize(values[part], size, interpolation=cv2.INTER_LINEAR)
            for values in (u, v, reduced)
        )
        told = cv2.remap(other, u - 0.5, v - 0.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        target = half[y0:y1, x0:x1]
        mixed = target + weight * (told.astype(np.float32) - target)
        target[...] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _scores(
    evidence: Mapping[Eye, Evidence], labels: Mapping[Eye, Labels], there: Sequence[int]
) -> dict[int, Agreement]:
    found = {number: agreement(evidence, labels, number) for number in there}
    return {number: a for number, a in found.items() if a is not None}


def _worst(scores: Mapping[int, Agreement]) -> float:
    return min((a.score for a in scores.values()), default=1.0)
