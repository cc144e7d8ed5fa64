"""Scores of a matte in one frame, stored with each chunk.

Each frame and eye has one row for everybody and one for each kept person.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vrmatte.errors import OutputError
from vrmatte.files import ChunkFile, commit_text

EyeName = Literal["left", "right"]
SCORES_VERSION = 1
"""Raised whenever the same matte would get different scores."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class ContourScore:
    """Scores of the full-size outline at alpha 0.5; hair is left out."""

    points: int
    """Number of points on the outline."""
    jaggedness_px: float
    """Root mean square distance of the outline from its smoothed course."""
    edge_width_px: float
    """Median of 1 / gradient of alpha on the outline."""
    image_agreement: float | None
    """Share 0..1 of the outline that lies within a pixel of an image edge; None: the image has
    hardly any edge there."""
    offset_px: float | None
    """Mean distance of the outline outwards from the image edge."""


@dataclass(frozen=True, slots=True)
class MotionScore:
    """Change since the frame before, after compensation of the image's motion."""

    band_difference: float
    """Mean difference of alpha in the soft edge, 0..1."""
    wander_px: float
    """Motion of the edge relative to the image, in pixels of an eye of 512."""
    picture_wander_px: float
    """The same of the image edges: the value of a perfect matte."""
    area_change: float
    """Growth of the area since the frame before, motion-compensated, as a share of the larger of
    both: -1 vanished, 1 new, 0.03 may be a lost hand."""
    appeared: int
    """Number of new parts."""
    vanished: int
    """Number of vanished parts."""


@dataclass(frozen=True, slots=True)
class FrameScore:
    """Scores of one eye of a frame, for everybody or for one person."""

    frame: int
    eye: EyeName
    person: int | None
    """Id as in people.json; None: everybody."""
    area: float
    """Sum of alpha as a share of the eye's pixels."""
    fine_share: float
    """Share of the area in structure finer than a few pixels: hair, fingers."""
    softness_px: float
    """Mean edge width, by half-transparent alpha, in pixels of an eye of 512."""
    coverage: float | None
    """Covered share of the person's box, 0..1; None for everybody, or without a box."""
    motion: MotionScore | None
    """None in the first frame of a chunk, and if the motion can't be followed."""
    contour: ContourScore | None
    """None in frames that aren't sampled, and with too little outline."""


def save_scores(scores: Sequence[FrameScore], path: Path) -> ChunkFile:
    """Commit a chunk's scores as JSON.

    Raises:
        OutputError, DiskFullError: the file can't be written.
    """
    text = json.dumps({"version": SCORES_VERSION, "scores": [_row(score) for score in scores]})
    return commit_text(path, text, len({score.frame for score in scores}))


def load_scores(path: Path) -> list[FrameScore]:
    """Read the scores that `save_scores` wrote; none if their version is another.

    Raises:
        OutputError: the file is missing or damaged.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["version"] != SCORES_VERSION:
            return []
        return [_score(row) for row in facts["scores"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"{path}: is missing or damaged; delete it and run again") from error


def _row(score: FrameScore) -> dict[str, object]:
    return {name: _rounded(value) for name, value in asdict(score).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value


def _score(row: dict[str, Any]) -> FrameScore:
    motion, contour = row.pop("motion"), row.pop("contour")
    return FrameScore(
        **row,
        motion=None if motion is None else MotionScore(**motion),
        contour=None if contour is None else ContourScore(**contour),
    )
