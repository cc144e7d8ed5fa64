"""Files with straight alpha, all the way: chunks, joined, decoded, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from support.media.media_fixtures import NTSC, write_clip
from support.media.straight_files import read_straight
from vrmatte.deliverable_kinds import DeliverableName
from vrmatte.errors import OutputError, VerificationError
from vrmatte.frames import ColorTags, PlanarFrame, StraightFrame, Timeline
from vrmatte.media.encode import ChunkWriter
from vrmatte.media.encoders import EncoderSpec, alpha_encoder
from vrmatte.media.join import JoinRequest, join_chunks
from vrmatte.media.verify import verify_copies, verify_frames
from vrmatte.progress import ignore
from vrmatte.settings.config import OutputConfig

SIZE = (256, 128)
TICK = Fraction(1, 30000)
CHUNKS = (5, 1, 6)
BT709 = ColorTags(1, 1, 1)
PQ, HLG = ColorTags(9, 16, 9), ColorTags(9, 18, 9)


def timeline(steps: Sequence[int], start: int = 0) -> Timeline:
    times = np.cumsum([start, *steps])
    return Timeline(times[:-1], TICK, int(times[-1]))


CFR = timeline([1001] * 12)
VFR = timeline([1001, 700, 3000, 1, 999, 4000, 1001, 1001, 1001, 1001, 1200, 800], start=90)


@dataclass(frozen=True)
class Case:
    """A kind of file, and how far a decoded sample may be from what was written, in 1/255."""

    name: DeliverableName
    bit_depth: int
    alpha_error: float
    colour_error: float
    bits: int = 16
    suffix: str = ".mov"

    def spec(self) -> EncoderSpec:
        output = OutputConfig(prores_alpha_bits=8 if self.bits == 8 else 16)
        return alpha_encoder(self.name, self.bit_depth, *SIZE, NTSC, output).spec


CASES = {
    # Alpha of 16 bit is lossless; colours are transformed, and a ramp may move by a code of 1023.
    "prores16": Case("prores4444", 10, 0, 0.25),
    # The lower two bits of ten are cut off: three codes of 1023.
    "prores8": Case("prores4444", 10, 0.75, 0.25, bits=8),
    # Alpha is coded like luma, so both are off by what the quantiser leaves of a smooth ramp.
    "webm": Case("webm-alpha", 8, 3, 3, suffix=".webm"),
    # Lossless.
    "ffv1-8": Case("ffv1-alpha", 8, 0, 0, suffix=".mkv"),
    "ffv1-10": Case("ffv1-alpha", 10, 0, 0, suffix=".mkv"),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request) -> Case:
    return request.param


def picture(index: int, spec: EncoderSpec, color: ColorTags = BT709) -> StraightFrame:
    """Ramps, another one in every plane, that move with `index`."""
    layout = spec.layout
    width, height = SIZE
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    step = 1 << layout.chroma_shift_x, 1 << layout.chroma_shift_y
    shift = index / 60

    def plane(low: float, high: float, place: np.ndarray, coarse: bool = False) -> np.ndarray:
        values = low + (high - low) * np.clip(place, 0, 1)
        if coarse:
            values = values[:: step[1], :: step[0]]
        return np.round(values * layout.peak).astype(layout.dtype)

    return StraightFrame(
        PlanarFrame(
            plane(0.2, 0.8, y * 0.8 + shift),
            plane(0.4, 0.6, x, coarse=True),
            plane(0.6, 0.4, y, coarse=True),
            layout,
            color,
        ),
        plane(0, 1, 1.2 - x * 1.4 + shift),
    )


def write_chunks(folder: Path, spec: EncoderSpec, line: Timeline, color=BT709) -> list[Path]:
    paths, index = [], 0
    for number, count in enumerate(CHUNKS):
        paths.append(folder / f"chunk{number}.part-of-a-file")
        with ChunkWriter(paths[-1], spec, SIZE, color, TICK, NTSC) as writer:
            for _ in range(count):
                writer.write(picture(index, spec, color), int(line.pts[index]))
                index += 1
            assert writer.commit().frames == count
    return paths


def finish(folder: Path, case: Case, line: Timeline, color=BT709, **more) -> Path:
    chunks = write_chunks(folder, case.spec(), line, color)
    return join(folder, case, chunks, line, **more)[0]


def join(folder, case, chunks, line, source=None, carry=(), window=None):
    target = folder / f"joined{case.suffix}"
    request = JoinRequest(chunks, line, target, case.spec().container, NTSC, source, carry, window)
    return target, join_chunks(request, ignore)


def errors(path: Path, case: Case) -> tuple[float, float]:
    """The furthest a sample of alpha, and of the colours, is from the picture, in 1/255."""
    alpha = colour = 0.0
    count = 0
    for index, found in enumerate(read_straight(path)):
        wanted = picture(index, case.spec())
        unit = 255 / case.spec().layout.peak
        alpha = max(alpha, apart(found.alpha, wanted.alpha) * unit)
        for name in "yuv":
            ours, theirs = getattr(found.picture, name), getattr(wanted.picture, name)
            colour = max(colour, apart(ours, theirs) * unit)
        count += 1
    assert count == sum(CHUNKS)
    return alpha, colour


def apart(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())


@pytest.mark.parametrize("line", [CFR, VFR], ids=["29.97", "variable"])
def test_pictures_alpha_and_times_come_back(tmp_path, case, line):
    path = finish(tmp_path, case, line)
    alpha, colour = errors(path, case)
    assert alpha <= case.alpha_error + 1e-9
    assert colour <= case.colour_error
    assert verify_frames(path, line, SIZE, ignore, has_alpha=True) == len(line)
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base
    shown = [round(found.picture.pts * tick / TICK) for found in read_straight(path)]
    assert shown == line.pts.tolist()


def test_a_time_off_by_one_tick_is_found(tmp_path, case):
    path = finish(tmp_path, case, VFR)
    shifted = VFR.pts.copy()
    shifted[6] += 1
    with pytest.raises(VerificationError, match="frame 6 is shown at"):
        verify_frames(path, replace(VFR, pts=shifted), SIZE, ignore, has_alpha=True)


def test_a_part_starts_at_zero(tmp_path, case):
    line = timeline([1001] * 12)
    path = finish(tmp_path, case, line, window=(Fraction(2), 2 + line.end_pts * TICK))
    assert verify_frames(path, line, SIZE, ignore, has_alpha=True) == 12


@pytest.mark.parametrize("color", [PQ, HLG], ids=["pq", "hlg"])
def test_hdr_tags_are_kept(tmp_path, case, color):
    path = finish(tmp_path, case, CFR, color)
    found = next(iter(read_straight(path))).picture.color
    assert (found.primaries, found.transfer, found.matrix) == (9, color.transfer, 9)
    assert not found.full_range


@pytest.mark.parametrize("name", ["ffv1-10", "webm"])
def test_full_range_is_kept(tmp_path, name):
    path = finish(tmp_path, CASES[name], CFR, replace(BT709, full_range=True))
    assert next(iter(read_straight(path))).picture.color.full_range


def test_prores_says_that_it_has_no_full_range(tmp_path):
    with pytest.raises(OutputError, match="prores_ks stores limited-range video only"):
        finish(tmp_path, CASES["prores16"], CFR, replace(BT709, full_range=True))


# --- alpha that isn't what it should be ----------------------------------------------------------


def test_swapped_planes_are_no_small_error(tmp_path, case):
    """The comparison of the round trip would find alpha in luma's place."""
    spec = case.spec()
    path = tmp_path / "chunk"
    with ChunkWriter(path, spec, SIZE, BT709, TICK, NTSC) as writer:
        for index in range(sum(CHUNKS)):
            right = picture(index, spec)
            wrong = StraightFrame(replace(right.picture, y=right.alpha), right.picture.y)
            writer.write(wrong, index * 1001)
        writer.commit()
    alpha, colour = errors(path, case)
    assert min(alpha, colour) > 100


