"""Gives memory back to the system that a finished chunk no longer needs."""

from __future__ import annotations

import contextlib
import ctypes


def give_back_freed() -> None:
    """Ask the C library for what it keeps of freed memory, where it can be asked (glibc).

    Each chunk opens threads of its own, and glibc keeps what they freed in as many heaps.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
