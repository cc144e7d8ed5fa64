"""Scores mattes frame by frame, without truth; cheap enough to go along with every run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vrmatte.files import ChunkFile
from vrmatte.frames import EYES, Eye, FloatArray, Mask, Matte, PlanarFrame, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.geometry.projection import EyeProjection
from vrmatte.quality.contour import Outline, outline
from vrmatte.quality.edge_motion import EdgeMotion, edge_motion
from vrmatte.quality.fine_structure import Softness, fine_structure
from vrmatte.quality.frame_scores import FrameScore, save_scores
from vrmatte.quality.small_eye import PeoplePlaces, SmallEye, small_eyes, window_around
from vrmatte.stereo.score import NOBODY, Labels
from vrmatte.subjects import Person

SAMPLED_EVERY = 8
"""Outlines are looked at in frames whose number this divides, whichever chunk they are in."""
_OUTLINE_MARGIN_PX = 8


class FrameScorer:
    """Scores the frames of one chunk, in their order."""

    def __init__(self, eye: EyeProjection, people: Sequence[Person]) -> None:
        """Take what an eye shows, and who is known; those who leave the matte aren't scored."""
        self._places = PeoplePlaces(eye)
        self._people = [person for person in people if person.keep]
        self._before: dict[Eye, SmallEye] = {}
        self.scores: list[FrameScore] = []
        """Of all frames so far."""

    def score(self, index: int, frame: PlanarFrame, matte: Matte) -> None:
        """Score the next frame; `index` is its number in the source."""
        eyes = small_eyes(frame, matte)
        for eye in EYES:
            people = [
                (person.id, box)
                for person in self._people
                if (box := person.box_at(index, eye)) is not None
            ]
            scored = _ScoredEye(self._places, people, eyes[eye], self._before.get(eye))
            if index % SAMPLED_EVERY == 0:
                scored.look_closely(frame.eye(eye), half_of(matte, eye))
            self.scores += scored.scores(index, eye)
        self._before = eyes


class _ScoredEye:
    """One eye of one frame."""

    def __init__(
        self,
        places: PeoplePlaces,
        people: Sequence[tuple[int, AngularBox]],
        now: SmallEye,
        before: SmallEye | None,
    ) -> None:
        self._places, self._people, self._now = places, people, now
        mattes = [now.alpha] if before is None else [now.alpha, before.alpha]
        self._window = window_around(*mattes)
        self._motion: EdgeMotion | None = None
        self._outline: Outline | None = None
        self._at_points: Labels = np.empty(0, np.int16)
        if self._window is None:
            return
        self._labels = places.labels([box for _, box in people], self._window)
        self._alpha = np.ascontiguousarray(now.alpha[self._window.slices])
        self._fine = fine_structure(self._alpha)
        self._softness = Softness(self._alpha)
        if before is not None:
            self._motion = edge_motion(before, now, self._window)

    def look_closely(self, picture: PlanarFrame, matte: Matte) -> None:
        """Judge the outline of the full-size matte, shape (H, H)."""
        if self._window is None:
            return
        scale = matte.shape[0] / self._now.alpha.shape[0]
        full = _scaled(self._window, scale, matte.shape[0])
        luma: FloatArray = picture.y[full.slices].astype(np.float32)
        if picture.layout.bit_depth > 8:
            luma /= np.float32(1 << (picture.layout.bit_depth - 8))
        found = outline(np.ascontiguousarray(matte[full.slices]), luma)
        rows, columns = (
            np.clip(
                ((at + full.slices[axis].start) / scale).astype(np.intp) - part.start, 0, last - 1
            )
            for axis, (at, part, last) in enumerate(
                zip((found.y, found.x), self._window.slices, self._labels.shape, strict=True)
            )
        )
        self._outline, self._at_points = found, self._labels[rows, columns]

    def scores(self, index: int, eye: Eye) -> list[FrameScore]:
        """Of everybody, then of each person."""
        rows = [self._score(index, eye, None, None, None)]
        for number, (person, box) in enumerate(self._people):
            rows.append(self._score(index, eye, person, box, number))
        return rows

    def _score(
        self, index: int, eye: Eye, person: int | None, box: AngularBox | None, number: int | None
    ) -> FrameScore:
        coverage = None if box is None else self._places.coverage(box, self._now.alpha)
        if self._window is None:
            return FrameScore(index, eye.value, person, 0.0, 0.0, 0.0, coverage, None, None)
        of = _everybody(self._labels) if number is None else self._labels == number
        area = float(self._alpha[of].sum(dtype=np.int64))
        points = np.ones(len(self._at_points), np.bool_)
        if number is not None:
            points = self._at_points == number
        return FrameScore(
            frame=index,
            eye=eye.value,
            person=person,
            area=area / 255 / self._now.alpha.size,
            fine_share=float(self._fine[of].sum(dtype=np.int64)) / area if area else 0.0,
            softness_px=self._softness.width_px(of),
            coverage=coverage,
            motion=self._motion.score(of) if self._motion else None,
            contour=self._outline.score(points) if self._outline else None,
        )


def _everybody(labels: Labels) -> Mask:
    return labels >= NOBODY


def _scaled(window: PixelRect, scale: float, size: int) -> PixelRect:
    """The same window of the full-size eye, with some pixels around."""
    top, left = (max(0, int(at * scale) - _OUTLINE_MARGIN_PX) for at in (window.top, window.left))
    bottom, right = (
        min(size, int(np.ceil(at * scale)) + _OUTLINE_MARGIN_PX)
        for at in (window.bottom, window.right)
    )
    return PixelRect(top, left, bottom, right)


SCORES_FILE = "scores.json"


class _Scored(Protocol):
    """A frame and its matte."""

    @property
    def frame(self) -> PlanarFrame: ...

    @property
    def stored(self) -> Matte: ...


class ScoreOutput:
    """The scores of one chunk."""

    name = "scores"

    def __init__(self, folder: Path, eye: EyeProjection, people: Sequence[Person]) -> None:
        """Take where the file goes, what an eye shows, and who is known."""
        self._path = folder / SCORES_FILE
        self._scorer = FrameScorer(eye, people)

    def write(self, number: int, prepared: _Scored) -> None:
        """Score the next frame; `number` is its number in the source."""
        self._scorer.score(number, prepared.frame, prepared.stored)

    def commit(self) -> ChunkFile:
        """Write the file, whole or not at all."""
        return save_scores(self._scorer.scores, self._path)
