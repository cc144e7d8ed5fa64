from __future__ import annotations

import pytest

from vrmatte.profiling.machine_use import free_gpu_bytes


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A driver's tool that says and returns what it is told to."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def install(script: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)

    return install


def test_free_memory_of_the_first_card(driver):
    driver('[ "$1" = --query-gpu=memory.free ] && printf "9876\\n1234\\n"')
    assert free_gpu_bytes() == 9876 << 20


@pytest.mark.parametrize("script", ["exit 9", "echo no devices", "true"])
def test_a_driver_that_does_not_say(driver, script):
    driver(script)
    assert free_gpu_bytes() is None


def test_no_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_gpu_bytes() is None
