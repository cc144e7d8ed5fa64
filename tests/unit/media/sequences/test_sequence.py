from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from support.faults import around
from support.file_limits import largest_file_bytes
from support.media.rgba_images import paint_rgba
from vrmatte.compose.rgba import RgbaPainter
from vrmatte.errors import OutputError, VerificationError
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PlanarFrame, StraightFrame, Timeline
from vrmatte.media.planes import plane_view
from vrmatte.media.sequences.png import decode_picture
from vrmatte.media.sequences.sequence import (
    SequenceSpec,
    SequenceWriter,
    drop_broken_frames,
    drop_frames,
    read_listing,
    read_sequence_frame,
)
from vrmatte.media.sequences.sequence_folder import (
    gather_sequence,
    publish_sequence,
    verify_sequence,
)

BT709 = ColorTags(1, 1, 1)
PQ = ColorTags(9, 16, 9)
SIZE = (64, 34)
TIME_BASE = Fraction(1, 30000)
FIRST = 118
# Variable frame rate: no two steps are alike.
PTS = (1001, 2002, 3300, 4004, 5105, 6006)
TIMELINE = Timeline(np.array(PTS), TIME_BASE, 7007)
KINDS = ["png", "exr"]


def make_spec(kind, layout=YUV420P10, color=PQ):
    bits = 8 if kind == "png" and layout.bit_depth == 8 else 16
    return SequenceSpec(kind, "two 50% _LR", SIZE, bits, color, TIME_BASE)


