"""Run everything that must hold before a commit besides the tests: `python scripts/check.py`.

Style, types, import directions, sizes of modules, generated pages of the documentation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from _environment import ROOT, VENV, venv_python


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check."""

    name: str
    passed: bool
    seconds: float
    output: str


def run_checks(python: Path) -> list[CheckResult]:
    """Run every check, one after the other, with the tools beside this Python."""
    tools = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "pyright": ["pyright", "--pythonpath", str(python)],
        "lint-imports": ["lint-imports"],
        "sizes": [str(python), "scripts/check_sizes.py"],
        "docs": [str(python), "scripts/make_docs.py", "--check"],
    }
    return [_run_check(name, command, python) for name, command in tools.items()]


def report_checks(results: list[CheckResult]) -> bool:
    """Print every result, and the output of failures; return True if all passed."""
    for result in results:
        word = "passed" if result.passed else "FAILED"
        print(f"{result.name:<14} {word} in {result.seconds:5.1f} s", flush=True)
        if not result.passed:
            print(result.output.rstrip(), flush=True)
    return all(result.passed for result in results)


def _run_check(name: str, command: list[str], python: Path) -> CheckResult:
    began = time.monotonic()
    paths = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(_tool(command[0], python)), *command[1:]],
        cwd=ROOT,
        env={**os.environ, "PATH": paths, "PYTHONPATH": "src", "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return CheckResult(name, done.returncode == 0, time.monotonic() - began, done.stdout)


def _tool(name: str, python: Path) -> Path:
    """Return a program of the environment; a path is returned as it is."""
    return (
        python.with_name(f"{name}{python.suffix}") if not Path(name).is_absolute() else Path(name)
    )


def used_python() -> Path:
    """Return the Python of the active environment, or else of .venv."""
    return venv_python(Path(os.environ.get("VIRTUAL_ENV") or VENV))


if __name__ == "__main__":
    sys.exit(0 if report_checks(run_checks(used_python())) else 1)
