"""The virtual environment of this repository: made, filled, and used by the other scripts.

Standard library only, and the same on Windows, macOS and Linux.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
TORCH = "torch==2.13.0"
"""For the tests of masks. Pinned, so that tests don't change with a new release; indexes that have
a build for processors alone give that one."""


def venv_python(folder: Path = VENV) -> Path:
    """Return the path of an environment's Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def runtime_extra() -> str:
    """Return the extra that holds ONNX Runtime: `cpu`, unless VRMATTE_EXTRA names another."""
    return os.environ.get("VRMATTE_EXTRA") or "cpu"


def set_up(extras: Sequence[str] = (), packages: Sequence[str] = ()) -> None:
    """Make .venv with vrmatte, ONNX Runtime and more; end the script where that fails.

    Args:
        extras: of vrmatte, besides the one with ONNX Runtime.
        packages: further requirements.
    """
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"vrmatte needs Python 3.11 or newer, this is {sys.version.split()[0]}. Install one "
            "from https://www.python.org/downloads/ and run this script with it"
        )
    if not venv_python().exists():
        _make_venv()
    target = f"{ROOT}[{','.join((runtime_extra(), *extras))}]"
    command = [str(venv_python()), "-m", "pip", "install", "--quiet", "--editable", target]
    if subprocess.run([*command, *packages], check=False).returncode:
        sys.exit(
            "vrmatte could not be installed; pip's message above says why. Without access to the "
            "internet, set PIP_FIND_LINKS to a folder of wheels; if .venv is broken, delete it"
        )


def _make_venv() -> None:
    try:
        venv.create(VENV, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"{VENV} could not be made ({error}). On Debian and Ubuntu, install python3-venv; then "
            "delete .venv and run this script again"
        )


def run_python(*arguments: str, python: Path | None = None) -> int:
    """Run the environment's Python in the root of the repository; return its exit code."""
    command = [str(python or venv_python()), *arguments]
    try:
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except KeyboardInterrupt:  # the child got it too, and has ended
        return 130
