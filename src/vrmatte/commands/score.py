"""`vrmatte score PRED TRUTH`: errors of a matte against ground truth, frame by frame."""

from __future__ import annotations

from pathlib import Path

from vrmatte.commands.read_mattes import matte_count, read_in_step, read_mattes
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore
from vrmatte.quality.truth.truth_metrics import TruthReport, TruthScorer
from vrmatte.settings.choices import MatteKind


def score_files(
    matte: Path | str,
    truth: Path | str,
    trimap: Path | str | None = None,
    *,
    skip: int = 0,
    every: int = 1,
    kind: MatteKind = "auto",
    observer: Observer = ignore,
) -> TruthReport:
    """Compare two side-by-side matte videos of the same size and length.

    Args:
        matte: file to score; see `read_mattes` for accepted formats.
        truth: the exact matte.
        trimap: grey video; values that are neither black nor white mark unknown pixels.
        skip: number of frames to leave out at the start, while a recurrent network settles.
        every: compute Conn and MESSDdt only of every so many frames; 0: never.
        kind: how `matte` stores its matte.
        observer: receives progress events.

    Raises:
        InputError: sizes or lengths differ, or a file can't be read.
    """
    paths = [Path(matte), Path(truth), *([] if trimap is None else [Path(trimap)])]
    counts = [matte_count(path) for path in paths]
    kinds: list[MatteKind] = [kind, "auto", "auto"]
    mattes = [(path, read_mattes(path, kind)) for path, kind in zip(paths, kinds, strict=False)]
    observer(Started("score", counts[1]))
    scorer = TruthScorer(skip, every)
    for done, alphas in enumerate(read_in_step(mattes), 1):
        scorer.add(*alphas)
        observer(Advanced("score", done))
    observer(Finished("score"))
    return scorer.result()
