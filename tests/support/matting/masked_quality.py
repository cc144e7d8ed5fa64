"""How good mattes on top of masks are: engine `sam2` with true masks, made worse on purpose.

Usage: PYTHONPATH=tests python -m masked_quality CLIPS
           [--only NAME ...] [--masks KIND ...] [--refiner rvm|guided]

CLIPS holds NAME.mp4 and NAME.alpha.mkv, and `score.py` lies beside that folder. The masks of people
are their truth above one half, seen through the viewport, eroded (e2: by 2 px) or dilated (d4) and
late (l1: a frame, but not where somebody was just pointed at). `default` is the default engine
without masks. The matting network runs once; all kinds of masks share what it said.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np

from vrmatte.frames import EYES, YUV420P, ColorTags, PlanarFrame
from vrmatte.jobs.find_subjects import find_subjects
from vrmatte.matting.build import build_matting
from vrmatte.matting.edges.refiners import GuidedRefiner, NetworkRefiner
from vrmatte.matting.engines.choose import choose_engine, load_engine
from vrmatte.matting.engines.masked import MaskedEngine
from vrmatte.matting.view_window import ViewWindow
from vrmatte.matting.viewport_matting import _reduction, _shrunk
from vrmatte.media.damage import read_timeline
from vrmatte.media.decode import read_frames, read_grey
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint
from vrmatte.plan import make_plan
from vrmatte.progress import ignore
from vrmatte.settings.config import Config

KINDS = ("default", "exact", "e2", "d2", "l1", "e4", "d4", "l2", "e2l1", "d2l2")
FIGURES = ("mad", "bg_mad", "band_mad", "fg_mad", "grad", "dtssd", "recall_gap")


class Recorded:
    """Says again what an engine said of the same pictures, frame after frame."""

    name, provider, settling_frames = "recorded", "script", 0

    def __init__(self, engine=None):
        self.engine, self.frame, self.said = engine, 0, {}

    def infer(self, view, pictures):
        key = self.frame, view
        if key not in self.said:
            self.said[key] = NetworkRefiner(self.engine).refine(view, pictures, None, None)
        return self.said[key]

    def remembers(self, view):
        return True

    def turn(self, view, pixel_map):
        if (self.frame, "turned", view) not in self.said:
            self.said[self.frame, "turned", view] = True
            self.engine.turn(view, pixel_map)

    def forget(self, view):
        if not view.endswith("/again"):
            self.engine.forget(view)

    def state(self):
        return {}

    def restore(self, state):
        pass


class TrueMasks:
    """A mask source that knows the truth, and tells it badly."""

    name, provider = "truth", "script"

    def __init__(self, kind, truth, plan):
        grown = re.search(r"([ed])(\d)", kind)
        late = re.search(r"l(\d)", kind)
        self.grow = 0 if grown is None else int(grown[2]) * (1 if grown[1] == "d" else -1)
        self.late = int(late[1]) if late else 0
        self.truth, self.plan, self.frame = truth, plan, 0
        self.known: dict[str, set[int]] = {}

    def masks(self, view, pictures, prompts):
        known = self.known.setdefault(view, set())
        fresh = {prompt.person for prompt in prompts}
        known |= fresh
        return {who: self._mask(who, view, pictures, who in fresh) for who in sorted(known)}

    def _mask(self, who, view, pictures, fresh):
        at = max(0, self.frame - (0 if fresh else self.late))
        sized = next(s for s in self.plan.viewports if s.path.name == view.removesuffix("/again"))
        size = sized.width, sized.height
        window = ViewWindow(sized.path.at(self.frame), size, self.plan.eye)
        person = next(p for p in self.plan.subjects.people if p.id == who)
        seen = min(max(at, person.first), person.last - 1)
        result = np.zeros((2, *pictures.shape[2:]), np.float32)
        alpha = planar(self.truth[at])
        for number, eye in enumerate(EYES):
            bounds = person.box_at(seen, eye)
            if bounds is None:
                continue
            mask = window.read(_shrunk(alpha.eye(eye), _reduction(window)), _reduction(window)).y
            mask = (mask > 127).astype(np.uint8)
            if self.grow:
                side = 2 * abs(self.grow) + 1
                disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
                mask = (cv2.dilate if self.grow > 0 else cv2.erode)(mask, disc)
            result[number] = mask * around(bounds, window)
        return result

    def remembers(self, view):
        return view in self.known

    def turn(self, view, pixel_map):
        pass

    def forget(self, view):
        self.known.pop(view, None)

    def state(self):
        return {}

    def restore(self, state):
        pass


def around(bounds, window):
    """Where a view shows somebody's box and a third of its size around it."""
    width, height = window.picture.width, window.picture.height
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    dx, dy, dz = window.picture.directions(x, y)
    yaw, pitch = np.degrees(np.arctan2(dx, dz)), -np.degrees(np.arctan2(dy, np.hypot(dx, dz)))
    across, down = (bounds[1] - bounds[0]) / 3, (bounds[3] - bounds[2]) / 3
    return (
        (yaw > bounds[0] - across)
        & (yaw < bounds[1] + across)
        & (pitch > bounds[2] - down)
        & (pitch < bounds[3] + down)
    )


