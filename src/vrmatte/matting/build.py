"""Which way frames are matted: whole eyes, or through viewports of fitting network size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vrmatte.geometry.projection import EyeProjection
from vrmatte.geometry.viewport import Turn, ViewportPath, ViewProjection
from vrmatte.matting.base import Engine, FrameMatting
from vrmatte.matting.engines.choose import network_scale
from vrmatte.matting.prompts.backfill import Backfill, PromptFeed, ReadAhead, backfill_spans
from vrmatte.matting.prompts.prompts import PromptedEngine, Prompter
from vrmatte.matting.viewport_matting import SizedPath, ViewportMatting
from vrmatte.matting.whole_eye_matting import WholeEyeMatting
from vrmatte.settings.config import Config
from vrmatte.subjects import Person

NETWORK_STEP_PX = 16
"""The network halves its picture four times; other sizes shift its edges (measured: 8 % worse)."""
MOST_NETWORK_PX = 220_000
"""Largest picture of a viewport where scale_factor is auto: the point of small returns. Measured on
a body that fills the view, 484, 305 and 200 thousand pixels: error 1.25, 1.31, 1.34, CPU time
1115, 709, 444 ms."""
AMPLE_NETWORK_PX = 120_000
"""Viewports with fewer source pixels are enlarged up to this: the network was trained on people
some hundred pixels tall. Measured on two of 290 pixels at 1, 1.2 and 1.4 times the source's
density: error 1.32, 1.13, 0.92."""
MOST_ENLARGED = 1.4


def whole_sphere(frames: int, projection: ViewProjection) -> tuple[ViewportPath, ...]:
    """One view of the whole hemisphere, for comparison."""
    turn = Turn(0, 0.0, 0.0)
    return (ViewportPath("sphere", 0, frames, 180.0, 180.0, (turn,), projection),)


def sized_paths(
    paths: Sequence[ViewportPath], config: Config, eye: EyeProjection
) -> tuple[SizedPath, ...]:
    """Viewports with the sizes their network pictures get."""
    return tuple(SizedPath(path, *_network_size(path, config, eye)) for path in paths)


def smaller_paths(paths: Sequence[SizedPath], share: float) -> tuple[SizedPath, ...]:
    """The same viewports with network pictures of a share of their size, along a side."""
    return tuple(
        SizedPath(sized.path, _stepped(sized.width * share), _stepped(sized.height * share))
        for sized in paths
    )


def make_matting(
    engine: Engine,
    paths: Sequence[SizedPath] | None,
    config: Config,
    eye: EyeProjection,
    people: Sequence[Person] = (),
    read: ReadAhead | None = None,
) -> FrameMatting:
    """Matting through viewports; through whole eyes where `paths` is None.

    An engine that takes prompts is told of people, if there are any. One that follows back in time
    follows newcomers through the frames before, where `read` can read them ahead.
    """
    if paths is None:
        return WholeEyeMatting(engine, network_scale(config, eye.size), eye)
    tell = None
    if isinstance(engine, PromptedEngine) and is_told(engine, paths, people):
        prompter = Prompter(people, config.detection.interval_frames)
        tell = PromptFeed(engine, prompter, _looking_back(engine, paths, prompter, read))
    return ViewportMatting(engine, paths, eye, tell)


def _looking_back(
    engine: PromptedEngine, paths: Sequence[SizedPath], prompter: Prompter, read: ReadAhead | None
) -> Backfill | None:
    source = engine.follows_back
    if source is None or read is None:
        return None
    looks = {sized.path.name: backfill_spans(sized, prompter) for sized in paths}
    return Backfill(source, looks, read)


def is_told(engine: Engine, paths: Sequence[SizedPath] | None, people: Sequence[Person]) -> bool:
    """Whether the engine knows who is where, so that nobody else need leave anybody out."""
    return paths is not None and bool(people) and isinstance(engine, PromptedEngine)


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
    """Network pixels per source pixel (along a side) for a viewport that holds `source_px`."""
    enlarged = min(MOST_ENLARGED, math.sqrt(AMPLE_NETWORK_PX / source_px))
    return max(enlarged, min(1.0, math.sqrt(MOST_NETWORK_PX / source_px)))


def _stepped(length_px: float) -> int:
    return max(NETWORK_STEP_PX, NETWORK_STEP_PX * round(length_px / NETWORK_STEP_PX))
