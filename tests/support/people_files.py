"""People files of test videos, so that runs need no detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrmatte.geometry.viewport import ViewportPath
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint, scan_timeline
from vrmatte.people.document import write_people
from vrmatte.progress import ignore
from vrmatte.subjects import People, Person, Shot, SourceIdentity


def write_people_file(
    video: Path,
    path: Path,
    people: Sequence[Person] = (),
    viewports: Sequence[ViewportPath] = (),
) -> Path:
    """Write a people.json of one shot for a video; returns its path."""
    source = probe(video)
    timeline = scan_timeline(source, ignore)
    seconds = (timeline.end_pts - int(timeline.pts[0])) * timeline.time_base
    rate = (len(timeline) / seconds).limit_denominator(1001)
    frames = len(timeline)
    identity = SourceIdentity(fingerprint(video), frames, source.width, source.height, rate)
    shots = (Shot(0, frames),)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_people(People(identity, shots, tuple(people), tuple(viewports)), path)
    return path