def planar(alpha):
    grey = np.full((alpha.shape[0] // 2, alpha.shape[1] // 2), 128, np.uint8)
    return PlanarFrame(alpha, grey, grey, YUV420P, ColorTags(matrix=1, full_range=True))


def plan_of(clip, folder):
    config = Config.model_validate({"hardware": {"device": "cpu"}})
    source = probe(clip)
    identity, timeline = fingerprint(clip), read_timeline(source, "stop", ignore, None)
    subjects = find_subjects(folder, source, identity, timeline, config, ignore)
    return make_plan(source, identity, timeline, subjects, choose_engine(config), config)


def mattes(plan, kind, refiner, recorded, truth):
    """All mattes of a clip with masks of one kind."""
    source = TrueMasks(kind, truth, plan)
    engine = recorded
    if kind != "default":
        made = GuidedRefiner() if refiner == "guided" else NetworkRefiner(recorded)
        engine = MaskedEngine(source, made)
    matting = build_matting(engine, plan.viewports, plan.config, plan.eye, plan.subjects)
    frames = read_frames(plan.source, plan.timeline, 0, len(plan.timeline))
    for index, frame in enumerate(frames):
        recorded.frame = source.frame = index
        yield matting.matte(index, frame)


def write_grey(path, pictures):
    with av.open(str(path), "w") as container:
        stream = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("ffv1", 30)
                stream.height, stream.width = picture.shape
                stream.pix_fmt = "gray"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        if stream is not None:
            container.mux(stream.encode(None))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--masks", nargs="*", default=KINDS)
    parser.add_argument("--refiner", choices=("rvm", "guided"), default="rvm")
    told = parser.parse_args()
    spec = importlib.util.spec_from_file_location("score", told.clips.parent / "score.py")
    scoring = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scoring)
    rows = {kind: [] for kind in told.masks}
    print(f"{'':16}{'masks':8}" + "".join(f"{name:>11}" for name in FIGURES))
    with tempfile.TemporaryDirectory() as scratch:
        for clip in sorted(told.clips.glob("*.mp4")):
            if told.only and clip.stem not in told.only:
                continue
            plan = plan_of(clip, Path(scratch))
            exact = clip.with_name(f"{clip.stem}.alpha.mkv")
            truth = [matte for _, matte in read_grey(exact)]
            recorded = Recorded(load_engine(plan.engine, plan.config))
            for kind in told.masks:
                made = Path(scratch) / "matte.mkv"
                write_grey(made, mattes(plan, kind, told.refiner, recorded, truth))
                rows[kind].append(row := scoring.score(str(made), str(exact)))
                show(clip.stem, kind, [row])
    for kind in told.masks:
        show("mean", kind, rows[kind])


def show(name, kind, rows):
    figures = [np.mean([row[figure] for row in rows]) for figure in FIGURES]
    print(f"{name:16}{kind:8}" + "".join(f"{value:11.3f}" for value in figures), flush=True)


if __name__ == "__main__":
    main()
