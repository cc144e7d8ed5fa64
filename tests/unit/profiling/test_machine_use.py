from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from vrmatte.profiling.machine_use import MachineMeter, bytes_written_since

posix = pytest.mark.skipif(sys.platform == "win32", reason="stands in for a program by a script")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Stands a script in for nvidia-smi."""

    def stand_in(script: str) -> None:
        path = tmp_path / "bin" / "nvidia-smi"
        path.parent.mkdir()
        path.write_text(f"#!{sys.executable}\nimport sys, time\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))

    return stand_in


def until(condition, seconds=10.0):
    """Wait for another process; a generous limit, reached only when it never comes."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture
def no_card(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_card")
def test_memory_that_was_let_go_of_is_in_the_peak():
    with MachineMeter() as meter:
        before = meter._rss_peak
        taken = np.ones(100 << 20, np.uint8)
        until(lambda: meter._rss_peak > before + (90 << 20))
        del taken
    # Allocators give blocks of this size back at once; 80 of 100 MB leaves room for others' noise.
    assert meter.use.rss_peak_bytes > meter.use.rss_bytes + (80 << 20)


@pytest.mark.usefixtures("no_card")
def test_without_a_card_there_are_no_figures_of_one():
    with MachineMeter() as meter:
        pass
    assert (meter.use.gpu_seconds, meter.use.vram_peak_bytes) == (None, None)


@pytest.mark.usefixtures("no_card")
def test_processor_time_is_that_of_all_threads_and_within_the_wall_time_of_all_cores():
    with MachineMeter() as meter:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
    assert meter.use.cpu_seconds >= 0.05
    assert meter.use.cpu_seconds <= meter.use.wall_seconds * (os.cpu_count() or 1) + 0.05


@pytest.mark.skipif(not hasattr(psutil.Process, "io_counters"), reason="not counted here")
@pytest.mark.usefixtures("no_card")
def test_bytes_are_counted_that_the_cache_holds(tmp_path):
    path = tmp_path / "file"
    with MachineMeter() as meter:
        path.write_bytes(bytes(1 << 20))
        path.read_bytes()
    assert meter.use.written_bytes is not None
    assert meter.use.read_bytes is not None
    assert meter.use.written_bytes >= 1 << 20
    assert meter.use.read_bytes >= 1 << 20


@pytest.mark.usefixtures("no_card")
def test_a_system_that_does_not_count_bytes_gives_none(monkeypatch):
    monkeypatch.delattr(psutil.Process, "io_counters", raising=False)
    with MachineMeter() as meter:
        pass
    assert (meter.use.read_bytes, meter.use.written_bytes) == (None, None)


@posix
def test_a_card_s_share_of_time_and_highest_memory_count(program, monkeypatch, tmp_path):
    told = tmp_path / "told"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    program(
        f"print('20, 100', '[N/A], 5', '60, 300', sep='\\n', flush=True)\n"
        f"open({str(told)!r}, 'w').write(sys.argv[2])\ntime.sleep(60)"
    )
    with MachineMeter() as meter:
        until(lambda: told.exists() and told.read_text())
        until(lambda: len(meter._card._shares) == 2)
    assert told.read_text() == "3"
    assert meter.use.gpu_seconds == pytest.approx(0.4 * meter.use.wall_seconds)
    assert meter.use.vram_peak_bytes == 300 << 20


@posix
@pytest.mark.parametrize("script", ["sys.exit(9)", "print('no devices were found')"])
def test_a_card_that_does_not_answer_is_none(program, script):
    program(script)
    with MachineMeter() as meter:
        meter._card._process.wait(10)
    assert (meter.use.gpu_seconds, meter.use.vram_peak_bytes) == (None, None)


@posix
def test_a_failing_stretch_of_work_leaves_nothing_running(program):
    program("print('20, 100', flush=True)\ntime.sleep(60)")
    meter = MachineMeter()
    with pytest.raises(KeyError), meter:
        raise KeyError
    assert meter._card._process.returncode is not None
    assert not meter._sampler.is_alive()


def test_only_files_written_since_count(tmp_path: Path):
    (tmp_path / "old").write_bytes(bytes(5))
    os.utime(tmp_path / "old", (1000, 1000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "new").write_bytes(bytes(7))
    os.utime(tmp_path / "folder" / "new", (3000, 3000))
    assert bytes_written_since(tmp_path, 2000) == 7
