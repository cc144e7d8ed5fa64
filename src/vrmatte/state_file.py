"""Engine states on disk, between chunks."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vrmatte.errors import ChunkError, output_error
from vrmatte.files import ChunkFile, commit_file
from vrmatte.view_memory import State

_BROKEN_STATE = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,  # with NotImplementedError: an encrypted or unknown kind of archive
    zipfile.BadZipFile,
    tokenize.TokenError,  # NumPy takes headers apart like this, if all else fails
    TypeError,
    RecursionError,
    MemoryError,
    zlib.error,
    struct.error,
)


def save_state(state: State, path: Path) -> ChunkFile:
    """Commit an engine's state as plain arrays (never pickled objects)."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise output_error(error, path) from error
    return commit_file(part, path, 0)


def load_state(path: Path) -> dict[str, np.ndarray]:
    """Read an engine's state.

    Nothing is allocated beyond the file's own size, whatever its headers claim.

    Raises:
        ChunkError: it is damaged, or not as `save_state` writes it.
    """
    try:
        with zipfile.ZipFile(path) as stored:
            members = stored.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is packed")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise ValueError("it claims more than it holds")
            return {
                member.filename.removesuffix(".npy"): _stored_array(stored.read(member))
                for member in members
            }
    except _BROKEN_STATE as error:
        raise ChunkError(
            f"{path}: this state of the matting can't be used ({str(error)[:200]}). Delete it and "
            "run the same command again"
        ) from error


def _stored_array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is of another version")
    shape, is_transposed, dtype = np.lib.format.read_array_header_1_0(file)
    data = memoryview(content)[file.tell() :]
    if dtype.kind not in "bfiu" or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array differs from its header")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if is_transposed else "C").copy()
