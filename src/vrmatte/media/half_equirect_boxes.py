"""The bytes of boxes that mark a picture as half-equirectangular: Google's, and Apple's.

Google's (st3d, sv3d) are what YouTube and players read. Apple's (vexu, hfov) mark immersive video
for visionOS; their names and layout follow FFmpeg's reader and writer (libavformat's mov.c and
movenc.c), which follow Apple's "QuickTime and ISO Base Media File Formats and Spatial and Immersive
Media". Nothing here knows where in a file boxes stand.
"""

from __future__ import annotations

import struct
from typing import Literal

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
