"""Spherical video boxes of MP4 and MOV files: st3d and sv3d read, and boxes put into their place.

FFmpeg reads these boxes but drops them on re-encoding, and does not tell a camera's mesh projection
from an equirectangular one. Layout of the boxes: Google's "Spherical Video V2" description.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from vrmatte.errors import InputError, OutputError, output_error
from vrmatte.platform_support import remove_file, replace_file

StereoLayout = Literal["side_by_side", "mono"]
"""Both eyes in one frame, left one first; or one picture, shown to both eyes."""

WRITTEN_KINDS = frozenset({b"st3d", b"sv3d", b"vexu", b"hfov"})
"""What stands in a sample entry after writing; older boxes of these kinds must go."""

_VERSION = bytes(4)

_GOOGLE_STEREO = {"mono": 0, "side_by_side": 2}

_QUARTER = 0x40000000
"""A quarter of the sphere's width as a 0.32 fixed-point number."""

_BOTH_EYES = 0b11

_FIELD_OF_VIEW_MILLIDEG = 180_000


def google_boxes(stereo: StereoLayout) -> bytes:
    """Boxes st3d and sv3d: half of the sphere, left and right quarters cut away."""
    st3d = _box(b"st3d", _VERSION, bytes([_GOOGLE_STEREO[stereo]]))
    source = _box(b"svhd", _VERSION, b"vrmatte\0")
    pose = _box(b"prhd", _VERSION, bytes(12))
    equi = _box(b"equi", _VERSION, struct.pack(">4I", 0, 0, _QUARTER, _QUARTER))
    return st3d + _box(b"sv3d", source, _box(b"proj", pose, equi))


def apple_boxes(stereo: StereoLayout) -> bytes:
    """Boxes vexu and hfov; a mono picture has none about eyes and packing.

    They must stand behind Google's: FFmpeg refuses a file whose st3d follows a vexu.
    """
    projection = _box(b"proj", _box(b"prji", _VERSION, b"hequ"))
    views = b""
    if stereo == "side_by_side":
        eyes = _box(b"eyes", _box(b"stri", _VERSION, bytes([_BOTH_EYES])))
        views = eyes + _box(b"pack", _box(b"pkin", _VERSION, b"side"))
    field_of_view = _box(b"hfov", struct.pack(">I", _FIELD_OF_VIEW_MILLIDEG))
    return _box(b"vexu", projection, views) + field_of_view


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


SphericalProjection = Literal["equi", "mshp", "cbmp"]

_MOST_BOXES = 100_000
"""Siblings looked at before a file is taken for a hostile one."""
_VISUAL_ENTRY_BYTES = 78
"""Fixed part of a video sample entry, between its header and its child boxes."""
_LARGEST_INDEX_BYTES = 1 << 30
_COPY_BLOCK_BYTES = 1 << 20
_WHOLE = float(1 << 32)


@dataclass(frozen=True, slots=True)
class SphericalBoxes:
    """What a video track says about its place on the sphere."""

    stereo_mode: int | None
    """0 mono, 1 top-bottom, 2 left-right, 3 custom (in the mesh), 4 right-left; none: no st3d."""
    projection: SphericalProjection | None
    """Which projection box stands in sv3d, if any."""
    bounds: tuple[float, float, float, float] | None = None
    """Parts of the sphere cut away at top, bottom, left, right, 0..1; only for "equi"."""
    pose_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch and roll of the picture."""

    @property
    def is_half_equirect(self) -> bool:
        """True where the picture spans 180 of 360 degrees across (within 1 %)."""
        if self.projection != "equi" or self.bounds is None:
            return False
        return abs(self.bounds[2] + self.bounds[3] - 0.5) < 0.01


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    body: int
    end: int


def read_boxes(path: Path) -> SphericalBoxes | None:
    """Spherical boxes of the first video track that has some; none for other containers.

    Nothing is allocated by sizes found in the file, and broken structures read as absent.

    Raises:
        InputError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            whole = _Box(b"file", 0, 0, file.seek(0, os.SEEK_END))
            moov = _child(file, whole, b"moov")
            for _, entry in _video_entries(file, moov) if moov else ():
                found = _read_entry(file, entry)
                if found is not None:
                    return found
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error
    return None


