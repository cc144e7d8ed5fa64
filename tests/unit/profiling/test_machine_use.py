from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pynvml
import pytest

from vrmatte.profiling.machine_use import MachineMeter, bytes_written_since, free_gpu_bytes

NOT_FOUND, NOT_SUPPORTED = 6, 3  # NVML's own numbers


class Driver:
    """A driver's library as NVML's Python binding calls it: cards in slots 0 and 3."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.free_bytes = 9876 << 20
        self.samples = [(20, 100 << 20), (60, 300 << 20)]
        self.supported = True
        self.open = 0

    def nvmlInitWithFlags(self, _flags):
        self.open += 1
        return 0

    def nvmlShutdown(self):
        self.open -= 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, _device):
        self.slots.append(index.value)
        return 0 if index.value in (0, 3) else NOT_FOUND

    def nvmlDeviceGetHandleByUUID(self, name, _device):
        return 0 if name.value == b"GPU-1234" else NOT_FOUND

    def nvmlDeviceGetMemoryInfo(self, _device, memory):
        memory._obj.free = self.free_bytes
        memory._obj.used = self.samples[0][1]
        return 0 if self.supported else NOT_SUPPORTED

    def nvmlDeviceGetUtilizationRates(self, _device, rates):
        rates._obj.gpu = self.samples[0][0]
        return 0 if self.supported else NOT_SUPPORTED


@pytest.fixture
def driver(monkeypatch):
    """Lets NVML's binding find a driver on machines without one."""
    driver = Driver()
    monkeypatch.setattr(pynvml, "nvmlLib", driver)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return driver


def until(condition, seconds=10.0):
    """Wait for another process; a generous limit, reached only when it never comes."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


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


@pytest.mark.parametrize(("visible", "slot"), [(None, 0), ("3,1", 3), ("0", 0)])
def test_free_memory_is_that_of_the_first_visible_card(driver, monkeypatch, visible, slot):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert free_gpu_bytes() == 9876 << 20
    assert driver.slots == [slot]
    assert driver.open == 0


def test_a_card_is_found_by_its_name(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1234")
    assert free_gpu_bytes() == 9876 << 20


@pytest.mark.parametrize("visible", ["7", "-1", "GPU-none"])
def test_a_card_that_is_not_there_has_no_figures(driver, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert free_gpu_bytes() is None
    assert driver.open == 0


def test_a_card_that_reports_nothing_has_no_figures(driver):
    driver.supported = False
    assert free_gpu_bytes() is None
    with MachineMeter() as meter:
        pass
    assert (meter.use.gpu_seconds, meter.use.vram_peak_bytes) == (None, None)


@pytest.mark.parametrize("missing", ["driver", "binding"])
def test_without_a_driver_or_its_binding_there_are_no_figures(monkeypatch, missing):
    if missing == "binding":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    elif Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver")
    assert free_gpu_bytes() is None
    with MachineMeter() as meter:
        pass
    assert (meter.use.gpu_seconds, meter.use.vram_peak_bytes) == (None, None)


def test_the_busy_share_is_a_mean_and_the_memory_a_peak(driver):
    with MachineMeter() as meter:
        assert meter._busy_shares == [0.2]
        driver.samples = driver.samples[1:]
        until(lambda: len(meter._busy_shares) > 1)
    shares = meter._busy_shares
    assert set(shares[1:]) == {0.6}
    mean = sum(shares) / len(shares)
    assert meter.use.gpu_seconds == pytest.approx(mean * meter.use.wall_seconds)
    assert meter.use.vram_peak_bytes == 300 << 20
    assert driver.open == 0


def test_failing_work_leaves_nothing_running(driver):
    meter = MachineMeter()
    with pytest.raises(KeyError), meter:
        raise KeyError
    assert driver.open == 0
    assert not meter._watcher.is_alive()


def test_only_files_written_since_count(tmp_path: Path):
    (tmp_path / "old").write_bytes(bytes(5))
    os.utime(tmp_path / "old", (1000, 1000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "new").write_bytes(bytes(7))
    os.utime(tmp_path / "folder" / "new", (3000, 3000))
    assert bytes_written_since(tmp_path, 2000) == 7
