from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from support.media.media_fixtures import write_clip
from vrmatte.errors import VerificationError
from vrmatte.media.containers.copied_streams import choose_carried
from vrmatte.media.verify import verify_copies


def copy(source: Path, target: Path, change: Callable[[int, Any], Any], streams: int = 9) -> None:
    """Copy all packets; `change` gets number and packet of the sound, None drops it."""
    with av.open(str(source)) as opened, av.open(str(target), "w") as output:
        copies = {
            s.index: output.add_stream_from_template(s) for s in list(opened.streams)[:streams]
        }
        number = 0
        for packet in opened.demux():
            if not packet.size or packet.stream_index not in copies:
                continue
            index = packet.stream_index
            if index > 0:
                packet = change(number, packet)
                number += 1
            if packet is not None:
                packet.stream = copies[index]
                output.mux(packet)


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source.mp4"
    write_clip(path, frames=30, audio=("aac",), bframes=False)
    return path


def same(_number: int, packet: Any) -> Any:
    return packet


def test_a_true_copy_passes(tmp_path, source):
    copy(source, tmp_path / "copy.mp4", same)
    (digest,) = verify_copies(tmp_path / "copy.mp4", source, [1])
    assert (digest.packets, len(digest.sha256)) == (48, 64)


def test_nothing_carried_is_nothing_to_check(source):
    assert verify_copies(source, source, []) == []


def test_a_changed_byte(tmp_path, source):
    def change(number, packet):
        if number != 20:
            return packet
        data = bytearray(bytes(packet))
        data[-1] ^= 1
        other = av.Packet(bytes(data))
        other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
        return other

    copy(source, tmp_path / "copy.mp4", change)
    with pytest.raises(VerificationError, match="copy of source stream 1 differs"):
        verify_copies(tmp_path / "copy.mp4", source, [1])


def test_a_lost_packet(tmp_path, source):
    copy(source, tmp_path / "copy.mp4", lambda n, p: None if n == 20 else p)
    with pytest.raises(VerificationError, match=r"47 packets .* instead of 48"):
        verify_copies(tmp_path / "copy.mp4", source, [1])


def test_a_lost_stream(tmp_path, source):
    copy(source, tmp_path / "copy.mp4", same, streams=1)
    with pytest.raises(VerificationError, match="contains 0 of 1"):
        verify_copies(tmp_path / "copy.mp4", source, [1])


@pytest.mark.parametrize("late", [range(48), range(20, 48)])
def test_sound_out_of_step(tmp_path, source, late):
    def change(number, packet):
        if number in late:
            packet.pts += 480
            packet.dts += 480
        return packet

    copy(source, tmp_path / "copy.mp4", change)
    with pytest.raises(VerificationError, match=r"packet \d+ starts at"):
        verify_copies(tmp_path / "copy.mp4", source, [1])


def test_a_part_is_compared_with_that_part(tmp_path, source):
    start, end = Fraction(1, 4), Fraction(3, 4)

    def change(_number, packet):
        if not start <= packet.pts * packet.time_base < end:
            return None
        packet.pts -= 12000
        packet.dts -= 12000
        return packet

    copy(source, tmp_path / "copy.mp4", change)
    (digest,) = verify_copies(tmp_path / "copy.mp4", source, [1], (start, end))
    assert digest.packets == 24
    with pytest.raises(VerificationError):
        verify_copies(tmp_path / "copy.mp4", source, [1])


def test_pcm_may_be_cut_into_other_packets(tmp_path):
    source, target = tmp_path / "source.mkv", tmp_path / "copy.mov"
    write_clip(source, frames=30, audio=("pcm_s16le",), bframes=False)
    copy(source, target, same)
    (digest,) = verify_copies(target, source, [1])
    assert digest.bytes == 30 * 1001 * 48000 // 30000 * 4


def test_a_stream_no_container_takes_is_told(tmp_path):
    text, source = tmp_path / "words.srt", tmp_path / "source.mkv"
    text.write_text("1\n00:00:00,100 --> 00:00:00,300\nhello\n")
    plain = tmp_path / "plain.mp4"
    write_clip(plain, frames=5, bframes=False)
    with (
        av.open(str(plain)) as clip,
        av.open(str(text)) as words,
        av.open(str(source), "w") as output,
    ):
        copies = [output.add_stream_from_template(c.streams[0]) for c in (clip, words)]
        for container, stream in zip((clip, words), copies, strict=True):
            for packet in container.demux():
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    assert choose_carried(source, [1], "matroska").indices == (1,)
    carried = choose_carried(source, [1], "mp4")
    assert carried.indices == ()
    (dropped,) = carried.dropped
    assert (dropped.stream_index, dropped.reason) == (1, "mp4 doesn't support it")
