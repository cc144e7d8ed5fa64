"""Gets single frames of a run with their mattes, small, for the report's page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import av
import av.error
import cv2
import numpy as np

from vrmatte.compose.confidence import ConfidenceMap, heat
from vrmatte.errors import InputError
from vrmatte.frames import EYES, Matte, PlanarFrame, Rgb
from vrmatte.jobs.job_folder import JobFolder
from vrmatte.media.opening import open_input
from vrmatte.media.planes import plane_view
from vrmatte.media.samples import key_frames, read_at
from vrmatte.outputs import MATTE_FILE
from vrmatte.plan import Plan
from vrmatte.quality.worst_frames import WorstFrame
from vrmatte.report.page.pictures import WHOLE, FrameLook, Window, window_around
from vrmatte.scout import evenly

WORST_EYE_PX = 480
SAMPLE_EYE_PX = 640
SAMPLES = 3
_CANDIDATES = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame to look at, which part of it, and how large an eye may get."""

    frame: int
    window: Window
    eye_px: int


def look_at(plan: Plan, place: JobFolder, wanted: Sequence[Wanted]) -> dict[Wanted, FrameLook]:
    """Get all these frames in one go through the source.

    Frames are left out that can't be decoded or whose matte isn't there.
    """
    by_frame: defaultdict[int, list[Wanted]] = defaultdict(list)
    for each in wanted:
        by_frame[each.frame].append(each)
    found: dict[Wanted, FrameLook] = {}
    confidence = ConfidenceMap(plan.eye, plan.subjects)
    for number, frame in _frames(plan, sorted(by_frame)):
        matte = _matte(plan, place, number)
        if matte is None or matte.shape != frame.y.shape:
            continue
        trust = confidence.alone(number, frame, matte)
        for each in by_frame[number]:
            look = FrameLook.of(number, frame, matte, each.eye_px, each.window)
            found[each] = replace(look, doubt=_doubt(frame, matte, trust, each, look))
    return found


def _doubt(frame: PlanarFrame, matte: Matte, trust: Matte, wanted: Wanted, look: FrameLook) -> Rgb:
    """Where the matte is in doubt, cut and sized as the look is."""
    height, width = look.matte.shape
    share = wanted.window.right - wanted.window.left
    glowing = heat(frame, matte, trust, min(frame.width, round(width / share)))
    half = glowing.shape[1] // 2
    eyes = [wanted.window.of(part) for part in (glowing[:, :half], glowing[:, half:])]
    cut = np.concatenate(eyes, axis=1)
    return cast(Rgb, cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA))


def wanted_of(plan: Plan, worst: WorstFrame) -> Wanted:
    """The part of each eye that shows the person in question, or everybody."""
    people = [p for p in plan.subjects.people if worst.person in (None, p.id)]
    boxes = [person.box_at(worst.frame, eye) for person in people for eye in EYES]
    return Wanted(worst.frame, window_around(boxes, plan.eye), WORST_EYE_PX)


def samples(plan: Plan) -> list[Wanted]:
    """A few whole frames from all over the video, with somebody kept in them where that can be."""
    first, last = plan.chunks[0].first, plan.chunks[-1].last
    count = min(_CANDIDATES, last - first)
    even = [first + (2 * i + 1) * (last - first) // (2 * count) for i in range(count)]
    shown = [n for n in even if any(p.keep and p.is_there(n) for p in plan.subjects.people)]
    return [Wanted(n, WHOLE, SAMPLE_EYE_PX) for n in evenly(shown or even, SAMPLES)]


def _frames(plan: Plan, numbers: Sequence[int]) -> Iterator[tuple[int, PlanarFrame]]:
    """These frames, rising; what can't be decoded is left out."""
    if not numbers:
        return
    keys = key_frames(plan.source, plan.timeline)
    left = list(numbers)
    while left:
        try:
            with closing(read_at(plan.source, plan.timeline, tuple(left), keys)) as frames:
                for number, frame in frames:
                    left.remove(number)
                    yield number, frame
        except InputError:
            del left[0]


def _matte(plan: Plan, place: JobFolder, number: int) -> Matte | None:
    """The stored matte of a frame; each is coded for itself, so those before it are skipped."""
    chunk = next(chunk for chunk in plan.chunks if chunk.first <= number < chunk.last)
    path = place.chunk_folder(chunk.index) / MATTE_FILE
    try:
        with open_input(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # a thread for each frame would hand them out later
            packets = islice(container.demux(stream), number - chunk.first, None)
            for frame in next(packets).decode():
                return np.array(plane_view(frame.planes[0], 1), dtype=np.uint8)
    except (av.error.FFmpegError, InputError, StopIteration):
        pass
    return None
