from __future__ import annotations

import subprocess
import sys

import pytest

THREADS = 24
PROGRAM = f"""
import ctypes, re, sys, threading
from vrmatte.platform_support import limit_malloc_arenas

if sys.argv[1] == "few":
    limit_malloc_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
everybody = threading.Barrier({THREADS})

def work():
    libc.malloc(1 << 12)
    everybody.wait()

threads = [threading.Thread(target=work) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""


def heaps(how: str) -> int:
    """How many heaps a process has after many threads have run in it at the same time."""
    command = [sys.executable, "-c", PROGRAM, how]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return told.count("Arena ")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit of glibc")
def test_threads_share_two_heaps():
    if heaps("many") <= 2:
        pytest.skip("this C library has few heaps by itself")
    assert heaps("few") <= 2
