from __future__ import annotations

from types import SimpleNamespace

import pytest

from vrmatte.config import Config
from vrmatte.errors import ConfigError
from vrmatte.jobs import memory


def plan(width: int, height: int, limit: float | None = None) -> SimpleNamespace:
    config = Config.model_validate({"processing": {"max_memory_gb": limit}})
    return SimpleNamespace(config=config, source=SimpleNamespace(width=width, height=height))


def test_six_k_is_planned_within_three_gigabytes():
    assert 2e9 < memory.needed_bytes(plan(6144, 3072)) < 3e9


def test_a_limit_below_the_need_is_refused_with_both_numbers():
    with pytest.raises(ConfigError, match=r"max_memory_gb=1: 6144x3072 needs about 2\.6 GB"):
        memory.check_memory(plan(6144, 3072, 1))
    memory.check_memory(plan(6144, 3072, 40))


def test_little_free_memory_is_a_warning(monkeypatch):
    def available(amount: float) -> None:
        monkeypatch.setattr(
            memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=amount)
        )

    available(1e9)
    assert "only 1.0 GB" in (memory.check_memory(plan(6144, 3072)) or "")
    available(8e9)
    assert memory.check_memory(plan(6144, 3072)) is None