def inject_boxes(path: Path, stereo: StereoLayout = "side_by_side", *, apple: bool = False) -> None:
    """Mark an MP4 or MOV file in place as half-equirectangular, 180 degrees each way.

    Existing boxes of these kinds are replaced. A file whose index comes last is edited at its end;
    one whose index comes first is written anew beside it and then takes its place.

    Args:
        path: the file, finished and not fragmented; all its video tracks are marked.
        stereo: "mono" for a file that holds one eye.
        apple: also write Apple's boxes, behind Google's.

    Raises:
        OutputError: not such a file, fragmented, or it can't be written.
        DiskFullError: no space left.
    """
    boxes = google_boxes(stereo) + (apple_boxes(stereo) if apple else b"")
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            whole = list(_children(file, 0, size))
            moov = _index_of(path, whole)
            file.seek(moov.start)
            old = file.read(moov.end - moov.start)
        new = _with_boxes(path, old, boxes)
        if any(box.kind == b"mdat" and box.start > moov.start for box in whole):
            growth = len(new) - len(old)
            _shift_offsets(path, new, after=moov.start, by=growth)
            _replace_middle(path, moov, bytes(new))
        else:
            _rewrite_from(path, moov, bytes(new))
    except OSError as error:
        raise output_error(error, path) from error


# --- reading -------------------------------------------------------------------------------------


