"""Kill runs at random moments and compare what comes out: `python scripts/soak.py [--kills N] ...`.

Options: --kills N, --seed N, --engine rvm. Linux and macOS only. Where the system allows it, runs
get a mount namespace of their own, so that disks can be made full.
"""

from __future__ import annotations

import os
import subprocess
import sys

from _environment import ROOT
from check import used_python


def main(options: list[str]) -> int:
    """Run the soak test; return its exit code."""
    if os.name == "nt":
        sys.exit("the soak test needs signals and limits of file sizes: run it on Linux or macOS")
    namespace = ["unshare", "-Urm"]
    try:
        subprocess.run([*namespace, "true"], stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        namespace = []
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("src", "tests"))
    command = [*namespace, str(used_python()), "-m", "support.soak", *options]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
