"""Build the matting of a video: whole eyes or viewports, stereo agreement, exclusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from vrmatte.geometry.projection import EyeProjection
from vrmatte.geometry.viewport import Turn, ViewportPath, ViewProjection
from vrmatte.matting.base import Engine, FrameMatting
from vrmatte.matting.engines.choose import network_scale
from vrmatte.matting.exclusion.exclusion import ExcludingMatting, Exclusion
from vrmatte.matting.prompts.backfill import Backfill, PromptFeed, ReadAhead, backfill_spans
from vrmatte.matting.prompts.prompts import PromptedEngine, Prompter
from vrmatte.matting.stereo_matting import Timed, with_agreement
from vrmatte.matting.viewport_matting import SizedPath, ViewportMatting
from vrmatte.matting.whole_eye_matting import WholeEyeMatting
from vrmatte.settings.config import Config
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.subjects import Person, Subjects

NETWORK_STEP_PX = 16
"""The network halves its input four times; other sizes shift its edges (measured: 8 % worse)."""
MOST_NETWORK_PX = 220_000
"""Largest network input of a viewport if scale_factor is auto; beyond, quality falls. Measured on
a body that fills the view, 484, 305 and 200 thousand pixels: error 1.25, 1.31, 1.34, CPU time
1115, 709, 444 ms."""
AMPLE_NETWORK_PX = 120_000
"""Viewports with fewer source pixels are enlarged up to this: the network was trained on people
some hundred pixels tall. Measured on two of 290 pixels at 1, 1.2 and 1.4 times the source's
density: error 1.32, 1.13, 0.92."""
MOST_ENLARGED = 1.4


def whole_sphere(frames: int, projection: ViewProjection) -> tuple[ViewportPath, ...]:
    """Return one view of the whole hemisphere, for comparison."""
    turn = Turn(0, 0.0, 0.0)
    return (ViewportPath("sphere", 0, frames, 180.0, 180.0, (turn,), projection),)


def sized_paths(
    paths: Sequence[ViewportPath], config: Config, eye: EyeProjection
) -> tuple[SizedPath, ...]:
    """Assign network input sizes to viewports."""
    return tuple(SizedPath(path, *_network_size(path, config, eye)) for path in paths)


def smaller_paths(paths: Sequence[SizedPath], share: float) -> tuple[SizedPath, ...]:
    """Scale the network inputs of viewports by a share, along a side."""
    return tuple(
        SizedPath(sized.path, _stepped(sized.width * share), _stepped(sized.height * share))
        for sized in paths
    )


def build_matting(
    engine: Engine,
    paths: Sequence[SizedPath] | None,
    config: Config,
    eye: EyeProjection,
    subjects: Subjects,
    *,
    on_finding: Callable[[StereoFinding], None] = lambda finding: None,
    read_ahead: ReadAhead | None = None,
    timed: Timed = nullcontext,
) -> FrameMatting:
    """Build the matting of a video: network, agreement of both eyes, excluded people removed.

    Runs and previews use it, so a preview shows the matte of the run.

    Args:
        engine: a loaded engine.
        paths: the subjects' viewports with their network sizes; None: whole eyes.
        config: settings.
        eye: projection of one eye.
        subjects: people, regions and lenses of the video.
        on_finding: receives the agreement of both eyes, person by person.
        read_ahead: reads frames for following newcomers backwards; None: they are not followed.
        timed: measures the time spent on stereo agreement.
    """
    people = subjects.people
    matting, follows_people = _engine_matting(engine, paths, config, eye, people, read_ahead)
    matting = with_agreement(matting, config, eye, people, subjects.lenses, on_finding, timed)
    # An engine that follows people leaves the excluded ones out itself.
    others = () if follows_people else people
    if not subjects.regions and all(person.keep for person in others):
        return matting
    return ExcludingMatting(matting, Exclusion(others, subjects.regions, eye))


def _engine_matting(
    engine: Engine,
    paths: Sequence[SizedPath] | None,
    config: Config,
    eye: EyeProjection,
    people: Sequence[Person],
    read_ahead: ReadAhead | None,
) -> tuple[FrameMatting, bool]:
    """Return the matting by the engine alone, and whether the engine follows each person."""
    if paths is None:
        return WholeEyeMatting(engine, network_scale(config, eye.size), eye), False
    if not people or not isinstance(engine, PromptedEngine):
        return ViewportMatting(engine, paths, eye), False
    prompter = Prompter(people, config.detection.interval_frames)
    feed = PromptFeed(engine, prompter, _backfill(engine, paths, prompter, read_ahead))
    return ViewportMatting(engine, paths, eye, feed), True


def _backfill(
    engine: PromptedEngine,
    paths: Sequence[SizedPath],
    prompter: Prompter,
    read_ahead: ReadAhead | None,
) -> Backfill | None:
    if engine.follows_back is None or read_ahead is None:
        return None
    spans = {sized.path.name: backfill_spans(sized, prompter) for sized in paths}
    return Backfill(engine.follows_back, spans, read_ahead)


def _network_size(path: ViewportPath, config: Config, eye: EyeProjection) -> tuple[int, int]:
    viewport = path.at(path.first)
    density = eye.px_per_deg
    scale = config.processing.scale_factor
    if scale == "auto":
        width, height = viewport.size_for(density)
        scale = auto_scale(width * height)
    width, height = viewport.size_for(density * scale)
    return _stepped(width), _stepped(height)


def auto_scale(source_px: int) -> float:
    """Return network pixels per source pixel, along a side, for a viewport of `source_px`."""
    enlarged = min(MOST_ENLARGED, math.sqrt(AMPLE_NETWORK_PX / source_px))
    return max(enlarged, min(1.0, math.sqrt(MOST_NETWORK_PX / source_px)))


def _stepped(length_px: float) -> int:
    return max(NETWORK_STEP_PX, NETWORK_STEP_PX * round(length_px / NETWORK_STEP_PX))
