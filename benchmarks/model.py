"""The matting model alone: RVM's whole graph at full size against our split one.

With a checkout of the peer, its PyTorch model is measured too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.clips import ClipMaker
from benchmarks.measure import ProcessUsage, busy_seconds, in_turns, row_of, speed_goal
from benchmarks.peer_copy import peer_model
from benchmarks.scope import Scope
from benchmarks.values import BenchResult, Goal
from vrmatte.errors import WeightsError
from vrmatte.frames import Eye, FloatArray, PlanarFrame
from vrmatte.matting.base import EngineChoice
from vrmatte.matting.engines.choose import choose_engine, load_engine
from vrmatte.matting.guided import apply_coefficients
from vrmatte.matting.network_input import packed, sampled_rgb
from vrmatte.models.runtime import open_session
from vrmatte.models.rvm_cut import STATES_IN, STATES_OUT
from vrmatte.progress import Observer

NAME = "model"
AT_LEAST = 5.0
PEER_AT_LEAST = 6.0
"""Bound against the PyTorch model of the peer's converter."""
LEVELS_AT_MOST = 1.0
"""Allowed alpha error, of 255; rounding to whole levels alone is up to 0.5."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """The mattes of an eye's frames, and the time they took."""

    usage: ProcessUsage
    alphas: tuple[FloatArray, ...]
    """0..255."""


def measure(scope: Scope, observer: Observer) -> BenchResult:
    """Run both on the same frames of one eye, with the same network input size."""
    try:
        choice = choose_engine(scope.settings({"matting.engine": "rvm"}), observer)
    except WeightsError as error:
        return BenchResult((), missing=(f"{NAME}: {error}",))
    eye_px, ratio = scope.model_eye_px, scope.model_ratio
    frames = ClipMaker(scope, observer).frames((2 * eye_px, eye_px), scope.model_frames)
    eyes = [packed(frame.eye(Eye.LEFT)) for frame in frames]
    whole, split = _whole(choice, scope), _split(choice, scope)
    for run in (whole, split):  # sessions allocate memory and load kernels
        run(eyes[:1])
    cases: dict[str, Callable[[], _Timed]] = {
        "whole": partial(whole, eyes),
        "split": partial(split, eyes),
    }
    torch = peer_model(scope)
    if torch is not None:
        cases["peer"] = lambda: _Timed(torch.run(), ())
    timed = in_turns(cases, scope.repeats, NAME, observer)
    rounds = list(zip(timed["whole"], timed["split"], strict=True))
    figures = {
        "wall_ratio": [w.usage.wall_seconds / s.usage.wall_seconds for w, s in rounds],
        "cpu_ratio": [w.usage.cpu_seconds / s.usage.cpu_seconds for w, s in rounds],
        "alpha_levels_off": [_levels_off(w.alphas, s.alphas) for w, s in rounds],
    }
    if torch is not None:
        pairs = list(zip(timed["peer"], timed["split"], strict=True))
        figures |= {
            "peer_wall_ratio": [p.usage.wall_seconds / s.usage.wall_seconds for p, s in pairs],
            "peer_cpu_ratio": [p.usage.cpu_seconds / s.usage.cpu_seconds for p, s in pairs],
        }
    for name, many in timed.items():
        figures[f"{name}_ms"] = [1000 * one.usage.wall_seconds / len(eyes) for one in many]
        figures[f"{name}_cpu_ms"] = [1000 * one.usage.cpu_seconds / len(eyes) for one in many]
    case = f"eye {eye_px}, ratio {ratio:g}"
    row = row_of(NAME, case, figures, [one.usage for many in timed.values() for one in many])
    off = row.figures["alpha_levels_off"].most
    goals = [
        speed_goal(row, "wall_ratio", "cpu_ratio", at_least=AT_LEAST),
        Goal(NAME, case, "alpha_levels_off", off, at_most=LEVELS_AT_MOST),
    ]
    if torch is not None:
        goals.append(speed_goal(row, "peer_wall_ratio", "peer_cpu_ratio", at_least=PEER_AT_LEAST))
    return BenchResult((row,), tuple(goals))


ModelRun = Callable[[list[PlanarFrame]], _Timed]


def _whole(choice: EngineChoice, scope: Scope) -> ModelRun:
    """Run the published graph; the time for its RGB input isn't counted."""
    session = open_session(Path(choice.weights_path), scope.device)

    def run(eyes: list[PlanarFrame]) -> _Timed:
        states = [np.zeros((1, 1, 1, 1), np.float32)] * len(STATES_IN)
        used: list[ProcessUsage] = []
        alphas: list[FloatArray] = []
        for eye in eyes:
            rgb = sampled_rgb(eye, eye.width, eye.height)[None]
            feeds = {
                "src": rgb,
                "downsample_ratio": np.array([scope.model_ratio], np.float32),
                **dict(zip(STATES_IN, states, strict=True)),
            }
            clock = _Clock()
            # The graph computes its foreground along with alpha.
            _, alpha, *states = session.run(("fgr", "pha", *STATES_OUT), feeds)
            used.append(clock.usage())
            alphas.append(alpha[0, 0] * 255)
        return _Timed(_total(used), tuple(alphas))

    return run


def _split(choice: EngineChoice, scope: Scope) -> ModelRun:
    """Run the network at small size and apply its coefficients at full size."""
    engine, ratio = load_engine(choice, scope.settings({})), scope.model_ratio

    def run(eyes: list[PlanarFrame]) -> _Timed:
        engine.reset()
        used: list[ProcessUsage] = []
        alphas: list[FloatArray] = []
        for eye in eyes:
            clock = _Clock()
            small = sampled_rgb(eye, round(eye.width * ratio), round(eye.height * ratio))
            coefficients = engine.infer("eye", small[None])
            matte = apply_coefficients(eye, coefficients.slope[0], coefficients.offset[0])
            used.append(clock.usage())
            alphas.append(matte.astype(np.float32))
        return _Timed(_total(used), tuple(alphas))

    return run


class _Clock:
    """Stopwatch of wall and CPU time of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._busy = _now()

    def usage(self) -> ProcessUsage:
        wall, cpu, busy = _now()
        used, seconds = cpu - self._cpu, wall - self._wall
        others = max(0.0, busy - self._busy - used)
        return ProcessUsage(seconds, used, 0, others / seconds, 0)


def _now() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), busy_seconds()


def _total(used: list[ProcessUsage]) -> ProcessUsage:
    wall = sum(one.wall_seconds for one in used)
    others = sum(one.others_cores * one.wall_seconds for one in used) / wall
    return ProcessUsage(wall, sum(one.cpu_seconds for one in used), 0, others, 0)


def _levels_off(alphas: Iterable[FloatArray], others: Iterable[FloatArray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(alphas, others, strict=True))
