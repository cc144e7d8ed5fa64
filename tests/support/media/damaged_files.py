"""Damages done to small video files, each as something in the world does it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import av


def flip_bits(path: Path, numbers: Sequence[int]) -> None:
    """Flip bits in stored packets, as a failing memory card does; the same ones every time."""
    data = bytearray(path.read_bytes())
    dice = random.Random(1)
    for at, size in _places(path, numbers):
        for _ in range(max(3, size // 40)):
            data[at + 5 + dice.randrange(max(size - 5, 1))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def break_heads(path: Path, numbers: Sequence[int]) -> None:
    """Overwrite the starts of stored packets, so that nothing of them can be decoded."""
    data = bytearray(path.read_bytes())
    for at, _ in _places(path, numbers):
        data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)


def lose_packets(source: Path, target: Path, numbers: Sequence[int]) -> None:
    """Remux without some of the video's packets."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(read.demux(video=0)):
            if packet.dts is not None and number not in numbers:
                packet.stream = stream
                write.mux(packet)


def claim(path: Path, box: bytes, offset: int, value: bytes) -> None:
    """Overwrite bytes of the first box of a kind, counted from the end of its header."""
    data = bytearray(path.read_bytes())
    at = data.index(box) + 4 + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)


def _places(path: Path, numbers: Sequence[int]) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [(packets[n].pos or 0, packets[n].size) for n in numbers]
