"""Single frames of a run with their mattes, reduced in size for the report's page."""

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
from vrmatte.report.page.frame_images import WHOLE_EYE, EyeCrop, FrameLook, crop_around
from vrmatte.scout import evenly

WORST_EYE_PX = 480
SAMPLE_EYE_PX = 640
SAMPLES = 3
_CANDIDATES = 60


@dataclass(frozen=True, slots=True)
class WantedFrame:
    """A frame to show, the crop of each eye, and the largest width of an eye."""

    frame: int
    crop: EyeCrop
    eye_px: int


def look_at(
    plan: Plan, place: JobFolder, wanted: Sequence[WantedFrame]
) -> dict[WantedFrame, FrameLook]:
    """Read all these frames in one pass over the source.

    Frames that can't be decoded, or whose matte is missing, are left out.
    """
    by_frame: defaultdict[int, list[WantedFrame]] = defaultdict(list)
    for each in wanted:
        by_frame[each.frame].append(each)
    looks: dict[WantedFrame, FrameLook] = {}
    confidence = ConfidenceMap(plan.eye, plan.subjects)
    for number, frame in _frames(plan, sorted(by_frame)):
        matte = _matte(plan, place, number)
        if matte is None or matte.shape != frame.y.shape:
            continue
        trust = confidence.alone(number, frame, matte)
        for each in by_frame[number]:
            look = FrameLook.of(number, frame, matte, each.eye_px, each.crop)
            looks[each] = replace(look, doubt=_doubt(frame, matte, trust, each.crop, look))
    return looks


def _doubt(frame: PlanarFrame, matte: Matte, trust: Matte, crop: EyeCrop, look: FrameLook) -> Rgb:
    """Draw the doubtful areas of the matte, with the crop and size of the look."""
    height, width = look.matte.shape
    glowing = heat(frame, matte, trust, min(frame.width, round(width / (crop.right - crop.left))))
    half = glowing.shape[1] // 2
    eyes = [crop.of(eye) for eye in (glowing[:, :half], glowing[:, half:])]
    cut = np.concatenate(eyes, axis=1)
    return cast(Rgb, cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA))


def wanted_of(plan: Plan, worst: WorstFrame) -> WantedFrame:
    """Crop each eye to the person in question, or to everybody."""
    people = [p for p in plan.subjects.people if worst.person in (None, p.id)]
    boxes = [person.box_at(worst.frame, eye) for person in people for eye in EYES]
    return WantedFrame(worst.frame, crop_around(boxes, plan.eye), WORST_EYE_PX)


def samples(plan: Plan) -> list[WantedFrame]:
    """Choose a few whole frames from all over the video, with kept people in them if possible."""
    first, last = plan.chunks[0].first, plan.chunks[-1].last
    count = min(_CANDIDATES, last - first)
    even = [first + (2 * i + 1) * (last - first) // (2 * count) for i in range(count)]
    shown = [n for n in even if any(p.keep and p.is_there(n) for p in plan.subjects.people)]
    return [WantedFrame(n, WHOLE_EYE, SAMPLE_EYE_PX) for n in evenly(shown or even, SAMPLES)]


def _frames(plan: Plan, numbers: Sequence[int]) -> Iterator[tuple[int, PlanarFrame]]:
    """Yield these frames in rising order; skip the ones that can't be decoded."""
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
    """Read the stored matte of a frame; each is coded on its own, so earlier ones are skipped."""
    chunk = next(chunk for chunk in plan.chunks if chunk.first <= number < chunk.last)
    path = place.chunk_folder(chunk.index) / MATTE_FILE
    try:
        with open_input(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # with a thread per frame the decoder would return it late
            packets = islice(container.demux(stream), number - chunk.first, None)
            for frame in next(packets).decode():
                return np.array(plane_view(frame.planes[0], 1), dtype=np.uint8)
    except (av.error.FFmpegError, InputError, StopIteration):
        pass
    return None
