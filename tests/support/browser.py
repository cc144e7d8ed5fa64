"""A headless Chromium for tests that look at pages; they are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.paths import REPOSITORY

_OWN = REPOSITORY / ".venv" / "browser"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TIMEOUT_MS = 60_000
"""Of one step; generous, for machines that do much else."""


def _program() -> tuple[str, dict[str, str]]:
    """The browser, and the environment it needs."""
    if (_OWN / "chromium").is_file():
        libraries = f"{_OWN / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        fonts = str(_OWN / "fonts.conf")
        return str(_OWN / "chromium"), {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": fonts}
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return found, {}
    pytest.skip("needs a browser: run scripts/browser.py, or install chromium")


@dataclass
class Seen:
    """What a page did while it was looked at."""

    page: Any
    """Of playwright."""
    complaints: list[str] = field(default_factory=list)
    """Errors and console lines."""
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, but data in the page and the page itself."""


@contextmanager
def opened(path: Path, width: int, height: int = 800, scheme: str = "light") -> Iterator[Seen]:
    """A page of this file in a window of this size."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program, environment = _program()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu"],
            env={**os.environ, **environment},
            timeout=_TIMEOUT_MS,
        )
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.set_default_timeout(_TIMEOUT_MS)
            seen = Seen(page)
            page.on("console", lambda message: seen.complaints.append(message.text))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.on("request", lambda request: seen.requests.append(request.url))
            page.goto(path.as_uri())
            seen.requests[:] = [
                address
                for address in seen.requests
                if not address.startswith("data:") and address != path.as_uri()
            ]
            yield seen
        finally:
            browser.close()
