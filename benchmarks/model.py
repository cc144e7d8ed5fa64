"""The matting model alone: RVM's whole graph at full size against our split one.

With a checkout of the peer at hand its own PyTorch model takes its turn too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.clips import ClipMaker
from benchmarks.measure import Usage, busy_seconds, in_turns, row_of, speed_goal
from benchmarks.peer_model import peer_model
from benchmarks.scope import Scope
from benchmarks.values import Findings, Goal
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
"""Against the PyTorch model that the peer's converter runs."""
LEVELS_AT_MOST = 1.0
"""How far alpha may be off, of 255: rounding to whole levels is half of one."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """The mattes of an eye's frames, and what they took."""

    usage: Usage
    alphas: tuple[FloatArray, ...]
    """0..255."""


def measure(scope: Scope, observer: Observer) -> Findings:
    """Both on the same frames of one eye, the network's picture being the same size."""
    try:
        choice = choose_engine(scope.settings({"matting.engine": "rvm"}), observer)
    except WeightsError as error:
        return Findings((), missing=(f"{NAME}: {error}",))
    eye_px, ratio = scope.model_eye_px, scope.model_ratio
    pictures = ClipMaker(scope, observer).pictures((2 * eye_px, eye_px), scope.model_frames)
    eyes = [packed(frame.eye(Eye.LEFT)) for frame in pictures]
    whole, split = _whole(choice, scope), _split(choice, scope)
    for way in (whole, split):  # sessions lay out their memory, kernels are loaded
        way(eyes[:1])
    cases: dict[str, Callable[[], _Timed]] = {
        "whole": partial(whole, eyes),
        "split": partial(split, eyes),
    }
    torch = peer_model(scope)
    if torch is not None:
        cases["peer"] = lambda: _Timed(torch.run(), ())
    found = in_turns(cases, scope.repeats, NAME, observer)
    rounds = list(zip(found["whole"], found["split"], strict=True))
    figures = {
        "wall_ratio": [w.usage.wall_seconds / s.usage.wall_seconds for w, s in rounds],
        "cpu_ratio": [w.usage.cpu_seconds / s.usage.cpu_seconds for w, s in rounds],
        "alpha_levels_off": [_levels_off(w.alphas, s.alphas) for w, s in rounds],
    }
    if torch is not None:
        pairs = list(zip(found["peer"], found["split"], strict=True))
        figures |= {
            "peer_wall_ratio": [p.usage.wall_seconds / s.usage.wall_seconds for p, s in pairs],
            "peer_cpu_ratio": [p.usage.cpu_seconds / s.usage.cpu_seconds for p, s in pairs],
        }
    for name, many in found.items():
        figures[f"{name}_ms"] = [1000 * one.usage.wall_seconds / len(eyes) for one in many]
        figures[f"{name}_cpu_ms"] = [1000 * one.usage.cpu_seconds / len(eyes) for one in many]
    case = f"eye {eye_px}, ratio {ratio:g}"
    row = row_of(NAME, case, figures, [one.usage for many in found.values() for one in many])
    off = row.figures["alpha_levels_off"].most
    goals = [
        speed_goal(row, "wall_ratio", "cpu_ratio", at_least=AT_LEAST),
        Goal(NAME, case, "alpha_levels_off", off, at_most=LEVELS_AT_MOST),
    ]
    if torch is not None:
        goals.append(speed_goal(row, "peer_wall_ratio", "peer_cpu_ratio", at_least=PEER_AT_LEAST))
    return Findings((row,), tuple(goals))


ConcurrencyMode = Callable[[list[PlanarFrame]], _Timed]


def _whole(choice: EngineChoice, scope: Scope) -> ConcurrencyMode:
    """The published graph as it is; making its RGB picture is a gift to it."""
    session = open_session(Path(choice.weights_path), scope.device)

    def run(eyes: list[PlanarFrame]) -> _Timed:
        states = [np.zeros((1, 1, 1, 1), np.float32)] * len(STATES_IN)
        used: list[Usage] = []
        alphas: list[FloatArray] = []
        for eye in eyes:
            rgb = sampled_rgb(eye, eye.width, eye.height)[None]
            feeds = {
                "src": rgb,
                "downsample_ratio": np.array([scope.model_ratio], np.float32),
                **dict(zip(STATES_IN, states, strict=True)),
            }
            clock = _Clock()
            # Its foreground comes with its alpha: the graph has no cheaper way.
            _, alpha, *states = session.run(("fgr", "pha", *STATES_OUT), feeds)
            used.append(clock.usage())
            alphas.append(alpha[0, 0] * 255)
        return _Timed(_total(used), tuple(alphas))

    return run


def _split(choice: EngineChoice, scope: Scope) -> ConcurrencyMode:
    """The network at small size, its coefficients laid over the planes at full size."""
    engine, ratio = load_engine(choice, scope.settings({})), scope.model_ratio

    def run(eyes: list[PlanarFrame]) -> _Timed:
        engine.reset()
        used: list[Usage] = []
        alphas: list[FloatArray] = []
        for eye in eyes:
            clock = _Clock()
            small = sampled_rgb(eye, round(eye.width * ratio), round(eye.height * ratio))
            found = engine.infer("eye", small[None])
            matte = apply_coefficients(eye, found.slope[0], found.offset[0])
            used.append(clock.usage())
            alphas.append(matte.astype(np.float32))
        return _Timed(_total(used), tuple(alphas))

    return run


class _Clock:
    """Measures a stretch of this process's own work."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._busy = _now()

    def usage(self) -> Usage:
        wall, cpu, busy = _now()
        own, seconds = cpu - self._cpu, wall - self._wall
        others = max(0.0, busy - self._busy - own)
        return Usage(seconds, own, 0, others / seconds, 0)


def _now() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), busy_seconds()


def _total(used: list[Usage]) -> Usage:
    wall = sum(one.wall_seconds for one in used)
    others = sum(one.others_cores * one.wall_seconds for one in used) / wall
    return Usage(wall, sum(one.cpu_seconds for one in used), 0, others, 0)


def _levels_off(alphas: Iterable[FloatArray], others: Iterable[FloatArray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(alphas, others, strict=True))
