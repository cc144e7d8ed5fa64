"""A tiny wheel that holds one network, for tests of what comes out of wheels."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

MEMBER = "tiny_nets/net.tflite"
CONTENT = b"a network"
WHEEL = "tiny_nets-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    """A real wheel, for one platform, that holds one network."""
    info = "tiny_nets-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr(MEMBER, content)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-nets\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\n"
            "Tag: cp311-cp311-manylinux_2_28_x86_64\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


def use_wheels(monkeypatch, folder: Path) -> None:
    """Make pip look into one folder and nowhere else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
