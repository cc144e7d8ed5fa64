"""OpenEXR files with half floats and ZIP compression; the header describes colours and alpha.

FFmpeg's encoder needs a whole image in single precision (300 MB at 6144x3072) and can't write
chromaticities or comments; the format is simple enough to be written here.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vrmatte.colorimetry import known_code
from vrmatte.frames import ColorTags

_MAGIC_AND_VERSION = struct.pack("<II", 20000630, 2)
_ROWS_PER_BLOCK = 16
_BLOCKS_AT_ONCE = 16
_ZIP = 3
_HALF = 1
_CHANNELS = (
    b"".join(b"%c\0" % name + struct.pack("<iB3xii", _HALF, 0, 1, 1) for name in b"ABGR") + b"\0"
)
"""In alphabetical order, as the format requires."""
_LEVEL = 4
"""OpenEXR's default: half the time of zlib's default, for 2 % larger files."""
_PQ = 16
_WHITE_NITS = 203.0
_D65 = (0.3127, 0.3290)
_CHROMATICITIES: dict[int, tuple[float, ...]] = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080, 0.310, 0.316),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}
"""x and y of red, green, blue and white by H.273 code."""

_STRAIGHT_COMMENT = (
    "R, G and B are straight (not multiplied by A); multiply them by A where a program "
    "expects associated alpha. 1.0 is diffuse white."
)


def write_exr(
    file: BinaryIO,
    size: tuple[int, int],
    color: ColorTags,
    seconds: str,
    paint: Callable[[int, int], npt.NDArray[np.float16]],
) -> None:
    """Write one image; several threads render and compress blocks in parallel.

    Args:
        file: seekable.
        size: width and height.
        color: tags of the video; unspecified primaries are written as BT.709.
        seconds: presentation time, as text.
        paint: renders rows first..last-1 as RGBA, shape (rows, W, 4), linear light.
    """
    height = size[1]
    file.write(_header(size, color, seconds))
    starts = range(0, height, _ROWS_PER_BLOCK)
    table = file.tell()
    file.write(bytes(8 * len(starts)))
    offsets: list[int] = []

    def block(first: int) -> bytes:
        content = _packed(paint(first, min(first + _ROWS_PER_BLOCK, height)))
        return struct.pack("<iI", first, len(content)) + content

    with ThreadPoolExecutor(min(_BLOCKS_AT_ONCE, os.cpu_count() or 1)) as threads:
        for at in range(0, len(starts), _BLOCKS_AT_ONCE):
            for content in threads.map(block, starts[at : at + _BLOCKS_AT_ONCE]):
                offsets.append(file.tell())
                file.write(content)
    file.seek(table)
    file.write(struct.pack(f"<{len(offsets)}Q", *offsets))


def read_exr(content: bytes) -> npt.NDArray[np.float16]:
    """Decode a file that `write_exr` wrote, with a check of every block; shape (H, W, 4).

    FFmpeg isn't used, since it decodes damaged or missing blocks as black.

    Raises:
        ValueError: the content is damaged or of another kind.
    """
    try:
        attributes, table = _read_header(content)
        if attributes["channels"] != _CHANNELS or attributes["compression"] != bytes([_ZIP]):
            raise ValueError("channels or compression differ")
        _, _, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
        picture = np.empty((bottom + 1, right + 1, 4), np.float16)
        starts = range(0, bottom + 1, _ROWS_PER_BLOCK)
        end = table + 8 * len(starts)
        offsets = struct.unpack_from(f"<{len(starts)}Q", content, table)
        for first, offset in zip(starts, offsets, strict=True):
            row, length = struct.unpack_from("<iI", content, offset)
            if (row, offset) != (first, end):
                raise ValueError(f"the block of row {first} is misplaced")
            end = offset + 8 + length
            _unpack(content[offset + 8 : end], picture[first : first + _ROWS_PER_BLOCK])
    except (struct.error, zlib.error, KeyError, ValueError) as error:
        raise ValueError(f"damaged ({error})") from error
    if end != len(content):
        raise ValueError(f"{len(content)} bytes long instead of {end}")
    return picture


def _packed(rows: npt.NDArray[np.float16]) -> bytes:
    """Compress a block: by row and channel, low bytes before high bytes, as differences."""
    by_channel = rows[..., ::-1].transpose(0, 2, 1)  # as in _CHANNELS
    plain = np.ascontiguousarray(by_channel, "<f2").view(np.uint8).reshape(-1)
    halves = np.concatenate([plain[::2], plain[1::2]])
    halves[1:] -= halves[:-1] - np.uint8(128)
    small = zlib.compress(halves.tobytes(), _LEVEL)
    return small if len(small) < plain.size else plain.tobytes()


def _unpack(block: bytes, rows: npt.NDArray[np.float16]) -> None:
    """Decompress a block of `_packed` into `rows`."""
    if len(block) < rows.nbytes:
        halves = np.frombuffer(zlib.decompress(block), np.uint8).copy()
        halves[1:] -= np.uint8(128)
        halves = np.cumsum(halves, dtype=np.uint8).reshape(2, -1)
        block = halves.T.tobytes()
    by_channel = np.frombuffer(block, "<f2").reshape(rows.shape[0], 4, rows.shape[1])
    rows[:] = by_channel.transpose(0, 2, 1)[..., ::-1]


def _read_header(content: bytes) -> tuple[dict[str, bytes], int]:
    """Return the attributes by name, and the offset of the block table."""
    if not content.startswith(_MAGIC_AND_VERSION):
        raise ValueError("not an OpenEXR file")
    attributes: dict[str, bytes] = {}
    at = len(_MAGIC_AND_VERSION)
    while content[at : at + 1] != b"\0":
        after_name = content.index(b"\0", at)
        after_kind = content.index(b"\0", after_name + 1)
        (length,) = struct.unpack_from("<I", content, after_kind + 1)
        start = after_kind + 5
        attributes[content[at:after_name].decode()] = content[start : start + length]
        at = start + length
    return attributes, at + 1


def _header(size: tuple[int, int], color: ColorTags, seconds: str) -> bytes:
    window = struct.pack("<4i", 0, 0, size[0] - 1, size[1] - 1)
    attributes: list[tuple[str, str, bytes]] = [
        ("channels", "chlist", _CHANNELS),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        ("comments", "string", _STRAIGHT_COMMENT.encode()),
        ("presentationSeconds", "string", seconds.encode()),
    ]
    primaries = known_code(color.primaries)
    if primaries in _CHROMATICITIES:
        chromaticities = struct.pack("<8f", *_CHROMATICITIES[primaries])
        attributes.append(("chromaticities", "chromaticities", chromaticities))
    if color.transfer == _PQ:
        attributes.append(("whiteLuminance", "float", struct.pack("<f", _WHITE_NITS)))
    packed = b"".join(
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(value)) + value
        for name, kind, value in attributes
    )
    return _MAGIC_AND_VERSION + packed + b"\0"
