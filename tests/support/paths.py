"""Where the checkout's folders are."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"
"""Goes into PYTHONPATH of processes that import `support`."""
SUPPORT = TESTS / "support"
SOURCES = REPOSITORY / "src"
