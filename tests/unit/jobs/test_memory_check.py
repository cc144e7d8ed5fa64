from __future__ import annotations

from dataclasses import replace

import pytest

from support.media.media_fixtures import write_clip
from vrmatte.errors import ChunkError, ConfigError
from vrmatte.frames import YUV420P, YUV420P10
from vrmatte.jobs.memory import (
    ConcurrencyMode,
    MemoryUse,
    MemoryWatch,
    check_memory,
    concurrency_modes,
    needed_bytes,
)
from vrmatte.matting.engines.brightness import BRIGHTNESS
from vrmatte.media.probe import probe
from vrmatte.media.scan import scan_timeline
from vrmatte.plan import Plan, make_plan
from vrmatte.progress import ignore
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES

FILES = ("matte", "greenscreen", "alpha-packed")


@pytest.fixture(scope="module")
def plan_of(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "clip_LR_180.mp4"
    write_clip(path, frames=4)
    source = probe(path)
    timeline = scan_timeline(source, ignore)

    def plan_of(width=6144, layout=YUV420P, deliver=FILES, limit=None, **performance) -> Plan:
        config = Config.model_validate(
            {
                "processing": {"max_memory_gb": limit},
                "output": {"deliver": deliver, "encoder": "software"},
                "performance": performance,
            }
        )
        large = replace(source, width=width, height=width // 2, layout=layout)
        return make_plan(large, "f" * 64, timeline, WHOLE_EYES, BRIGHTNESS, config)

    return plan_of


class Machine:
    """A machine with so much memory free, and a process that holds so much."""

    def __init__(self, free_gb: float, held_gb: float = 0.4) -> None:
        self.free_gb, self.held_gb = free_gb, held_gb

    def measure(self) -> MemoryUse:
        return MemoryUse(self.held_gb * 1e9, self.free_gb * 1e9)


def needed_gb(plan: Plan, mode: ConcurrencyMode | None = None) -> float:
    return needed_bytes(plan, mode or concurrency_modes(plan)[0]) / 1e9


def test_what_was_measured_lies_within_the_estimate(plan_of):
    # Measured peak at 6144x3072: 2.9 GB for three files in 8 bit, one beside the mattes' encoder,
    # and as much for one packed file. The parts don't all peak at once, so their sum is above.
    assert 2.9 <= needed_gb(plan_of()) <= 4.3
    assert 2.9 <= needed_gb(plan_of(deliver=("alpha-packed",))) <= 4.0


def test_less_at_a_time_needs_less(plan_of):
    plan = plan_of(width=4096)
    assert [(mode.encoders, mode.overlap) for mode in concurrency_modes(plan)] == [
        ("all", True),
        ("two", True),
        ("one", True),
        ("one", False),
    ]
    sizes = [needed_bytes(plan, mode) for mode in concurrency_modes(plan)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.5 * sizes[-1]
    assert [mode.encoders for mode in concurrency_modes(plan_of(width=4096, overlap=False))] == [
        "all",
        "two",
        "one",
    ]
    assert concurrency_modes(plan_of()) == (
        ConcurrencyMode("two", True),
        ConcurrencyMode("one", True),
        ConcurrencyMode("one", False),
    )


def test_need_grows_with_pictures_depth_and_files_not_with_length(plan_of):
    plan = plan_of(width=4096)
    assert needed_gb(plan_of(width=2048)) < needed_gb(plan)
    assert needed_gb(plan_of(width=4096, layout=YUV420P10)) > needed_gb(plan)
    assert needed_gb(plan_of(width=4096, deliver=FILES[:1])) < needed_gb(plan)
    longer = replace(plan, chunks=plan.chunks * 100)
    assert needed_gb(longer) == needed_gb(plan)


def test_a_limit_below_the_need_is_refused_with_both_numbers(plan_of):
    with pytest.raises(ConfigError, match=r"max_memory_gb=1: 6144x3072 needs about 3\.\d GB"):
        check_memory(plan_of(limit=1))
    check_memory(plan_of(limit=40))


def test_little_free_memory_is_a_warning(plan_of):
    assert "only 1.0 GB" in (check_memory(plan_of(), 1e9) or "")
    assert check_memory(plan_of(), 8e9) is None


def test_where_there_is_enough_nothing_is_said(plan_of):
    watch = MemoryWatch(plan_of(width=4096), Machine(free_gb=16).measure)
    assert watch.choose_mode(0) is None
    assert watch.mode == ConcurrencyMode("all", True)


def test_less_is_done_at_a_time_while_memory_is_short(plan_of):
    plan = plan_of(width=4096)
    machine = Machine(free_gb=needed_gb(plan, ConcurrencyMode("two", True)))
    watch = MemoryWatch(plan, machine.measure)
    told = watch.choose_mode(3)
    assert watch.mode == ConcurrencyMode("two", True)
    assert told is not None
    assert told.startswith("from chunk 3 on files are encoded one after the other: ")
    assert watch.choose_mode(4) is None
    machine.free_gb = 0.1
    assert "don't overlap" in (watch.choose_mode(5) or "")
    assert watch.mode == ConcurrencyMode("one", False)
    machine.free_gb = 16
    assert "again" in (watch.choose_mode(6) or "")
    assert watch.mode == ConcurrencyMode("all", True)


def test_what_the_process_holds_already_is_not_needed_again(plan_of):
    plan = plan_of(width=4096)
    watch = MemoryWatch(plan, Machine(free_gb=0.5, held_gb=needed_gb(plan)).measure)
    assert watch.choose_mode(0) is None


def test_the_limit_counts_like_the_machines_own_size(plan_of):
    plan = plan_of(width=4096)
    limit = (
        needed_gb(plan, ConcurrencyMode("all", True))
        + needed_gb(plan, ConcurrencyMode("two", True))
    ) / 2
    watch = MemoryWatch(plan_of(width=4096, limit=limit), Machine(free_gb=64).measure)
    assert "processing.max_memory_gb=" in (watch.choose_mode(0) or "")
    assert watch.mode == ConcurrencyMode("two", True)


def test_a_process_beyond_the_limit_begins_no_chunk(plan_of):
    watch = MemoryWatch(plan_of(limit=4), Machine(free_gb=64, held_gb=5).measure)
    with pytest.raises(ChunkError, match=r"chunk 7 was not started: .*holds 5\.0 GB already"):
        watch.choose_mode(7)


def test_what_memory_ran_out_for_does_not_come_back(plan_of):
    watch = MemoryWatch(plan_of(width=4096), Machine(free_gb=64).measure)
    assert "one after the other" in (watch.use_less() or "")
    assert watch.choose_mode(1) is None
    assert watch.mode == ConcurrencyMode("two", True)
    assert "not beside the mattes" in (watch.use_less() or "")
    assert "don't overlap" in (watch.use_less() or "")
    assert watch.use_less() is None
