"""Devices played by a provider that every build of ONNX Runtime has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vrmatte.models import devices

Refusal = Callable[[devices.RealDevice], str | None]


def play_device(
    monkeypatch: pytest.MonkeyPatch, device: devices.RealDevice, provider: str, refusal: Refusal
) -> None:
    """Let `provider` compute for `device`; `refusal` says which devices pass the first trial."""
    monkeypatch.setitem(devices.PROVIDER, device, provider)
    for module in ("devices", "runtime"):
        monkeypatch.setattr(f"vrmatte.models.{module}.refusal", refusal)
