"""Where tests find network weights and ground-truth clips, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if os.name == "nt":
    # These fork, send signals or limit resources; test_any_system.py does on Windows what it can.
    collect_ignore = [
        "end_to_end/test_cli.py",
        "reliability/test_bad_input.py",
        "reliability/test_clean.py",
        "reliability/test_faults.py",
        "reliability/test_fuzz.py",
        "reliability/test_memory.py",
        "reliability/test_poison.py",
        "reliability/test_resume.py",
        "reliability/test_security.py",
        "reliability/test_soak.py",
        "reliability/test_stall.py",
        "reliability/test_stopping.py",
    ]

_SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture
def models_dir(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of network weights, also set as VRMATTE_MODELS_DIR."""
    folder = Path(os.environ.get("VRMATTE_MODELS_DIR") or _SHARED / "models")
    if not folder.is_dir():
        pytest.skip("needs network weights: set VRMATTE_MODELS_DIR to a folder that has them")
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(folder))
    return folder


@pytest.fixture(params=("rvm_mobilenetv3_fp32.onnx", "rvm_release_graph.onnx"))
def rvm_weights(request: pytest.FixtureRequest, models_dir: Path) -> bytes:
    """RVM's graph with a guided filter at its end, and with a learned refiner."""
    path = models_dir / request.param
    if not path.is_file():
        pytest.skip(f"needs {path.name}")
    return path.read_bytes()


@pytest.fixture
def bench_dir() -> Path:
    """A folder of ground-truth clips: NAME.mp4 with NAME.alpha.mkv."""
    folder = Path(os.environ.get("VRMATTE_BENCH_DIR") or _SHARED / "bench" / "dev")
    if not folder.is_dir():
        pytest.skip("needs ground-truth clips: set VRMATTE_BENCH_DIR to a folder that has them")
    return folder
