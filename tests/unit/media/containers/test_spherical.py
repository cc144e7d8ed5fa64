from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.media.media_fixtures import camera_clip, write_clip, write_faststart_clip
from vrmatte.errors import InputError, OutputError
from vrmatte.media.containers.spherical import (
    SphericalBoxes,
    StereoLayout,
    apple_boxes,
    google_boxes,
    inject_boxes,
    read_boxes,
)

VR180 = SphericalBoxes(2, "equi", (0.0, 0.0, 0.25, 0.25))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("spherical")
    write_clip(folder / "index_last.mp4", audio=("aac",))
    write_faststart_clip(folder / "index_first.mp4", audio=("aac",))
    write_clip(folder / "index_last.mov", audio=("pcm_s16le",), codec="libx265")
    write_clip(folder / "av1.mp4", codec="libsvtav1", options={"svtav1-params": "preset=10"})
    write_faststart_clip(folder / "hvc1.mov", codec="libx265")
    rename_sample_entry(folder / "hvc1.mov", b"hev1", b"hvc1")
    alpha = {"codec": "prores_ks", "pix_fmt": "yuva444p10le", "options": {"profile": "4444"}}
    write_clip(folder / "alpha.mov", audio=("pcm_s16le",), frames=4, **alpha)
    write_faststart_clip(folder / "alpha_first.mov", audio=("pcm_s16le",), frames=4, **alpha)
    return {path.name: path for path in folder.iterdir()}


def packets(path: Path) -> list[object]:
    with av.open(str(path)) as container:
        return [
            (p.stream_index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
        ]


def packets_and_pictures(path: Path) -> tuple[list[object], list[str]]:
    with av.open(str(path)) as container:
        pictures = [
            hashlib.sha256(frame.to_ndarray(format="rgba").tobytes()).hexdigest()
            for frame in container.decode(video=0)
        ]
    return packets(path), pictures


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("index_last.mp4", b"avc1"),
        ("index_first.mp4", b"avc1"),
        ("index_last.mov", b"hev1"),
        ("hvc1.mov", b"hvc1"),
        ("av1.mp4", b"av01"),
        ("alpha.mov", b"ap4h"),
        ("alpha_first.mov", b"ap4h"),
    ],
)
@pytest.mark.parametrize("apple", [False, True])
def test_injected_boxes_read_back_and_nothing_else_changes(
    clips: dict[str, Path], tmp_path: Path, name: str, entry: bytes, apple: bool
) -> None:
    path = tmp_path / name
    shutil.copy(clips[name], path)
    before = packets_and_pictures(path)
    assert read_boxes(path) is None
    assert entry in path.read_bytes()

    inject_boxes(path, apple=apple)

    assert read_boxes(path) == VR180
    assert packets_and_pictures(path) == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


MONO, SIDE_BY_SIDE = 0, 1  # FFmpeg's AVStereo3DType
TILED_EQUIRECT, HALF_EQUIRECT = 2, 3  # FFmpeg's AVSphericalProjection
QUARTER = 0x40000000


@pytest.mark.parametrize(
    ("stereo", "apple", "layout", "field_of_view", "projection", "cut"),
    [
        ("side_by_side", False, SIDE_BY_SIDE, 0, TILED_EQUIRECT, QUARTER),
        ("mono", False, MONO, 0, TILED_EQUIRECT, QUARTER),
        ("side_by_side", True, SIDE_BY_SIDE, 180, HALF_EQUIRECT, 0),
        ("mono", True, MONO, 180, HALF_EQUIRECT, 0),
    ],
)
@pytest.mark.parametrize("name", ["index_first.mp4", "alpha.mov"])
def test_ffmpeg_understands_the_boxes(
    clips: dict[str, Path],
    tmp_path: Path,
    name: str,
    stereo: StereoLayout,
    apple: bool,
    layout: int,
    field_of_view: int,
    projection: int,
    cut: int,
) -> None:
    path = tmp_path / name
    shutil.copy(clips[name], path)
    inject_boxes(path, stereo, apple=apple)
    with av.open(str(path)) as container:
        side_data = next(container.decode(video=0)).side_data
    found = struct.unpack_from("<i", bytes(side_data[Type.STEREO3D]))
    numerator, denominator = struct.unpack_from("<2i", bytes(side_data[Type.STEREO3D]), 28)
    sphere, *_pose, left, top, right, bottom = struct.unpack_from(
        "<4i4I", bytes(side_data[Type.SPHERICAL])
    )
    assert found == (layout,)
    assert numerator == field_of_view * denominator
    assert sphere == projection
    assert (left, top, right, bottom) == (cut, 0, cut, 0)


