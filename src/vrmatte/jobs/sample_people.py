"""Who is in samples of a video: scouted within them alone, told as a document of the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from vrmatte.config import Config
from vrmatte.people.document import People, Person, Shot, SourceIdentity, write_people
from vrmatte.people.viewports import viewports_for
from vrmatte.people.yolox import open_detector
from vrmatte.plan import Plan
from vrmatte.progress import Observer
from vrmatte.scout import people_file, scout
from vrmatte.stereo.lenses import LensAlignment


def scout_samples(
    plan: Plan,
    spans: Sequence[tuple[int, int]],
    output: Path,
    folder: Path,
    config: Config,
    observer: Observer,
) -> tuple[Path | None, float]:
    """The document of people that samples are made by, and how long scouting all would take.

    A document that is there is used as it is: the one named by `people.file`, or that of a scout
    or run in `output`.

    Args:
        plan: of the whole.
        spans: frames of each sample.
        output: the run's directory.
        folder: where the samples' own document is written.
        config: for detector and people.
        observer: receives progress.

    Returns:
        None for the document where nobody is to be looked for, or no detector can be had.
    """
    if config.processing.projection != "viewport":
        return None, 0.0
    known = config.people.file or people_file(plan.source.path, output)
    if config.people.file is not None or known.exists():
        return known, 0.0
    detector = open_detector(config, observer)
    if detector is None:
        return None, 0.0
    began = time.monotonic()
    found = [
        (first, scout(plan.source, plan.timeline.slice(first, last), detector, config, observer))
        for first, last in spans
    ]
    taken = time.monotonic() - began
    looked_at = sum(last - first for first, last in spans)
    path = people_file(plan.source.path, folder)
    write_people(_put_together(plan, found), path)
    return path, taken * len(plan.timeline) / looked_at


def _put_together(plan: Plan, found: Sequence[tuple[int, People]]) -> People:
    """One document of the whole video: each sample's shots where they lie, nobody in between."""
    people: list[Person] = []
    cuts = {0}
    for first, sample in found:
        cuts |= {first + shot.first for shot in sample.shots}
        cuts.add(first + sample.shots[-1].last)
        people += [
            _moved(person, first, len(people) + n) for n, person in enumerate(sample.people, 1)
        ]
    frames = len(plan.timeline)
    edges = [*sorted(cut for cut in cuts if cut < frames), frames]
    shots = tuple(Shot(a, b) for a, b in pairwise(edges))
    source = plan.source
    whole = SourceIdentity(plan.fingerprint, frames, source.width, source.height, plan.rate)
    viewports = viewports_for(people, shots, plan.rate)
    return People(whole, shots, tuple(people), viewports, lenses=_lenses(found))


def _moved(person: Person, frames: int, number: int) -> Person:
    boxes = tuple(replace(box, frame=box.frame + frames) for box in person.boxes)
    return replace(person, id=number, boxes=boxes)


def _lenses(found: Sequence[tuple[int, People]]) -> LensAlignment | None:
    """As the middle sample has it: lenses stand still."""
    told = [sample.lenses for _, sample in found if sample.lenses is not None]
    return told[len(told) // 2] if told else None
