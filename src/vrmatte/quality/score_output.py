"""Scores beside a chunk's files: fed like them, frame by frame, and committed with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vrmatte.frames import Matte, PlanarFrame
from vrmatte.geometry.person_boxes import PersonBoxes
from vrmatte.geometry.projection import EyeProjection
from vrmatte.media.encode import ChunkFile
from vrmatte.quality.frame_scores import save_scores
from vrmatte.quality.scoring import FrameScorer

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

    def __init__(self, folder: Path, eye: EyeProjection, people: Sequence[PersonBoxes]) -> None:
        """Take where the file goes, what an eye shows, and who is known."""
        self._path = folder / SCORES_FILE
        self._scorer = FrameScorer(eye, people)

    def write(self, number: int, prepared: _Scored) -> None:
        """Score the next frame; `number` is its number in the source."""
        self._scorer.score(number, prepared.frame, prepared.stored)

    def commit(self) -> ChunkFile:
        """Write the file, whole or not at all."""
        return save_scores(self._scorer.scores, self._path)
