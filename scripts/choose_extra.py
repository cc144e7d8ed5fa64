"""Print the extra with the ONNX Runtime for this machine: cuda, cuda12 or cpu.

The choice follows NVIDIA's driver as nvidia-smi reports it. VRMATTE_EXTRA overrides it. Used by
install.bat and install.sh.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Collection
from pathlib import Path

CUDA_13_DRIVER, CUDA_12_DRIVER = 580, 570
"""Oldest drivers for the libraries of CUDA 13, and for those of CUDA 12.8 and NVENC in PyAV 18."""
CUDA_13_CAPABILITY, CUDA_12_CAPABILITY = 7.5, 6.1
"""CUDA 13 has no kernels for cards before Turing (RTX 20xx, GTX 16xx), CUDA 12 none before Pascal
(GTX 10xx)."""
_QUERY = ("nvidia-smi", "--query-gpu=driver_version,compute_cap", "--format=csv,noheader")


def choose_extra(rows: str, extras: Collection[str]) -> str:
    """Return the best extra for the cards that nvidia-smi lists.

    Args:
        rows: "driver version, compute capability" of each card; empty without a card.
        extras: that this version of vrmatte has.
    """
    fitting = {"cpu"}
    for row in rows.splitlines():
        try:
            driver, capability = (float(".".join(x.split(".")[:2])) for x in row.split(","))
        except ValueError:  # an error message, or a driver too old for the question
            continue
        if driver >= CUDA_13_DRIVER and capability >= CUDA_13_CAPABILITY:
            fitting.add("cuda")
        if driver >= CUDA_12_DRIVER and capability >= CUDA_12_CAPABILITY:
            fitting.add("cuda12")
    return next(extra for extra in ("cuda", "cuda12", "cpu") if extra in fitting & set(extras))


def _ask_nvidia_smi() -> str:
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _extras() -> Collection[str]:
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]


if __name__ == "__main__":
    print(os.environ.get("VRMATTE_EXTRA") or choose_extra(_ask_nvidia_smi(), _extras()))
