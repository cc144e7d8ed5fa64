"""Faults at exact places of a run: something happens before or after a call of a real function."""

from __future__ import annotations

import os
import pkgutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


def around(
    patch: pytest.MonkeyPatch,
    function: str,
    before: Callable[..., object] | None = None,
    after: Callable[..., object] | None = None,
) -> None:
    """Call `before` and `after` with the arguments of every call of a function, which still runs.

    Args:
        patch: undoes it.
        function: dotted name, e.g. "vrmatte.jobs.manifest.Manifest.commit_chunk".
        before: may raise, sleep or hang.
        after: called with the result, then the arguments, once the function has returned.
    """
    real: Callable[..., Any] = pkgutil.resolve_name(function)

    def watched(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(*args, **kwargs)
        result = real(*args, **kwargs)
        if after is not None:
            after(result, *args, **kwargs)
        return result

    patch.setattr(function, watched)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Fault:
    """Something that happens at one call of a function; travels to the process of a run."""

    function: str
    call: int
    """Number of the call, from 1."""
    happens: Callable[[], object] = _kill
    after: bool = False
    """When the call has returned, instead of before it begins."""

    def __call__(self) -> None:
        """Arm it, for the rest of the process."""
        calls = 0

        def count(*_: Any, **__: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == self.call:
                self.happens()

        patch = pytest.MonkeyPatch()
        around(patch, self.function, **{"after" if self.after else "before": count})