def make_frame(number, layout=YUV420P10, color=PQ):
    rng = np.random.default_rng(number)
    width, height = SIZE
    chroma = (height // 2, width // 2)
    y, u, v, alpha = (
        rng.integers(0, layout.peak + 1, shape, dtype=layout.dtype)
        for shape in ((height, width), chroma, chroma, (height, width))
    )
    return StraightFrame(PlanarFrame(y, u, v, layout, color), alpha)


def light_of(kind):
    return "linear" if kind == "exr" else "video"


def open_writer(folder, spec, numbers, key="key", layout=YUV420P10):
    painter = RgbaPainter(SIZE, layout, spec.color, light_of(spec.kind))
    return SequenceWriter(folder, spec, numbers, key, painter.rows)


def write_chunk(folder, spec, numbers, key="key"):
    with open_writer(folder, spec, numbers, key) as writer:
        for number in numbers:
            if not writer.has(number):
                writer.write(make_frame(number), PTS[number - FIRST], number)
        return writer.commit()


def gather(listings, target, spec, timeline=TIMELINE):
    return gather_sequence(listings, target, spec, timeline)


@pytest.fixture(params=KINDS)
def spec(request):
    return make_spec(request.param)


@pytest.fixture
def listings(spec, tmp_path):
    """Two chunks of three frames."""
    return [
        write_chunk(
            tmp_path / "chunks" / str(at) / spec.kind, spec, range(FIRST + at, FIRST + at + 3)
        ).path
        for at in (0, 3)
    ]


@pytest.fixture
def finished(spec, listings, tmp_path):
    target = tmp_path / f"two_{spec.kind}"
    publish_sequence(gather(listings, target, spec), target)
    return target


def verify(folder, spec, timeline=TIMELINE, first=FIRST):
    return verify_sequence(folder, spec, timeline, first)


def png_chunks(path):
    content, at, found = path.read_bytes(), 8, {}
    while at < len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        found[name.decode()] = content[at + 8 : at + 8 + length]
        at += 12 + length
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
def test_files_hold_exactly_what_was_painted(kind, layout, tmp_path):
    spec = make_spec(kind, layout, BT709)
    frame = make_frame(7, layout, BT709)
    with open_writer(tmp_path / kind, spec, range(7, 8), layout=layout) as writer:
        writer.write(frame, 0, 7)
        writer.commit()
    picture = read_sequence_frame(tmp_path / kind / f"two 50% _LR_000007.{kind}")
    painted = paint_rgba(frame, light_of(kind))
    assert picture.dtype == painted.dtype
    assert np.array_equal(picture, painted)


@pytest.mark.parametrize(
    ("color", "cicp"),
    [
        (PQ, (9, 16, 0, 1)),
        (replace(PQ, transfer=18), (9, 18, 0, 1)),
        (BT709, (1, 1, 0, 1)),
        (ColorTags(), (1, 1, 0, 1)),
    ],
)
def test_png_says_what_its_colours_mean(color, cicp, tmp_path):
    spec = make_spec("png", color=color)
    with open_writer(tmp_path / "png", spec, range(1, 2)) as writer:
        writer.write(make_frame(1, color=color), 0, 1)
    chunks = png_chunks(tmp_path / "png" / spec.file_name(1))
    assert tuple(chunks["cICP"]) == cicp
    assert chunks["pHYs"][:8] == struct.pack(">II", 1, 1)
    assert "cHRM" in chunks
    assert ("gAMA" in chunks) == (cicp[1] == 1)


def exr_attributes(path):
    content, at, found = path.read_bytes(), 8, {}
    while content[at]:
        name, kind = content[at:].split(b"\0", 2)[:2]
        at += len(name) + len(kind) + 2
        (length,) = struct.unpack("<I", content[at : at + 4])
        found[name.decode()] = content[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def test_exr_says_what_its_colours_alpha_and_time_are(tmp_path):
    spec = make_spec("exr")
    write_chunk(tmp_path / "exr", spec, range(FIRST, FIRST + 1))
    told = exr_attributes(tmp_path / "exr" / spec.file_name(FIRST))
    assert b"straight (not multiplied by A)" in told["comments"]
    assert told["presentationSeconds"] == b"1001/30000"
    assert struct.unpack("<8f", told["chromaticities"]) == pytest.approx(
        (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    )
    assert struct.unpack("<f", told["whiteLuminance"]) == (203,)
    assert told["compression"] == b"\3"


def test_incompressible_blocks_of_exr_are_stored_plain(tmp_path):
    noise = np.random.default_rng(1).integers(0, 30000, (34, 64, 4), dtype=np.uint16)
    picture = noise.view(np.float16)
    spec = make_spec("exr")
    writer = SequenceWriter(
        tmp_path / "exr", spec, range(1), "key", lambda _, first, last: picture[first:last]
    )
    writer.write(make_frame(0), 0, 0)
    path = tmp_path / "exr" / spec.file_name(0)
    assert np.array_equal(read_sequence_frame(path), picture)


def test_a_resumed_chunk_equals_an_undisturbed_one_and_keeps_its_frames(spec, tmp_path):
    numbers = range(FIRST, FIRST + 4)
    undisturbed = write_chunk(tmp_path / "undisturbed" / spec.kind, spec, numbers)
    folder = tmp_path / "killed" / spec.kind
    killed = open_writer(folder, spec, numbers)
    for number in numbers[:2]:
        killed.write(make_frame(number), PTS[number - FIRST], number)
    (folder / (spec.file_name(numbers[2]) + ".part")).write_bytes(b"half a frame")
    kept = {p.name: p.stat() for p in folder.glob(f"*.{spec.kind}")}
    assert len(kept) == 2
    resumed = write_chunk(folder, spec, numbers)
    for name, before in kept.items():
        after = (folder / name).stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not list(folder.glob("*.part"))
    assert resumed.sha256 == undisturbed.sha256
    for number in numbers:
        name = spec.file_name(number)
        other = tmp_path / "undisturbed" / spec.kind / name
        assert (folder / name).read_bytes() == other.read_bytes()


def test_frames_of_another_key_are_made_anew(spec, tmp_path):
    folder = tmp_path / spec.kind
    write_chunk(folder, spec, range(FIRST, FIRST + 2), key="old")
    again = open_writer(folder, spec, range(FIRST, FIRST + 2), key="new")
    assert not again.has(FIRST)
    assert not list(folder.glob(f"*.{spec.kind}"))


def test_a_failure_leaves_whole_frames_only(spec, tmp_path):
    folder = tmp_path / spec.kind

    def fail():
        with open_writer(folder, spec, range(FIRST, FIRST + 2)) as writer:
            writer.write(make_frame(FIRST), 0, FIRST)
            writer.write(make_frame(FIRST + 1, YUV420P), 1, FIRST + 1)

    with pytest.raises(ValueError, match="expected yuv420p10le"):
        fail()
    assert [p.name for p in folder.glob("two*")] == [spec.file_name(FIRST)]
    assert not (tmp_path / f"{spec.kind}.json").exists()


def test_a_missing_frame_cant_be_committed(spec, tmp_path):
    writer = open_writer(tmp_path / spec.kind, spec, range(FIRST, FIRST + 2))
    writer.write(make_frame(FIRST), 0, FIRST)
    with pytest.raises(OutputError, match=f"frame {FIRST + 1} is missing"):
        writer.commit()


def test_a_frame_that_cannot_be_written_leaves_nothing(spec, tmp_path):
    folder = tmp_path / spec.kind
    writer = open_writer(folder, spec, range(FIRST, FIRST + 1))
    kept = sorted(folder.iterdir())
    with largest_file_bytes(100), pytest.raises(OutputError, match=r"_000.*File too large"):
        writer.write(make_frame(FIRST), 0, FIRST)
    assert sorted(folder.iterdir()) == kept
    assert not writer.has(FIRST)


def test_a_finished_sequence_is_proven_and_tells_its_times(spec, listings, finished):
    assert verify(finished, spec) == 6
    assert not finished.with_name(finished.name + ".part").exists()
    facts, frames = read_listing(finished / "frames.json")
    assert [f.number for f in frames] == list(range(FIRST, FIRST + 6))
    assert facts["frames"][2]["seconds"] == "11/100"
    assert facts["end_seconds"] == "7007/30000"
    rows = (finished / "timing.csv").read_text().splitlines()
    assert rows[0] == "number,file,seconds"
    assert rows[1] == f"118,two 50% _LR_000118.{spec.kind},1001/30000"
    # Linked, not copied: the chunks' frames take no further room.
    made = listings[0].with_suffix("") / frames[0].file
    assert made.samefile(finished / frames[0].file)


def steps_before(monkeypatch, steps):
    """Let that many links or renames pass, then fail like a kill."""
    left = [steps]

    def step(*_, **__):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1

    for name in ("link", "replace", "unlink", "rmdir"):
        around(monkeypatch, f"os.{name}", step)


def refuse_links(monkeypatch):
    def refuse(*_):
        raise PermissionError("no hard links on this file system")

    around(monkeypatch, "os.link", refuse)


@pytest.mark.parametrize("steps", range(11))
def test_a_kill_while_gathering_or_replacing_costs_nothing(
    spec, listings, tmp_path, steps, monkeypatch
):
    target = tmp_path / "two"
    publish_sequence(gather(listings, target, spec), target)  # an earlier result to replace
    with monkeypatch.context() as patch:
        steps_before(patch, steps)
        with pytest.raises(KeyboardInterrupt):
            publish_sequence(gather(listings, target, spec), target)
    publish_sequence(gather(listings, target, spec), target)
    assert verify(target, spec) == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chunks", "two"]


def test_without_hard_links_frames_move_and_a_kill_costs_nothing(
    spec, listings, tmp_path, monkeypatch
):
    refuse_links(monkeypatch)
    target = tmp_path / "two"
    publish_sequence(gather(listings, target, spec), target)
    # As after a kill before the result was recorded, and one halfway through gathering it again.
    publish_sequence(gather(listings, target, spec), target)
    part = tmp_path / "two.part"
    part.mkdir()
    name = spec.file_name(FIRST + 1)
    (target / name).rename(part / name)
    publish_sequence(gather(listings, target, spec), target)
    assert verify(target, spec) == 6


def test_strange_files_in_a_replaced_folder_are_kept(spec, listings, finished, tmp_path):
    (finished / "notes.txt").write_text("mine")
    for round_ in (1, 2):
        publish_sequence(gather(listings, finished, spec), finished)
        (finished / "notes.txt").write_text(f"mine {round_}")
    publish_sequence(gather(listings, finished, spec), finished)
    assert verify(finished, spec) == 6
    kept = [p.read_text() for p in sorted(tmp_path.glob(f"{finished.name}.replaced-*/*"))]
    assert kept == ["mine", "mine 1", "mine 2"]


def test_a_frame_that_is_gone_takes_its_chunk_out(spec, listings, tmp_path):
    (listings[1].with_suffix("") / spec.file_name(FIRST + 4)).unlink()
    with pytest.raises(OutputError, match=f"frame {FIRST + 4} is gone"):
        gather(listings, tmp_path / "two", spec)
    assert [p.exists() for p in listings] == [True, False]
    write_chunk(listings[1].with_suffix(""), spec, range(FIRST + 3, FIRST + 6))
    assert verify(gather(listings, tmp_path / "two", spec), spec) == 6


def test_broken_frames_are_dropped_and_others_stay(spec, listings):
    assert not drop_broken_frames(listings[0])
    path = listings[0].with_suffix("") / spec.file_name(FIRST + 1)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert drop_broken_frames(listings[0])
    assert not listings[0].exists()
    assert len(list(listings[0].with_suffix("").glob(f"*.{spec.kind}"))) == 2


def test_dropped_chunks_leave_the_finished_sequence(spec, listings, finished):
    for listing in listings:
        drop_frames(listing)
        assert not listing.with_suffix("").exists()
    assert verify(finished, spec) == 6


def test_a_killed_drop_is_found_again(listings, monkeypatch):
    def kill(*_, **__):
        raise KeyboardInterrupt

    around(monkeypatch, "shutil.rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        drop_frames(listings[0])
    assert listings[0].exists()


def relist(folder, change):
    """Change frames.json as if it had been written so, digests of the files renewed."""
    path = folder / "frames.json"
    facts = json.loads(path.read_text())
    change(facts["frames"])
    path.write_text(json.dumps(facts))


def test_verification_finds_missing_truncated_and_swapped_frames(spec, finished):
    names = [spec.file_name(FIRST + n) for n in range(6)]
    content = [(finished / name).read_bytes() for name in names]
    first, second = finished / names[0], finished / names[1]
    first.unlink()
    with pytest.raises(VerificationError, match=r"000118.*missing"):
        verify(finished, spec)
    first.write_bytes(content[0][:-30])
    with pytest.raises(VerificationError, match=r"000118.*differs from its digest"):
        verify(finished, spec)
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    with pytest.raises(VerificationError, match=r"000118.*differs from its digest"):
        verify(finished, spec)


def test_verification_finds_a_wrong_listing(spec, finished):
    path = finished / "frames.json"
    text = path.read_text()
    changes = [
        (lambda frames: frames.pop(), "contains 5 frames instead of 6"),
        (lambda frames: frames.__setitem__(1, frames[0]), "frame 118 follows frame 118"),
        (lambda frames: frames[0].update(file=frames[1]["file"]), "doesn't list frames 118"),
        (lambda frames: frames[3].update(seconds="1/7"), "times differ"),
    ]
    for change, complaint in changes:
        path.write_text(text)
        relist(finished, change)
        with pytest.raises(VerificationError, match=complaint):
            verify(finished, spec)
    path.write_text(text[:-40])
    with pytest.raises(VerificationError, match="missing or damaged"):
        verify(finished, spec)


def test_verification_finds_strange_frames_another_size_and_another_start(spec, finished):
    with pytest.raises(VerificationError, match="doesn't list frames 0 to 5"):
        verify(finished, spec, first=0)
    with pytest.raises(VerificationError, match="instead of 66x34"):
        verify(finished, replace(spec, size=(66, 34)))
    with pytest.raises(VerificationError, match="with 16 bits instead of 64x34 with 8"):
        verify(finished, replace(spec, bits=8))
    (finished / f"strange.{spec.kind}").write_bytes(b"")
    with pytest.raises(VerificationError, match="not a frame of the source"):
        verify(finished, spec)


def test_a_file_that_cant_be_decoded_is_found_though_its_digest_agrees(spec, listings, tmp_path):
    path = listings[0].with_suffix("") / spec.file_name(FIRST)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    facts, _ = read_listing(listings[0])
    facts["frames"][0] |= {
        "bytes": len(content) // 2,
        "sha256": hashlib.sha256(content[: len(content) // 2]).hexdigest(),
    }
    listings[0].write_text(json.dumps(facts))
    part = gather(listings, tmp_path / "two", spec)
    with pytest.raises(VerificationError, match="can't be decoded"):
        verify(part, spec)


def test_chunks_that_dont_follow_each_other_are_refused(spec, listings, tmp_path):
    with pytest.raises(VerificationError, match="frame 118 follows frame 123"):
        gather(listings[::-1], tmp_path / "two", spec)
    with pytest.raises(VerificationError, match="contains 3 frames instead of 6"):
        gather(listings[:1], tmp_path / "two", spec)


def test_damaged_pixels_of_a_png_are_found(tmp_path):
    spec = make_spec("png")
    write_chunk(tmp_path / "png", spec, range(FIRST, FIRST + 1))
    path = tmp_path / "png" / spec.file_name(FIRST)
    content = bytearray(path.read_bytes())
    start = content.index(b"IDAT")
    (length,) = struct.unpack(">I", content[start - 4 : start])
    end = start + 4 + length
    content[start + 4 + length // 2] ^= 0x55
    # With a checksum that agrees, as if the encoder had failed.
    content[end : end + 4] = struct.pack(">I", zlib.crc32(content[start:end]))
    path.write_bytes(content)
    with pytest.raises(VerificationError, match="can't be decoded"):
        read_sequence_frame(path)


def test_ffmpeg_reads_the_same_from_exr(tmp_path):
    spec = make_spec("exr")
    write_chunk(tmp_path / "exr", spec, range(FIRST, FIRST + 1))
    path = tmp_path / "exr" / spec.file_name(FIRST)
    frame = decode_picture("exr", path.read_bytes())
    assert frame.format.name == "gbrapf16le"
    green, blue, red, alpha = (plane_view(p, 2).view(np.float16) for p in frame.planes)
    read = np.stack([red, green, blue, alpha], axis=-1)
    assert np.array_equal(read, read_sequence_frame(path))


@pytest.mark.parametrize("damage", ["magic", "channels", "table", "block", "tail"])
def test_damage_of_an_exr_is_found(damage, tmp_path):
    spec = make_spec("exr")
    write_chunk(tmp_path / "exr", spec, range(FIRST, FIRST + 1))
    path = tmp_path / "exr" / spec.file_name(FIRST)
    content = bytearray(path.read_bytes())
    last_attribute = content.index(b"whiteLuminance\0float\0")
    table = last_attribute + len(b"whiteLuminance\0float\0") + 4 + 4 + 1
    (first_block,) = struct.unpack_from("<Q", content, table)
    places = {
        "magic": 0,
        "channels": content.index(b"chlist") + 13,
        "table": table + 8,
        "block": first_block + 200,
    }
    if damage == "tail":
        content.append(0)
    else:
        content[places[damage]] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(VerificationError, match="can't be decoded"):
        read_sequence_frame(path)
