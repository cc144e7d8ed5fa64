"""Install what is needed, then run all checks and tests: `python scripts/test.py [OPTION ...]`.

Options are those of pytest; without any, tests marked slow are left out and the others run on all
cores. `--no-install` as the first option uses the active environment as it is. Checks (style,
types, imports, sizes, documentation) run beside the tests and are reported after them.

Exit codes: those of pytest; 1 also where a check fails.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from _environment import run_python, venv_python
from check import report_checks, run_checks, used_python
from setup import set_up_for_tests

DEFAULT_OPTIONS = ("-n", "auto", "--dist", "worksteal", "-m", "not slow")
NO_TESTS_COLLECTED = 5
"""pytest's exit code where options select no test."""


def main(options: list[str]) -> int:
    """Set up, check and test; return the exit code."""
    began = time.monotonic()
    python = venv_python()
    if options[:1] == ["--no-install"]:
        options, python = options[1:], used_python()
    else:
        set_up_for_tests()
        _say(began, "installed")
    with ThreadPoolExecutor(max_workers=1) as pool:
        checks = pool.submit(run_checks, python)
        pytest_code = run_python("-m", "pytest", *(options or DEFAULT_OPTIONS), python=python)
        _say(began, f"tests ended with exit code {pytest_code}")
        results = checks.result()
    passed = report_checks(results)
    _say(began, "checks ended")
    if pytest_code == NO_TESTS_COLLECTED:
        print("No test matches these options.", flush=True)
    return pytest_code or (0 if passed else 1)


def _say(began: float, text: str) -> None:
    print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
