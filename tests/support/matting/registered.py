"""Network files that count as registered for one test."""

from __future__ import annotations

import pytest

from vrmatte.models import registry
from vrmatte.models.registry import WeightsFile


def register(monkeypatch: pytest.MonkeyPatch, *files: WeightsFile) -> None:
    """Let these files take the place of those of the same names in the registry."""
    names = {file.name for file in files}
    others = (file for file in registry.WEIGHTS if file.name not in names)
    monkeypatch.setattr(registry, "WEIGHTS", (*files, *others))
