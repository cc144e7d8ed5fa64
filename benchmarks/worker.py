"""Does one task in a process of its own: `python -m benchmarks.worker TASK ANSWER`."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from benchmarks.tasks import Answer, Task
from vrmatte.commands.run import matte_video
from vrmatte.frames import FloatArray
from vrmatte.jobs.find_subjects import find_subjects
from vrmatte.matting.base import infer_settled
from vrmatte.matting.engines.choose import choose_engine, load_engine, network_scale
from vrmatte.matting.whole_eye_matting import VIEW
from vrmatte.media.decode import read_frames, read_grey
from vrmatte.media.encode import ChunkWriter
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint, scan_timeline
from vrmatte.plan import Plan, make_plan
from vrmatte.progress import Advanced, Event, Finished, Started, ignore
from vrmatte.subjects import WHOLE_EYES
from vrmatte.threads import Prefetcher

_FRAMES_AHEAD = 2
_SAMPLES = 400
"""Of memory, over a whole job."""


def work(task: Task) -> Answer:
    """Do and measure a task; what only prepares it is left out."""
    if task.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, task.cores)
    does = {
        "job": _job,
        "transcode": _transcode,
        "decode": _decode,
        "scan": _scan,
        "network": _network,
    }
    return replace(does[task.kind](task), peak_bytes=_peak_bytes())


@dataclass
class _Clock:
    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def answer(self, frames: int, files: tuple[str, ...] = ()) -> Answer:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return Answer(frames, wall, cpu, {}, {}, (), files, None)


class _Listener:
    """Times steps and samples memory by the events of a job."""

    def __init__(self) -> None:
        self.step_seconds: defaultdict[str, float] = defaultdict(float)
        self.resident: list[tuple[int, int]] = []
        self._process = psutil.Process()
        self._began: dict[str, float] = {}
        self._step = 1

    def __call__(self, event: Event) -> None:
        now = time.perf_counter()
        if isinstance(event, Started):
            self._began[event.stage] = now
            if event.stage == "matte":
                self._step = max(1, (event.total or 0) // _SAMPLES)
        elif isinstance(event, Finished):
            self.step_seconds[event.stage] += now - self._began.get(event.stage, now)
        elif (
            isinstance(event, Advanced) and event.stage == "matte" and event.done % self._step == 0
        ):
            self.resident.append((event.done, self._process.memory_info().rss))


def _job(task: Task) -> Answer:
    config, listener, clock = task.config, _Listener(), _Clock()
    report = matte_video(task.video, task.out, config, observer=listener)
    return replace(
        clock.answer(report.frames, tuple(file.path for file in report.files)),
        stage_seconds=dict(report.stage_seconds),
        step_seconds=dict(listener.step_seconds),
        resident=tuple(listener.resident),
    )


def _transcode(task: Task) -> Answer:
    plan = _planned(task)
    wanted = plan.deliverables[0]
    source = plan.source if task.read is None else probe(task.read)
    line = scan_timeline(source, ignore)
    target = task.out / f"transcode.{wanted.container}"
    task.out.mkdir(parents=True, exist_ok=True)
    color = replace(wanted.color, full_range=source.color.full_range)
    clock = _Clock()
    writer = ChunkWriter(target, wanted.encoder, wanted.size, color, line.time_base, plan.rate)
    if wanted.is_matte_store and task.read is not None:
        pictures = read_grey(task.read)
    else:
        pictures = ((frame.pts, frame) for frame in read_frames(source, line, 0, len(line)))
    with writer, Prefetcher(pictures, _FRAMES_AHEAD, "decode") as frames:
        for pts, picture in frames:
            writer.write(picture, pts)
        writer.commit()
    return clock.answer(len(line), (str(target),))


def _decode(task: Task) -> Answer:
    source = probe(task.read or task.video)
    line = scan_timeline(source, ignore)
    clock = _Clock()
    frames = sum(1 for _ in read_frames(source, line, 0, len(line)))
    return clock.answer(frames)


def _scan(task: Task) -> Answer:
    source = probe(task.read or task.video)
    clock = _Clock()
    return clock.answer(len(scan_timeline(source, ignore)))


def _network(task: Task) -> Answer:
    config, plan = task.config, _planned(task)
    subjects = find_subjects(task.out, plan.source, plan.fingerprint, plan.timeline, config, ignore)
    plan = plan.of(subjects)
    engine = load_engine(plan.engine, config)
    shown = list(_shown(plan))
    clock = _Clock()
    open_views: set[str] = set()
    for views in shown:
        for name in open_views.difference(views):
            engine.forget(name)
        open_views = set(views)
        for name, pictures in views.items():
            infer_settled(engine, name, pictures)
    return clock.answer(len(shown))


def _shown(plan: Plan) -> Iterator[dict[str, FloatArray]]:
    """For each frame the pictures of every view that is open then; their content costs nothing."""
    rng = np.random.default_rng(0)

    def pictures(width: int, height: int) -> FloatArray:
        return rng.random((2, 3, height, width), np.float32)

    if plan.viewports is None:
        side = max(1, round(plan.eye_px * network_scale(plan.config, plan.eye_px)))
        still = {VIEW: pictures(side, side)}
        yield from (still for _ in range(len(plan.timeline)))
        return
    views = {s.path.name: (s.path, pictures(s.width, s.height)) for s in plan.viewports}
    for index in range(len(plan.timeline)):
        yield {
            name: seen for name, (path, seen) in views.items() if path.first <= index < path.last
        }


def _planned(task: Task) -> Plan:
    config = task.config
    told = config.input
    source = probe(task.video, layout=told.layout, projection=told.projection, lens=told.lens)
    line = scan_timeline(source, ignore)
    engine = choose_engine(config)
    return make_plan(source, fingerprint(task.video), line, WHOLE_EYES, engine, config)


def _peak_bytes() -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def main() -> None:
    """Read the task, do it, write the answer."""
    task, answer = (Path(name) for name in sys.argv[1:3])
    answer.write_text(work(Task.of_json(task.read_text("utf-8"))).as_json(), "utf-8")


if __name__ == "__main__":
    main()
