from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from support.media.media_fixtures import (
    PQ,
    camera_clip,
    decoded_pts,
    write_clip,
    write_cut_copy,
    write_edit_list_clip,
    write_faststart_clip,
)
from vrmatte.errors import DamagedInputError, InputError
from vrmatte.media.probe import probe
from vrmatte.media.scan import count_decoded, fingerprint, scan_timeline
from vrmatte.progress import Advanced, Event, Finished, Notice, Started, ignore

UNEVEN = [0, 500, 1600, 1700, 4000, 4100, 5000, 9000, 9001, 12000]
TEN_BIT = {"codec": "libx265", "pix_fmt": "yuv420p10le", "color": PQ}

EXACT: dict[str, tuple[Callable[..., list[int]], dict[str, Any]]] = {
    "ntsc.mp4": (write_clip, {}),
    "ntsc60.mp4": (write_clip, {"rate": Fraction(60000, 1001), "audio": ("aac", "ac3")}),
    "film.mp4": (write_clip, {"rate": Fraction(24), "bframes": False}),
    "vfr.mp4": (write_clip, {"pts": UNEVEN, "time_base": Fraction(1, 15000)}),
    "late.mp4": (write_clip, {"start_offset": Fraction(35, 100), "audio": ("aac",)}),
    "trimmed.mp4": (write_edit_list_clip, {"hidden": 5, "frames": 40}),
    "trimmed_one_gop.mp4": (write_edit_list_clip, {"hidden": 5, "gop": 250}),
    "trimmed.mov": (write_edit_list_clip, {"hidden": 7, "audio": (), **TEN_BIT}),
    "trimmed_silent.mp4": (write_edit_list_clip, {"hidden": 1, "audio": ()}),
    "ten_bit.mp4": (write_clip, TEN_BIT),
    "ten_bit.mov": (write_clip, {"audio": ("pcm_s16le",), **TEN_BIT}),
    "full_range.mp4": (write_clip, {"codec": "libx265", "full_range": True}),
    "one_frame.mp4": (write_clip, {"frames": 1}),
    "one_gop.mp4": (write_clip, {"frames": 70, "gop": 250, "audio": ("libopus",)}),
    "faststart.mp4": (write_faststart_clip, {"audio": ("aac",)}),
    "av1.mp4": (write_clip, {"codec": "libsvtav1"}),
    "prores.mov": (write_clip, {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
}
ROUNDED: dict[str, dict[str, Any]] = {
    "plain.mkv": {"audio": ("aac", "ac3", "libopus"), "frames": 70},
    "late.mkv": {"start_offset": Fraction(35, 100), "audio": ("aac",)},
    "long_sound.mkv": {"audio": ("aac",), "audio_seconds": Fraction(3)},
    "short_sound.mkv": {"audio": ("aac",), "audio_seconds": Fraction(1, 2)},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "vfr.mkv": {"pts": UNEVEN[:-2], "time_base": Fraction(1, 15000)},
    "store.mkv": {"codec": "ffv1", "pix_fmt": "gray"},
    "web.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "stream.ts": {"start_offset": Fraction(2), "frames": 70},
    "old.avi": {"codec": "mpeg4", "bframes": False},
    "interlaced.mp4": {"options": {"flags": "+ilme+ildct", "x264-params": "tff=1"}},
}


def scanned(path: Path, observer: Callable[[Event], None] = ignore) -> list[int]:
    return [int(time) for time in scan_timeline(probe(path), observer).pts]


@pytest.mark.parametrize("name", EXACT)
def test_times_are_those_written_and_those_decoded(tmp_path: Path, name: str) -> None:
    write, clip = EXACT[name]
    path = tmp_path / name
    written = write(path, **clip)
    events: list[Event] = []
    assert scanned(path, events.append) == written == decoded_pts(path)
    assert not [event for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize("name", ROUNDED)
def test_times_are_those_decoded_where_containers_round(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    written = write_clip(path, **ROUNDED[name])
    times = scanned(path)
    assert times == decoded_pts(path)
    assert len(times) == len(written)


def test_header_of_a_trimmed_file_lies_and_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    written = write_edit_list_clip(path, hidden=5, frames=40)
    source = probe(path)
    assert source.frames_from_header == 40
    assert len(scan_timeline(source, ignore)) == len(written) == count_decoded(path) == 35


def test_end_is_the_end_of_the_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    written = write_clip(path, start_offset=Fraction(35, 100))
    timeline = scan_timeline(probe(path), ignore)
    assert timeline.end_pts == written[-1] + 1001
    assert timeline.time_base == Fraction(1, 30000)


def test_end_without_packet_durations_is_one_average_step_on(tmp_path: Path) -> None:
    path = tmp_path / "stream.ts"
    write_clip(path)
    timeline = scan_timeline(probe(path), ignore)
    assert timeline.end_pts == int(timeline.pts[-1]) + 3003


def test_packets_before_the_first_key_frame_are_not_counted(tmp_path: Path) -> None:
    """The packets look like frames; only the decoder knows that they can't be shown."""
    whole, path = tmp_path / "whole.mkv", tmp_path / "headless.mkv"
    write_clip(whole, frames=60, gop=24)
    _drop_packets(whole, path, 10)
    with av.open(str(path)) as container:
        packets = sorted(p.pts for p in container.demux(video=0) if p.pts is not None)
    events: list[Event] = []
    assert scanned(path, events.append) == decoded_pts(path)
    assert [e.text for e in events if isinstance(e, Notice)]
    assert len(packets) == 50
    assert decoded_pts(path) != packets


def test_times_given_twice_are_refused(tmp_path: Path) -> None:
    """Matroska's milliseconds make one of two times 1/15000 s apart."""
    path = tmp_path / "twice.mkv"
    write_clip(path, pts=UNEVEN, time_base=Fraction(1, 15000))
    with pytest.raises(InputError, match=r"twice\.mkv: presentation times do not increase"):
        scanned(path)


@pytest.mark.faults
@pytest.mark.parametrize("fraction", [0.5, 0.75, 0.95, 0.999])
@pytest.mark.parametrize("audio", [(), ("aac",)])
def test_cut_mp4_is_told_with_its_seconds(
    tmp_path: Path, audio: tuple[str, ...], fraction: float
) -> None:
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    write_faststart_clip(whole, frames=120, audio=audio)
    write_cut_copy(whole, path, fraction)
    assert probe(path).frames_from_header == 120  # the header notices nothing
    with pytest.raises(DamagedInputError, match=r"is cut off: \d\.\d\d of 4\.0\d seconds"):
        scanned(path)


@pytest.mark.faults
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("audio", [(), ("aac",)])
def test_cut_matroska_is_told(tmp_path: Path, audio: tuple[str, ...], fraction: float) -> None:
    whole, path = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_clip(whole, frames=120, audio=audio)
    write_cut_copy(whole, path, fraction)
    with pytest.raises(DamagedInputError, match=r"is cut off: \d\.\d\d of 4\.\d\d seconds"):
        scanned(path)


@pytest.mark.faults
def test_cut_fragmented_mp4_is_told(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    write_clip(whole, frames=120, container_options={"movflags": "frag_keyframe+empty_moov"})
    write_cut_copy(whole, path, 0.6)
    with pytest.raises(DamagedInputError, match="is cut off"):
        scanned(path)


@pytest.mark.faults
@pytest.mark.parametrize("number", [3, 94, 95])
def test_undecodable_head_or_tail_is_told(tmp_path: Path, number: int) -> None:
    path = tmp_path / "damaged.mp4"
    write_clip(path, frames=96, gop=12, bframes=False)
    _break_packet(path, number)
    with pytest.raises(DamagedInputError, match=r"damaged after \d\.\d\d s"):
        scanned(path)


@pytest.mark.faults
def test_last_packet_without_a_picture_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "filled.mp4"
    written = write_clip(path, frames=96, gop=12, bframes=False)
    with av.open(str(path)) as container:
        size = [packet.size for packet in container.demux(video=0) if packet.size][-1]
    _break_packet(path, 95, (size - 4).to_bytes(4) + b"\x0a")  # H.264 end of sequence
    events: list[Event] = []
    assert scanned(path, events.append) == decoded_pts(path) == written[:-1]
    assert any(isinstance(e, Notice) and "1 of 96 stored frames" in e.text for e in events)


@pytest.mark.faults
def test_damage_in_the_middle_does_not_change_the_list(tmp_path: Path) -> None:
    """It is found when the frames are made; the scan does not decode the whole video."""
    path = tmp_path / "damaged.mp4"
    written = write_clip(path, frames=96, gop=12, bframes=False)
    _break_packet(path, 40)
    assert scanned(path) == written
    with pytest.raises(DamagedInputError, match=r"damaged after 1\.30 s"):
        count_decoded(path)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["sound.mp4", "sound.mkv"])
def test_cut_sound_is_told(tmp_path: Path, name: str) -> None:
    whole, path = tmp_path / f"whole_{name}", tmp_path / name
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    sound = {"audio": ("aac",), "audio_seconds": Fraction(4)}
    write_clip(whole, frames=30, container_options=options, **sound)
    write_cut_copy(whole, path, 0.8)
    with pytest.raises(DamagedInputError, match=r"of 4\.0\d seconds of audio"):
        scanned(path)


def test_events_count_up(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_clip(path, frames=600, size=(64, 32), bframes=False)
    events: list[Event] = []
    scanned(path, events.append)
    assert events[0] == Started("scan", 600, "long.mp4")
    assert events[-1] == Finished("scan")
    steps = [event.done for event in events if isinstance(event, Advanced)]
    assert steps == [256, 512]


def test_tail_that_is_stored_but_not_shown_is_not_promised(tmp_path: Path) -> None:
    """An end of the edit list before the end of the frames, as an editor's trim leaves it."""
    path = tmp_path / "trimmed.mp4"
    write_edit_list_clip(path, hidden=5, frames=60)
    data = bytearray(path.read_bytes())
    duration = data.index(b"elst") + 12
    shown = int.from_bytes(data[duration : duration + 4])
    data[duration : duration + 4] = (shown * 2 // 3).to_bytes(4)
    path.write_bytes(data)
    times = scanned(path)
    assert times == decoded_pts(path)
    assert 0 < len(times) < 55


def test_camera_file() -> None:
    path = camera_clip()
    assert scanned(path) == decoded_pts(path)


def test_count_decoded_refuses_files_without_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        count_decoded(tmp_path / "missing.mp4")


@pytest.mark.parametrize("place", [0, 5_000_000, 9_999_999])
def test_fingerprint_sees_changes_at_head_middle_and_tail(tmp_path: Path, place: int) -> None:
    path = tmp_path / "large.bin"
    data = bytearray(10_000_000)
    path.write_bytes(data)
    before = fingerprint(path)
    data[place] = 1
    path.write_bytes(data)
    assert fingerprint(path) != before


def test_fingerprint_is_of_content_and_size(tmp_path: Path) -> None:
    first, copy = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"abc")
    shutil.copy(first, copy)
    assert fingerprint(first) == fingerprint(copy)
    assert len(fingerprint(first)) == 64
    first.write_bytes(bytes(9_000_000))
    copy.write_bytes(bytes(9_000_001))
    assert fingerprint(first) != fingerprint(copy)
    with pytest.raises(InputError, match="can't be read"):
        fingerprint(tmp_path / "missing.bin")


def _break_packet(path: Path, number: int, start: bytes = b"\xff" * 8) -> None:
    """Overwrite the start of a packet, as a bad block on a memory card does."""
    with av.open(str(path)) as container:
        position = list(container.demux(video=0))[number].pos
    assert position is not None
    data = bytearray(path.read_bytes())
    data[position : position + len(start)] = start
    path.write_bytes(data)


def _drop_packets(source: Path, target: Path, count: int) -> None:
    """Remux without the first `count` packets."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(read.demux(video=0)):
            if packet.dts is not None and number >= count:
                packet.stream = stream
                write.mux(packet)
