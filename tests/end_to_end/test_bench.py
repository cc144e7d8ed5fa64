"""Benchmarks run and answer in full; nothing here depends on how long anything took."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import worker
from benchmarks.clips import ClipMaker, enlarged
from benchmarks.measure import in_turns, speed_goal
from benchmarks.memory import mb_per_1000_frames
from benchmarks.peer_copy import copy_peer
from benchmarks.run import BENCHES, REPORT_FILE, run_benches
from benchmarks.scale import even_shares
from benchmarks.scope import Scope, parse_sizes, quick
from benchmarks.tasks import Answer, Task
from benchmarks.values import BenchReport, Goal, Machine, Row, Spread
from support.paths import REPOSITORY, SOURCES, TESTS
from vrmatte.errors import ConfigError, VrmatteError

OVERRIDES = {"matting.engine": "brightness", "processing.projection": "half_equirect"}
_PYTHONPATH = os.pathsep.join(map(str, (SOURCES, TESTS, REPOSITORY, Path(__file__).parent)))
WRITER = """\
class VideoWriter:
    def __init__(self, path, frame_rate, bit_rate=1000000):
        self.stream = self.container.add_stream('h264', rate=f'{frame_rate:.4f}')
        self.stream.bit_rate = bit_rate

    def write(self, frames):
        self.stream.width = frames.size(3)
        self.stream.height = frames.size(2)
