"""Make .venv and install vrmatte into it: `python scripts/setup.py [--dev] [EXTRA ...]`.

VRMATTE_EXTRA names the build of ONNX Runtime: cpu (default), cuda, ... (see pyproject.toml).
"""

from __future__ import annotations

import argparse

from _environment import TORCH, set_up


def main() -> None:
    """Install what the options name."""
    parser = argparse.ArgumentParser(description="Make .venv and install vrmatte into it.")
    parser.add_argument("--dev", action="store_true", help="with the tools for checks and tests")
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="further extras: sam2, detr ...")
    options = parser.parse_args()
    if options.dev:
        set_up_for_tests(options.extras)
    else:
        set_up(options.extras)


def set_up_for_tests(extras: list[str] | None = None) -> None:
    """Install vrmatte with all that checks and tests use."""
    set_up(["dev", "sam2", *(extras or [])], [TORCH])
    from browser import install_browser

    install_browser()


if __name__ == "__main__":
    main()