def _children(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Boxes between two offsets; stops at the first that does not fit."""
    position = start
    for _ in range(_MOST_BOXES):
        if position + 8 > end:
            return
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        size, body = int.from_bytes(header[:4]), position + 8
        if size == 1:
            size, body = int.from_bytes(header[8:16]), position + 16
        elif size == 0 and start == 0:
            size = end - position  # the last box of a file may leave its size open
        if size < body - position or size > end - position:
            return
        yield _Box(header[4:8], position, body, position + size)
        position += size


def _child(file: BinaryIO, parent: _Box, kind: bytes) -> _Box | None:
    boxes = _children(file, parent.body, parent.end)
    return next((box for box in boxes if box.kind == kind), None)


def _descend(file: BinaryIO, box: _Box, *kinds: bytes) -> _Box | None:
    found: _Box | None = box
    for kind in kinds:
        if found is None:
            return None
        found = _child(file, found, kind)
    return found


def _read_at(file: BinaryIO, box: _Box, offset: int, count: int) -> bytes:
    """`count` bytes of a box's body, or nothing where it is too short."""
    if box.body + offset + count > box.end:
        return b""
    file.seek(box.body + offset)
    data = file.read(count)
    return data if len(data) == count else b""


def _is_video(file: BinaryIO, trak: _Box) -> bool:
    handler = _descend(file, trak, b"mdia", b"hdlr")
    return handler is not None and _read_at(file, handler, 8, 4) == b"vide"


def _video_entries(file: BinaryIO, moov: _Box) -> Iterator[tuple[list[_Box], _Box]]:
    """Sample entries of all video tracks, each with the boxes around it, outermost first."""
    for trak in _children(file, moov.body, moov.end):
        if trak.kind != b"trak" or not _is_video(file, trak):
            continue
        around = [moov, trak]
        for kind in (b"mdia", b"minf", b"stbl", b"stsd"):
            inner = _child(file, around[-1], kind)
            if inner is None:
                break
            around.append(inner)
        else:
            for entry in _children(file, around[-1].body + 8, around[-1].end):
                if entry.body + _VISUAL_ENTRY_BYTES <= entry.end:
                    yield around, entry


def _read_entry(file: BinaryIO, entry: _Box) -> SphericalBoxes | None:
    stereo_mode: int | None = None
    projection: SphericalProjection | None = None
    bounds: tuple[float, float, float, float] | None = None
    pose_deg = (0.0, 0.0, 0.0)
    seen = False
    for box in _children(file, entry.body + _VISUAL_ENTRY_BYTES, entry.end):
        if box.kind == b"st3d" and (mode := _read_at(file, box, 4, 1)):
            seen, stereo_mode = True, mode[0]
        proj = _child(file, box, b"proj") if box.kind == b"sv3d" else None
        for part in _children(file, proj.body, proj.end) if proj else ():
            seen = True
            if part.kind == b"prhd" and (data := _read_at(file, part, 4, 12)):
                yaw, pitch, roll = (angle / 65536 for angle in struct.unpack(">3i", data))
                pose_deg = (yaw, pitch, roll)
            elif part.kind == b"equi" and (data := _read_at(file, part, 4, 16)):
                top, bottom, left, right = (edge / _WHOLE for edge in struct.unpack(">4I", data))
                projection, bounds = "equi", (top, bottom, left, right)
            elif part.kind in (b"mshp", b"cbmp"):
                projection = "mshp" if part.kind == b"mshp" else "cbmp"
    return SphericalBoxes(stereo_mode, projection, bounds, pose_deg) if seen else None


# --- writing -------------------------------------------------------------------------------------


def _index_of(path: Path, boxes: list[_Box]) -> _Box:
    """The moov box of a file that can be edited."""
    moov = next((box for box in boxes if box.kind == b"moov"), None)
    if moov is None or moov.end - moov.start > _LARGEST_INDEX_BYTES:
        raise OutputError(f"{path}: spherical boxes need a finished MP4 or MOV file; this is none")
    if any(box.kind == b"moof" for box in boxes):
        raise OutputError(
            f"{path}: spherical boxes can't be added to a fragmented MP4; write a plain one"
        )
    return moov


def _with_boxes(path: Path, moov: bytes, boxes: bytes) -> bytearray:
    """The moov box with `boxes` at the end of every video sample entry."""
    file = io.BytesIO(moov)
    whole = next(_children(file, 0, len(moov)))
    entries = list(_video_entries(file, whole))
    if not entries:
        raise OutputError(f"{path}: has no video track to write spherical boxes into")
    result = bytearray(moov)
    for around, entry in reversed(entries):  # from the end, so that earlier offsets stay true
        start = entry.body + _VISUAL_ENTRY_BYTES
        present = list(_children(file, start, entry.end))
        last = present[-1].end if present else start
        kept = [box for box in present if box.kind not in WRITTEN_KINDS]
        content = b"".join(moov[box.start : box.end] for box in kept) + boxes
        result[start:last] = content
        for box in (*around, entry):
            _grow(result, box, len(content) - (last - start))
    return result


def _grow(data: bytearray, box: _Box, by: int) -> None:
    """Add to the size a box states; its start must not have moved."""
    if box.body - box.start == 16:
        (size,) = struct.unpack_from(">Q", data, box.start + 8)
        struct.pack_into(">Q", data, box.start + 8, size + by)
    else:
        (size,) = struct.unpack_from(">I", data, box.start)
        struct.pack_into(">I", data, box.start, size + by)


def _shift_offsets(path: Path, moov: bytearray, *, after: int, by: int) -> None:
    """Move the chunk offsets of all tracks that point behind file offset `after`."""
    file = io.BytesIO(bytes(moov))
    whole = next(_children(file, 0, len(moov)))
    for trak in _children(file, whole.body, whole.end):
        stbl = _descend(file, trak, b"mdia", b"minf", b"stbl")
        for table in _children(file, stbl.body, stbl.end) if stbl else ():
            if table.kind not in (b"stco", b"co64"):
                continue
            width, code = (4, ">I") if table.kind == b"stco" else (8, ">Q")
            count = int.from_bytes(_read_at(file, table, 4, 4))
            first = table.body + 8
            for position in range(first, min(first + count * width, table.end), width):
                (offset,) = struct.unpack_from(code, moov, position)
                moved = offset + by if offset > after else offset
                if moved >= 1 << (8 * width):
                    raise OutputError(
                        f"{path}: its 32-bit index has no room for spherical boxes; write the "
                        "index at the end of the file"
                    )
                struct.pack_into(code, moov, position, moved)


def _rewrite_from(path: Path, moov: _Box, new: bytes) -> None:
    """Replace an index that no media data follows."""
    with path.open("r+b") as file:
        file.seek(moov.end)
        rest = file.read()
        file.seek(moov.start)
        file.write(new + rest)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _replace_middle(path: Path, moov: _Box, new: bytes) -> None:
    """Replace an index that media data follows."""
    part = path.with_name(path.name + ".part")
    try:
        remove_file(part)  # a link there would lead the writing elsewhere
        with path.open("rb") as source, part.open("xb") as target:
            target.write(source.read(moov.start))
            target.write(new)
            source.seek(moov.end)
            while block := source.read(_COPY_BLOCK_BYTES):
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        replace_file(part, path)
    finally:
        remove_file(part)