"""


@pytest.fixture
def scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scope:
    monkeypatch.setenv("PYTHONPATH", _PYTHONPATH)
    return replace(quick(Scope(tmp_path / "bench")), overrides=OVERRIDES)


@pytest.mark.slow
def test_every_row_comes_with_finite_figures(scope: Scope):
    names = ("end-to-end", "overhead", "memory", "resume", "scale")
    events: list[object] = []
    report = run_benches(names, scope, events.append)
    assert [row.bench for row in report.rows] == [
        "end-to-end", "overhead", *["memory"] * 2, "resume", *["scale"] * 2
    ]  # fmt: skip
    for row in report.rows:
        for name, spread in row.figures.items():
            assert all(map(math.isfinite, (spread.median, spread.least, spread.most))), name
    rows = {(row.bench, row.case): row for row in report.rows}
    assert all(goal.figure in rows[goal.bench, goal.case].figures for goal in report.goals)
    assert {goal.bench for goal in report.goals} == {"overhead", "memory", "resume", "scale"}
    resume = next(row for row in report.rows if row.bench == "resume")
    assert resume.figures["decoded_frames_equal"].median == 1
    assert 0 < resume.figures["chunks_at_kill"].median < scope.long_chunks
    assert events
    check_schema((scope.out / REPORT_FILE).read_text("utf-8"), len(report.rows))


def check_schema(text: str, rows: int) -> None:
    found = json.loads(text)
    assert set(found) == {
        "bench_version", "vrmatte", "machine", "scope", "rows", "goals", "missing"
    }  # fmt: skip
    assert set(found["machine"]) == {"system", "processor", "cores", "memory_gb", "python"}
    assert len(found["rows"]) == rows
    for row in found["rows"]:
        assert set(row) == {
            "bench", "case", "figures", "others_cores", "load_average", "notes", "quiet"
        }  # fmt: skip
        assert all(set(spread) == {"median", "least", "most"} for spread in row["figures"].values())
    for goal in found["goals"]:
        assert set(goal) == {"bench", "case", "figure", "value", "at_most", "at_least", "holds"}


@pytest.mark.weights
def test_the_split_model_gives_the_whole_graphs_alpha(scope: Scope, models_dir: Path):
    from benchmarks import model

    if not (models_dir / "rvm_mobilenetv3_fp32.onnx").exists():
        pytest.skip("needs rvm_mobilenetv3_fp32.onnx")
    found = model.measure(scope, lambda _: None)
    (row,) = found.rows
    # Rounding to whole levels is half of one; the rest is float sums in another order.
    assert row.figures["alpha_levels_off"].most <= 0.6
    assert row.figures["wall_ratio"].median > 0
    assert [goal.holds for goal in found.goals if goal.figure == "alpha_levels_off"] == [True]


def test_what_cannot_be_measured_is_said(scope: Scope, tmp_path: Path):
    from benchmarks import peer

    assert "--peer" in peer.measure(scope, lambda _: None).missing[0]
    # -S: an interpreter that sees no installed libraries.
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    asked = replace(scope, peer=tmp_path, peer_python=str(bare))
    (text,) = peer.measure(asked, lambda _: None).missing
    assert "torch, torchvision" in text


def test_a_failing_worker_is_named(scope: Scope):
    failing = replace(scope, worker=(sys.executable, "-c", "raise SystemExit('no luck')"))
    with pytest.raises(VrmatteError, match=r"exit code 1: no luck"):
        run_benches(["overhead"], failing)


def test_help_works_from_a_checkout():
    command = [sys.executable, "-m", "benchmarks", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    for name in (*BENCHES, "--quick", "--peer-python"):
        assert name in done.stdout


def test_unknown_benches_are_refused(scope: Scope):
    with pytest.raises(ConfigError, match="accepted are end-to-end"):
        run_benches(["speed"], scope)


@pytest.mark.parametrize("text", ["", "2048", "2048x1000", "100x50", "64x32", "x"])
def test_sizes_that_cannot_be_are_refused(text: str):
    with pytest.raises(ConfigError, match="--sizes"):
        parse_sizes(text)


def test_sizes():
    assert parse_sizes("2048x1024, 256x128") == ((2048, 1024), (256, 128))


def test_clips_are_made_once_and_hold_their_frames(scope: Scope):
    maker = ClipMaker(scope)
    path = maker.clip((128, 64), 6)
    made = path.stat().st_mtime_ns
    assert maker.clip((128, 64), 6) == path
    assert path.stat().st_mtime_ns == made
    answer = worker.work(Task("decode", path, scope.out / "x", scope.settings({}).model_dump()))
    assert answer.frames == 6


def test_enlarged_frames_repeat_exactly_and_differ_from_each_other(scope: Scope):
    maker = ClipMaker(scope)
    first, again = (list(maker.frames((256, 128), 9)) for _ in range(2))
    assert all(np.array_equal(a.y, b.y) for a, b in zip(first, again, strict=True))
    base = scope.base_frames
    # To and fro: this frame shows what the first does, under other grain.
    assert not np.array_equal(first[0].y, first[2 * base - 2].y)
    assert np.array_equal(first[0].u, first[2 * base - 2].u)
    assert [frame.pts for frame in first] == list(range(9))
    assert len(list(enlarged([first[0]], (64, 32), 3, 0))) == 3


def test_the_slope_is_that_of_the_peaks_after_the_first_third():
    rising = [(n, 500_000_000 + 3_000 * n + (n % 7) * 1_000_000) for n in range(1, 1001)]
    start = [(n, n * 4_000_000) for n in range(1, 200)]
    flat = [(n, 800_000_000) for n in range(200, 1001)]
    # 3 kB per frame are 3 MB per 1000; peaks of spans that end elsewhere in the saw add a little.
    assert mb_per_1000_frames(rising) == pytest.approx(3, abs=0.2)
    assert mb_per_1000_frames(start + flat) == pytest.approx(0, abs=1e-6)


def row(others_cores: float) -> Row:
    figures = {"wall_ratio": Spread.of([2.0]), "cpu_ratio": Spread.of([1.0, 1.1, 1.4])}
    return Row("overhead", "a", figures, others_cores, 0.5)


def test_on_a_busy_machine_cpu_time_is_judged():
    quiet = speed_goal(row(0.1), "wall_ratio", "cpu_ratio", at_most=1.25)
    busy = speed_goal(row(1.0), "wall_ratio", "cpu_ratio", at_most=1.25)
    assert (quiet.figure, quiet.value, quiet.holds) == ("wall_ratio", 2.0, False)
    assert (busy.figure, busy.value, busy.holds) == ("cpu_ratio", 1.1, True)


def test_bounds():
    assert Goal("b", "c", "f", 5.0, at_least=5).holds
    assert not Goal("b", "c", "f", 4.9, at_least=5).holds
    assert not Goal("b", "c", "f", 5.1, at_most=5).holds
    check_schema(BenchReport(Machine(), {}, ()).as_json(), 0)


def test_cases_take_turns():
    order: list[str] = []
    cases = {name: lambda name=name: order.append(name) for name in "AB"}
    found = in_turns(cases, 2, "", lambda _: None)
    assert order == ["A", "B", "A", "B"]
    assert {name: len(many) for name, many in found.items()} == {"A": 2, "B": 2}


def test_cores_are_dealt_out_evenly():
    shares = even_shares(2)
    assert len(shares[0]) == len(shares[1]) > 0
    assert even_shares(10_000)[0]


def test_tasks_and_answers_travel():
    task = Task("job", Path("a.mp4"), Path("out"), {"x": 1}, Path("b.mp4"), (0, 1))
    assert Task.of_json(task.as_json()) == task
    answer = Answer(3, 1.0, 2.0, {"matte": 0.5}, {}, ((1, 10),), ("f",), None)
    assert Answer.of_json(answer.as_json()) == answer


def test_the_peers_copy_is_repaired_and_the_checkout_is_not(tmp_path: Path):
    checkout = tmp_path / "checkout"
    (checkout / "model").mkdir(parents=True)
    (checkout / "inference.py").write_text("")
    (checkout / "inference_utils.py").write_text(WRITER)
    copy_peer(checkout, tmp_path / "copy", "libx264", {"crf": "18"})
    text = (tmp_path / "copy" / "inference_utils.py").read_text()
    compile(text, "inference_utils.py", "exec")
    assert "'libx264'" in text
    assert "{'crf': '18'}" in text
    assert ".4f" not in text
    assert (checkout / "inference_utils.py").read_text() == WRITER

    (checkout / "inference_utils.py").write_text(text)
    with pytest.raises(VrmatteError, match="differs from the version the fixes are for"):
        copy_peer(checkout, tmp_path / "copy", "libx264", {})
    with pytest.raises(ConfigError, match=r"has no inference\.py"):
        copy_peer(tmp_path / "nothing", tmp_path / "copy", "libx264", {})
