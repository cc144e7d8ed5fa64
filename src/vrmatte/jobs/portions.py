"""What a chunk lacks, in portions that are made in one pass over its frames each."""

from __future__ import annotations

from collections.abc import Iterator

from vrmatte.jobs.memory import Encoders
from vrmatte.jobs.pieces import Missing


def portions(missing: Missing, encoders: Encoders, *, apart: bool = False) -> Iterator[Missing]:
    """Portions of what a chunk lacks, the mattes in the first of them.

    For each portion that shows the picture, the source is decoded anew.

    Args:
        missing: what a chunk lacks.
        encoders: which software encoders may run at the same time.
        apart: every file by itself, and after the mattes.
    """
    files = missing.deliverables
    if apart:
        heavy, beside = list(files), 0
    else:
        heavy = [d for d in files if d.encoder.encoder.startswith("lib")]
        beside = {"all": len(heavy), "two": 1, "one": 0 if missing.matte else 1}[encoders]
    # Files of mattes alone come last: by then nothing has to be decoded for them.
    heavy.sort(key=lambda deliverable: not deliverable.needs_picture)
    light = [d for d in files if d not in heavy]
    first = Missing(missing.matte, (*light, *heavy[:beside]))
    if first.matte or first.deliverables:
        yield first
    for deliverable in heavy[beside:]:
        yield Missing(False, (deliverable,))
