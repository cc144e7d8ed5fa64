"""`vrmatte score PRED TRUTH`: how far a file's matte is from the truth, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from vrmatte.commands.read_mattes import MatteKind, matte_count, read_mattes
from vrmatte.errors import InputError
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore
from vrmatte.quality.truth.field_metrics import Alpha
from vrmatte.quality.truth.truth_metrics import TruthReport, TruthScorer
from vrmatte.threads import Prefetcher


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
    """Compare two matte videos, side by side, of the same size and length.

    Args:
        matte: what is judged; see `read_mattes` for what is accepted.
        truth: what it should be.
        trimap: grey video in which neither black nor white means unknown.
        skip: leave out so many frames at the start, while a recurrent network settles.
        every: tell Conn and MESSDdt of every such frame; 0: not at all.
        kind: how `matte` holds its matte.
        observer: receives progress events.

    Raises:
        InputError: sizes or lengths differ, or a file can't be read.
    """
    files = {"matte": Path(matte), "truth": Path(truth)}
    if trimap is not None:
        files["trimap"] = Path(trimap)
    counts = {name: matte_count(path) for name, path in files.items()}
    observer(Started("score", counts["truth"]))
    scorer = TruthScorer(skip, every)
    for done, alphas in enumerate(in_step(files, kind), 1):
        scorer.add(alphas["matte"], alphas["truth"], alphas.get("trimap"))
        observer(Advanced("score", done))
    observer(Finished("score"))
    return scorer.result()


def in_step(files: dict[str, Path], kind: MatteKind = "auto") -> Iterator[dict[str, Alpha]]:
    """The mattes of several files, frame by frame; `kind` is of the first.

    Raises:
        InputError: one ends before the others.
    """
    with ExitStack() as stack:
        streams: dict[str, Iterable[Alpha]] = {}
        for number, (name, path) in enumerate(files.items()):
            mattes = stack.enter_context(closing(read_mattes(path, "auto" if number else kind)))
            streams[name] = stack.enter_context(Prefetcher(mattes, 1, name))
        readers = {name: iter(stream) for name, stream in streams.items()}
        at = 0
        while True:
            found = {name: next(reader, None) for name, reader in readers.items()}
            alphas = {name: alpha for name, alpha in found.items() if alpha is not None}
            if not alphas:
                return
            if len(alphas) < len(found):
                short = next(name for name in found if name not in alphas)
                raise InputError(
                    f"{files[short]}: the {short} ends after {at} frames and another goes on; only "
                    "videos of the same frames can be compared"
                )
            yield alphas
            at += 1