def test_a_file_without_alpha_is_refused(tmp_path):
    write_clip(tmp_path / "plain.mp4", frames=3)
    line = timeline([1001] * 3)
    with pytest.raises(VerificationError, match=r"frame 0 has no alpha \(it is yuv420p"):
        verify_frames(tmp_path / "plain.mp4", line, SIZE, ignore, has_alpha=True)


def stripped(source: Path, target: Path, without: range, *, marked: bool = True) -> None:
    """Copy a WebM file, leaving the alpha of the frames `without` behind."""
    with av.open(str(source)) as opened, av.open(str(target), "w", format="webm") as output:
        stream = opened.streams.video[0]
        copy = output.add_stream_from_template(stream)
        if marked:
            copy.metadata["alpha_mode"] = "1"
        for number, packet in enumerate(opened.demux(stream)):
            if not packet.size:
                continue
            if number in without:
                bare = av.Packet(bytes(packet))
                bare.pts, bare.dts, bare.time_base = packet.pts, packet.dts, packet.time_base
                bare.is_keyframe = packet.is_keyframe
                packet = bare
            packet.stream = copy
            output.mux(packet)


@pytest.mark.parametrize(
    ("without", "marked", "text"),
    [
        (range(12), True, "frame 0 has no alpha"),
        (range(7, 8), True, r"is shown at|decoded after frame 7"),  # what follows can't be either
        (range(11, 12), True, "contains 11 frames instead of 12"),
        (range(0), False, "frame 0 has no alpha"),
    ],
)
def test_alpha_lost_in_vp9_is_found(tmp_path, without, marked, text):
    line = timeline([1200] * 12)  # 40 ms: whole ticks of the copy's clock
    path = finish(tmp_path, CASES["webm"], line)
    stripped(path, tmp_path / "copy.webm", range(0))
    assert verify_frames(tmp_path / "copy.webm", line, SIZE, ignore, has_alpha=True) == 12
    stripped(path, tmp_path / "lost.webm", without, marked=marked)
    with pytest.raises(VerificationError, match=text):
        verify_frames(tmp_path / "lost.webm", line, SIZE, ignore, has_alpha=True)