def test_bytes_of_google_boxes() -> None:
    assert google_boxes("mono")[:13] == bytes.fromhex("0000000d 73743364 00000000 00")
    assert google_boxes("side_by_side") == bytes.fromhex(
        "0000000d 73743364 00000000 02"  # st3d: left-right
        "00000058 73763364"  # sv3d
        "00000014 73766864 00000000 76726d6174746500"  # svhd: who wrote it
        "0000003c 70726f6a"  # proj
        "00000018 70726864 00000000 00000000 00000000 00000000"  # prhd: looks straight ahead
        "0000001c 65717569 00000000 00000000 00000000 40000000 40000000"  # equi: half across
    )


def test_bytes_of_apple_boxes() -> None:
    proj = "00000018 70726f6a 00000010 70726a69 00000000 68657175"  # proj/prji: hequ
    eyes = "00000015 65796573 0000000d 73747269 00000000 03"  # eyes/stri: both
    pack = "00000018 7061636b 00000010 706b696e 00000000 73696465"  # pack/pkin: side
    hfov = "0000000c 68666f76 0002bf20"  # 180,000 thousandths of a degree
    both = bytes.fromhex(f"0000004d 76657875 {proj} {eyes} {pack} {hfov}")
    assert apple_boxes("side_by_side") == both
    assert apple_boxes("mono") == bytes.fromhex(f"00000020 76657875 {proj} {hfov}")


@pytest.mark.parametrize("apple", [False, True])
def test_injecting_twice_leaves_one_set_of_boxes(
    clips: dict[str, Path], tmp_path: Path, apple: bool
) -> None:
    path = tmp_path / "vr180.mp4"
    shutil.copy(clips["index_last.mp4"], path)
    inject_boxes(path, apple=apple)
    once = path.read_bytes()
    inject_boxes(path, "mono", apple=True)
    inject_boxes(path, apple=apple)
    assert path.read_bytes() == once
    assert once.count(b"st3d") == once.count(b"sv3d") == 1
    assert once.count(b"vexu") == once.count(b"hfov") == int(apple)


