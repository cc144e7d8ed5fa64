"""How much memory an NVIDIA card has left, by its driver's own tool."""

from __future__ import annotations

import shutil
import subprocess

_PATIENCE_SECONDS = 10
_MIB = 1 << 20


def free_gpu_bytes() -> int | None:
    """Free memory of the first NVIDIA card, which is the one networks run on; None: not known."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            query, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        ).stdout
        return int(said.splitlines()[0]) * _MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