# --- what is in the files -------------------------------------------------------------------------


def test_alpha_of_vp9_travels_beside_every_frame(tmp_path):
    case = CASES["webm"]
    chunks = write_chunks(tmp_path, case.spec(), CFR)
    path, _ = join(tmp_path, case, chunks, CFR)
    before = [payload for chunk in chunks for payload in payloads(chunk)]
    assert payloads(path) == before
    assert all(alpha.startswith(bytes(7) + b"\x01") for _, alpha in before)
    assert b"\x53\xc0\x81\x01" in path.read_bytes()[:2000]  # AlphaMode: 1


def payloads(path: Path) -> list[tuple[bytes, bytes]]:
    with av.open(str(path)) as container:
        return [
            (bytes(packet), bytes(packet.get_sidedata("matroska_block_additional")))
            for packet in container.demux(video=0)
            if packet.size
        ]


def test_hidden_frames_of_vp9_are_not_counted(tmp_path):
    whole, path = tmp_path / "whole.webm", tmp_path / "hidden.webm"
    tick = Fraction(1, 1000)
    times = [index * 40 for index in range(11)]
    write_clip(whole, codec="libvpx-vp9", pts=times, time_base=tick, rate=Fraction(25), gop=60)
    with av.open(str(whole)) as opened, av.open(str(path), "w") as output:
        stream = opened.streams.video[0]
        copy = output.add_stream_from_template(stream)
        first, second, *others = (p for p in opened.demux(stream) if p.size)
        merged = av.Packet(superframe(hidden_key_frame(bytes(first)), bytes(second)))
        merged.pts = merged.dts = second.pts
        merged.time_base, merged.is_keyframe = second.time_base, True
        for packet in (merged, *others):
            packet.stream = copy
            output.mux(packet)
    line = Timeline(np.array(times[1:]), tick, 440)
    assert verify_frames(path, line, SIZE, ignore) == 10
    with pytest.raises(VerificationError, match="frame 0 is shown at"):
        verify_frames(path, Timeline(np.array(times), tick, 440), SIZE, ignore)


def hidden_key_frame(frame: bytes) -> bytes:
    """The key frame, decoded and kept for reference but not shown, as alt-ref frames are."""
    assert frame[0] == 0b10000010  # marker, profile 0, key frame, shown
    return bytes([frame[0] & ~2]) + frame[1:]


def superframe(*frames: bytes) -> bytes:
    """Several coded frames in one packet (VP9 bitstream specification, annex B)."""
    marker = bytes([0b110_11_000 | (len(frames) - 1)])  # sizes take four bytes each
    sizes = b"".join(len(frame).to_bytes(4, "little") for frame in frames)
    return b"".join(frames) + marker + sizes + marker


def test_what_editors_look_for_in_prores(tmp_path):
    data = finish(tmp_path, CASES["prores16"], CFR, PQ).read_bytes()
    assert b"icpf" in data
    entry = data.index(b"ap4h")
    assert int.from_bytes(data[entry + 78 : entry + 80], "big") == 32  # depth: with alpha
    assert data[data.index(b"icpf") + 8 :][:4] == b"apl0"
    assert b"colrnclc\x00\x09\x00\x10\x00\x09" in data


def test_players_are_told_the_duration_of_a_webm(tmp_path):
    path = finish(tmp_path, CASES["webm"], CFR)
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(12 * 1001 / 30000 * 1e6, rel=1e-3)
        assert container.streams.video[0].metadata["DURATION"].startswith("00:00:00.4004")


# --- the source's other streams -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [("prores16", "aac", ".mp4"), ("prores16", "pcm_s16le", ".mkv"), ("webm", "libopus", ".mkv")],
)
def test_sound_goes_along(tmp_path, name, codec, suffix):
    source = tmp_path / f"source{suffix}"
    write_clip(source, frames=12, audio=(codec,), bframes=False)
    case = CASES[name]
    chunks = write_chunks(tmp_path, case.spec(), CFR)
    path, carried = join(tmp_path, case, chunks, CFR, source, (1,))
    assert carried.indices == (1,)
    assert verify_frames(path, CFR, SIZE, ignore, has_alpha=True) == 12
    (digest,) = verify_copies(path, source, [1])
    assert digest.packets > 0


def test_what_webm_cant_carry_is_told(tmp_path):
    source = tmp_path / "source.mp4"
    write_clip(source, frames=12, audio=("aac",), bframes=False)
    case = CASES["webm"]
    chunks = write_chunks(tmp_path, case.spec(), CFR)
    path, carried = join(tmp_path, case, chunks, CFR, source, (1,))
    assert carried.indices == ()
    (dropped,) = carried.dropped
    assert (dropped.description, dropped.reason) == ("audio (aac)", "webm doesn't support it")
    assert verify_frames(path, CFR, SIZE, ignore, has_alpha=True) == 12
