"""Install vrmatte and run a whole job on a generated clip: `python scripts/demo.py [OPTION ...]`.

Options are those of `vrmatte demo`.
"""

from __future__ import annotations

import sys

from _environment import run_python, set_up

if __name__ == "__main__":
    set_up()
    sys.exit(run_python("-m", "vrmatte", "demo", *sys.argv[1:]))
