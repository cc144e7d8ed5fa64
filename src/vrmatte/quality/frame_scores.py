"""What a matte shows of its own quality in one frame: kept with each chunk.

One row for each frame and eye as a whole, and one for each person who is to be there.
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
"""Raised whenever the same matte would be scored in another way."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class ContourScore:
    """The outline at one half, looked at in full size; hair is left out."""

    points: int
    """How much outline there was to judge."""
    jaggedness_px: float
    """Root mean square distance of the outline from itself smoothed."""
    edge_width_px: float
    """Median of 1 / gradient of alpha on the outline."""
    image_agreement: float | None
    """Share 0..1 of the outline that lies within a pixel of the picture's own edge; None: the
    picture has hardly any edge there."""
    offset_px: float | None
    """How much further out than the picture's own edge the outline lies, on average."""


@dataclass(frozen=True, slots=True)
class MotionScore:
    """Against the frame before, carried along with the picture's motion."""

    band_difference: float
    """Mean difference of alpha in the soft edge, 0..1."""
    wander_px: float
    """How far the edge moved otherwise than the picture, in pixels of an eye of 512."""
    picture_wander_px: float
    """How far the picture's own edges did there: what a perfect matte shows."""
    area_change: float
    """Growth of the area against the frame before, carried along, as a share of the larger of
    both: -1 gone, 1 new, 0.03 what a lost hand may be."""
    appeared: int
    """Parts that weren't there."""
    vanished: int
    """Parts that are gone."""


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One eye of a frame, as a whole or as far as it belongs to a person."""

    frame: int
    eye: EyeName
    person: int | None
    """Id as in people.json; None: everybody."""
    area: float
    """Alpha's sum as a share of the eye's pixels."""
    fine_share: float
    """Share of the area that is finer than a few pixels: hair, fingers."""
    softness_px: float
    """Mean width of the edge as half-transparent alpha fills it, in pixels of an eye of 512."""
    coverage: float | None
    """How much of the person's box is covered, 0..1; None for everybody, or without a box."""
    motion: MotionScore | None
    """None in the first frame of a chunk, and where nothing can be followed."""
    contour: ContourScore | None
    """None in frames that aren't sampled, and where there is too little outline."""


def save_scores(scores: Sequence[FrameScore], path: Path) -> ChunkFile:
    """Commit a chunk's scores as JSON.

    Raises:
        OutputError, DiskFullError: the file can't be written.
    """
    text = json.dumps({"version": SCORES_VERSION, "scores": [_row(score) for score in scores]})
    return commit_text(path, text, len({score.frame for score in scores}))


def load_scores(path: Path) -> list[FrameScore]:
    """What `save_scores` wrote; nothing where another version of vrmatte scored otherwise.

    Raises:
        OutputError: it is gone or damaged.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["version"] != SCORES_VERSION:
            return []
        return [_score(row) for row in told["scores"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"{path}: is gone or damaged; delete it and run again") from error


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