def test_apple_boxes_stand_behind_googles(clips: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "vr180.mp4"
    shutil.copy(clips["index_last.mp4"], path)
    inject_boxes(path, apple=True)
    data = path.read_bytes()
    boxes = google_boxes("side_by_side"), apple_boxes("side_by_side")
    assert b"".join(boxes) in data
    path.write_bytes(data.replace(b"".join(boxes), b"".join(reversed(boxes))))
    with pytest.raises(av.InvalidDataError):
        av.open(str(path))


def test_camera_file_can_be_marked_anew(tmp_path: Path) -> None:
    path = tmp_path / "camera.mp4"
    shutil.copy(camera_clip(), path)
    before = packets(path)
    inject_boxes(path, apple=True)
    assert read_boxes(path) == VR180
    assert packets(path) == before


def test_64_bit_chunk_offsets_are_shifted(clips: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    path.write_bytes(with_64_bit_offsets(clips["index_first.mp4"].read_bytes()))
    before = packets_and_pictures(path)
    inject_boxes(path)
    assert b"co64" in path.read_bytes()
    assert packets_and_pictures(path) == before


def test_offsets_without_room_are_refused(clips: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(clips["index_first.mp4"].read_bytes())
    table = data.index(b"stco")
    struct.pack_into(">I", data, table + 12, 0xFFFFFFF0)
    path = tmp_path / "full.mp4"
    path.write_bytes(data)
    with pytest.raises(OutputError, match="32-bit index"):
        inject_boxes(path)
    assert path.read_bytes() == data


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_bytes(b"no boxes here at all")
    with pytest.raises(OutputError, match="finished MP4"):
        inject_boxes(text)
    fragmented = tmp_path / "fragmented.mp4"
    write_clip(fragmented, container_options={"movflags": "frag_keyframe+empty_moov"})
    with pytest.raises(OutputError, match="fragmented"):
        inject_boxes(fragmented)
    with pytest.raises(OutputError, match="can't write"):
        inject_boxes(tmp_path / "missing.mp4")


def test_camera_file_is_top_bottom_mesh() -> None:
    boxes = read_boxes(camera_clip())
    assert boxes is not None
    assert (boxes.stereo_mode, boxes.projection) == (1, "mshp")


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_boxes(tmp_path / "missing.mp4")


def test_full_sphere_is_not_half() -> None:
    assert VR180.is_half_equirect
    assert not SphericalBoxes(1, "equi", (0.0, 0.0, 0.0, 0.0)).is_half_equirect
    assert not SphericalBoxes(1, "mshp").is_half_equirect


@pytest.fixture(scope="module")
def tagged(clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tagged") / "vr180.mp4"
    shutil.copy(clips["index_first.mp4"], path)
    inject_boxes(path)
    return path.read_bytes()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_bytes_never_crash(tagged: bytes, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(tagged[: data.draw(st.integers(0, len(tagged)))])
    index_end = min(len(damaged), tagged.index(b"mdat"))
    for _ in range(data.draw(st.integers(0, 4)) if index_end > 4 else 0):
        at = data.draw(st.integers(0, index_end - 4))
        value = data.draw(st.sampled_from([0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF]))
        struct.pack_into(">I", damaged, at, value)
    path = tmp_path / "hostile.mp4"
    path.write_bytes(damaged)
    boxes = read_boxes(path)
    assert boxes is None or isinstance(boxes, SphericalBoxes)


def test_endless_empty_boxes_end(tmp_path: Path) -> None:
    path = tmp_path / "many.mp4"
    path.write_bytes((struct.pack(">I4s", 8, b"free")) * 150_000 + _moov())
    assert read_boxes(path) is None
    path.write_bytes((struct.pack(">I4s", 8, b"free")) * 100 + _moov())
    assert read_boxes(path) == SphericalBoxes(2, None)


def test_box_that_overruns_its_parent_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "overrun.mp4"
    moov = bytearray(_moov(pose=False))
    path.write_bytes(moov)
    assert read_boxes(path) == SphericalBoxes(2, None)
    entry = moov.index(b"avc1") - 4
    size = int.from_bytes(moov[entry : entry + 4])
    struct.pack_into(">I", moov, entry, size - 1)
    path.write_bytes(moov)
    assert read_boxes(path) is None


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _moov(*, pose: bool = True) -> bytes:
    """The least index that carries a stereo box, with a full-sphere projection left out."""
    sphere = _box(b"sv3d", _box(b"proj", _box(b"prhd", bytes(16)))) if pose else b""
    entry = _box(b"avc1", bytes(78) + _box(b"st3d", bytes(4) + b"\2") + sphere)
    stbl = _box(b"stbl", _box(b"stsd", bytes(8) + entry))
    handler = _box(b"hdlr", bytes(8) + b"vide" + bytes(12))
    return _box(b"moov", _box(b"trak", _box(b"mdia", handler + _box(b"minf", stbl))))


def with_64_bit_offsets(data: bytes) -> bytes:
    """Rebuild an index-first MP4 with co64 tables in place of stco."""
    tables = data.count(b"stco")
    extra = sum(4 * count for count in _stco_counts(data))
    assert tables

    def rebuild(box: bytes) -> bytes:
        kind, body = box[4:8], box[8:]
        if kind == b"stco":
            count = int.from_bytes(body[4:8])
            offsets = struct.unpack_from(f">{count}I", body, 8)
            wide = struct.pack(f">{count}Q", *(offset + extra for offset in offsets))
            return _box(b"co64", body[:8] + wide)
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            return _box(kind, b"".join(map(rebuild, _split(body))))
        return box

    boxes = [rebuild(box) if box[4:8] == b"moov" else box for box in _split(data)]
    return b"".join(boxes)


def _split(data: bytes) -> list[bytes]:
    boxes = []
    while data:
        size = int.from_bytes(data[:4])
        boxes.append(data[:size])
        data = data[size:]
    return boxes


def rename_sample_entry(path: Path, old: bytes, new: bytes) -> None:
    """Give the video's sample entry the other of two names for the same codec."""
    data = path.read_bytes()
    at = data.index(old, data.index(b"stsd"))
    path.write_bytes(data[:at] + new + data[at + 4 :])


def _stco_counts(data: bytes) -> list[int]:
    counts, at = [], data.find(b"stco")
    while at >= 0:
        counts.append(int.from_bytes(data[at + 8 : at + 12]))
        at = data.find(b"stco", at + 4)
    return counts
