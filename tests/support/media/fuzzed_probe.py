"""Probes damaged copies of a video, one after the other, in a process that may be lost.

Run as `python fuzzed_probe.py CLIP FOLDER SEED COUNT`; the caller bounds its memory and time. The
last line written tells the case at work, so that a crash of the interpreter can be made again.
"""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

from vrmatte.errors import VrmatteError
from vrmatte.media.probe import probe

SECONDS_PER_CASE = 30
_HEADER_BYTES = 4096


def damaged(content: bytes, seed: int) -> bytes:
    """A copy with a few bytes changed, cut out or put in; half of the time near begin or end."""
    choose = random.Random(seed)
    result = bytearray(content)
    for _ in range(choose.choice((1, 1, 2, 4, 16))):
        near = min(_HEADER_BYTES, len(result))
        at = choose.choice(
            (
                choose.randrange(len(result)),
                choose.randrange(near),
                len(result) - 1 - choose.randrange(near),
            )
        )
        kind = choose.randrange(5)
        if kind == 0:
            result[at] ^= 1 << choose.randrange(8)
        elif kind == 1:
            result[at : at + 4] = choose.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
        elif kind == 2:
            result[at : at + choose.randrange(1, 64)] = choose.randbytes(choose.randrange(32))
        elif kind == 3:
            start = choose.randrange(len(result))
            result[at:at] = result[start : start + choose.randrange(256)]
        else:
            result[at] = choose.randrange(256)
    if choose.random() < 0.1:
        del result[choose.randrange(1, len(result)) :]
    return bytes(result)


def main() -> None:
    clip, folder, seed, count = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
    content = clip.read_bytes()
    path = folder / f"case_LR_180{clip.suffix}"
    read = 0
    for case in range(seed, seed + count):
        print("case", case, flush=True)
        path.write_bytes(damaged(content, case))
        signal.alarm(SECONDS_PER_CASE)  # its default action ends the process
        try:
            probe(path)
            read += 1
        except VrmatteError:
            pass
    print("done", read, flush=True)


if __name__ == "__main__":
    main()
