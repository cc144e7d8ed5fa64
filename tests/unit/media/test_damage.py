from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.media.damaged_files import break_heads, flip_bits, lose_packets
from support.media.media_fixtures import (
    write_clip,
    write_cut_copy,
    write_edit_list_clip,
    write_faststart_clip,
)
from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import HeldSpan, Timeline
from vrmatte.media import decode
from vrmatte.media.damage import damage_report, end_before_damage, read_timeline
from vrmatte.media.decode import read_frames
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.samples import key_frames, read_at
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import Notice, ignore

CLIP = {"frames": 60, "gop": 12, "options": {"sc_threshold": "0"}}
HEVC = {"codec": "libx265", "frames": 60, "gop": 12}


def pictures(source: SourceInfo, line: Timeline, step: int = 1000) -> list[bytes]:
    """All frames, read in spans of `step`, each seen to be at its time."""
    found: list[bytes] = []
    for first in range(0, len(line), step):
        for frame in read_frames(source, line, first, min(first + step, len(line))):
            assert frame.pts == line.pts[len(found)]
            found.append(frame.y.tobytes() + frame.u.tobytes())
    return found


def held_in(path: Path) -> tuple[SourceInfo, Timeline]:
    source = probe(path)
    return source, read_timeline(source, "hold", ignore)


def indices(line: Timeline) -> set[int]:
    return {index for span in line.held for index in range(span.first, span.last)}


@pytest.mark.faults
@pytest.mark.parametrize("damage", [flip_bits, break_heads])
@pytest.mark.parametrize("numbers", [(0,), (2, 13), (30,), (31,), (52,), (59,)])
@pytest.mark.parametrize(("suffix", "slices"), [(".mp4", 1), (".mkv", 1), (".mp4", 4)])
def test_nothing_damaged_is_shown_and_nothing_moves(tmp_path, damage, numbers, suffix, slices):
    path = tmp_path / f"clip{suffix}"
    write_clip(path, **{**CLIP, "options": {**CLIP["options"], "slices": str(slices)}})
    source = probe(path)
    line = scan_timeline(source, ignore)
    whole = pictures(source, line)
    if suffix == ".mp4" or damage is flip_bits:
        damage(path, numbers)
    source, found = held_in(path)
    shown = pictures(source, found)
    assert found.pts.tolist() == line.pts.tolist()
    assert found.end_pts == line.end_pts
    held = indices(found)
    assert all(shown[i] == whole[i] for i in range(60) if i not in held)
    for span in found.held:
        assert span.shown == (span.first - 1 if span.first else span.last)
        assert {shown[i] for i in range(span.first, span.last)} == {whole[span.shown]}
    assert pictures(source, found, 7) == shown
    # Whatever is predicted from a damaged frame ends at the next key frame.
    assert len(held) <= 12 * len(numbers) + 2


@pytest.mark.faults
@pytest.mark.parametrize("numbers", [(5,), (30,), (40,)])
def test_stop_names_the_frame(tmp_path, numbers):
    path = tmp_path / "clip.mp4"
    write_clip(path, **CLIP)
    flip_bits(path, numbers)
    source, found = held_in(path)
    assert found.held
    line = scan_timeline(source, ignore)
    with pytest.raises(DamagedInputError, match=r"frame \d+ at \d\.\d{3} s .*--on-damage") as told:
        pictures(source, line)
    named = int(str(told.value).split("frame ")[1].split()[0])
    assert named in indices(found)


@pytest.mark.faults
def test_what_comes_before_the_start_taints_what_follows(tmp_path):
    """Frame 35 decodes without a word, from a corrupt reference that nobody asked for."""
    path = tmp_path / "clip.mp4"
    write_clip(path, **CLIP)
    flip_bits(path, (27,))
    source, found = held_in(path)
    assert 35 in indices(found)
    line = scan_timeline(source, ignore)
    with pytest.raises(DamagedInputError, match="frame 35"):
        list(read_frames(source, line, 35, 36))
    assert len(list(read_frames(source, line, 36, 48))) == 12


@pytest.mark.faults
def test_a_frame_nothing_is_predicted_from_damages_none_but_itself(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, **HEVC)
    import av

    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        number = next(i for i, p in enumerate(packets) if p.is_disposable and i > 20)
        time = packets[number].pts
    break_heads(path, [number])
    _, found = held_in(path)
    (span,) = found.held
    assert (found.pts[span.first], span.last - span.first) == (time, 1)


@pytest.mark.faults
def test_frames_lost_in_the_middle_are_not_left_out_in_silence(tmp_path):
    """HEVC drops what it has no references for; the first 24 frames are looked at by the scan."""
    path = tmp_path / "clip.mp4"
    write_clip(path, **HEVC)
    break_heads(path, (5,))
    source, found = held_in(path)
    assert len(found) == 60
    assert found.held
    with pytest.raises(DamagedInputError):
        scan_timeline(source, ignore)


@pytest.mark.faults
def test_transport_streams_tell_lost_frames(tmp_path):
    whole, path = tmp_path / "whole.ts", tmp_path / "clip.ts"
    write_clip(whole, **CLIP)
    lose_packets(whole, path, (30,))
    source, found = held_in(path)
    assert len(found) == 59
    good = dict(zip((line := held_in(whole))[1].pts.tolist(), pictures(*line), strict=True))
    shown = dict(zip(found.pts.tolist(), pictures(source, found), strict=True))
    held = {int(found.pts[i]) for i in indices(found)}
    offset = int(found.pts[0]) - int(line[1].pts[0])
    assert all(shown[t] == good[t - offset] for t in shown if t not in held)
    with pytest.raises(DamagedInputError, match=r"frames are missing \(1 gaps, the first at"):
        scan_timeline(source, ignore)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "trimmed.mp4", "vfr.mp4"])
def test_a_clean_file_is_the_same_for_all(tmp_path, name):
    path = tmp_path / name
    if name == "trimmed.mp4":
        write_edit_list_clip(path, hidden=5, frames=40)
    elif name == "vfr.mp4":
        write_clip(path, pts=[0, 500, 1600, 1700, 4000, 9000, 9001], time_base=None)
    else:
        write_clip(path, audio=("aac",), **CLIP)
    source = probe(path)
    told: list[object] = []
    found = read_timeline(source, "hold", told.append)
    line = scan_timeline(source, ignore)
    assert (found.held, found.pts.tolist(), found.end_pts) == ((), line.pts.tolist(), line.end_pts)
    assert not [event for event in told if isinstance(event, Notice)]


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cut_files_are_used_as_far_as_they_go(tmp_path, suffix):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write = write_faststart_clip if suffix == ".mp4" else write_clip
    times = write(whole, audio=("aac",), **CLIP)
    write_cut_copy(whole, path, 0.6)
    source = probe(path)
    told: list[object] = []
    found = read_timeline(source, "hold", told.append)
    assert 5 < len(found) < 60
    if suffix == ".mp4":
        assert found.pts.tolist() == times[: len(found)]
    assert len(pictures(source, found)) == len(found)
    assert any(isinstance(e, Notice) and "is cut off" in e.text for e in told)


@pytest.mark.faults
def test_sound_that_is_cut_costs_no_frame(tmp_path):
    from fractions import Fraction

    whole, path = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_clip(whole, frames=30, audio=("aac",), audio_seconds=Fraction(4))
    write_cut_copy(whole, path, 0.8)
    told: list[object] = []
    found = read_timeline(probe(path), "hold", told.append)
    assert (len(found), found.held) == (30, ())
    assert any(isinstance(e, Notice) and "seconds of audio" in e.text for e in told)


@pytest.mark.faults
def test_samples_of_damaged_places_are_had(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, **CLIP)
    break_heads(path, (24, 30))
    source, found = held_in(path)
    wanted = [0, 25, 33, 59]
    got = [i for i, _ in read_at(source, found, wanted, key_frames(source, found))]
    assert got == wanted


@pytest.mark.faults
def test_a_file_without_a_whole_frame_is_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=20, gop=250)
    source = probe(path)
    break_heads(path, range(20))
    with pytest.raises(DamagedInputError, match="no frame is intact"):
        read_timeline(source, "hold", ignore)


def line_with(*held: HeldSpan) -> Timeline:
    from fractions import Fraction

    return Timeline(np.arange(100) * 1001, Fraction(1, 30000), 100100, held)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, 10 * 1001 / 30000),
        (None, 0.2, 0.2),
        (0.5, None, 40 * 1001 / 30000),
        (2.0, None, None),
    ],
)
def test_a_part_ends_before_its_own_first_damage(tmp_path, start, end, expected):
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=4)
    line = line_with(HeldSpan(10, 12, 9), HeldSpan(40, 41, 39))
    assert end_before_damage(probe(path), line, start, end) == expected


def test_a_part_that_begins_with_damage_is_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=4)
    line = line_with(HeldSpan(10, 20, 9))
    with pytest.raises(DamagedInputError, match=r"frame 15 at 0\.50\d s, the first to process"):
        end_before_damage(probe(path), line, 15 * 1001 / 30000, None)


def test_the_report_names_frames_and_seconds():
    told = damage_report(line_with(HeldSpan(10, 12, 9), HeldSpan(99, 100, 98)), "hold")
    assert told["frames"] == 3
    assert told["ranges"][0] == {
        "first_frame": 10,
        "last_frame": 11,
        "start_seconds": 0.333667,
        "end_seconds": 0.4004,
        "frame_shown": 9,
    }
    assert told["ranges"][1]["end_seconds"] == 3.336667


def test_a_file_that_gives_packets_without_end_is_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=20)
    source = replace(probe(path), size_bytes=10)  # fewer bytes than packets
    with pytest.raises(InputError, match="gives more than 10 packets"):
        scan_timeline(source, ignore)


@pytest.mark.timeout(60)
def test_a_decoder_without_end_is_left(tmp_path, monkeypatch):
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=8)
    source = probe(path)
    line = scan_timeline(source, ignore)
    real = decode.decode_after_seek

    def endless(*arguments, **options):
        first = next(real(*arguments, **options))
        return itertools.repeat(first)

    monkeypatch.setattr(decode, "decode_after_seek", endless)
    with pytest.raises(DamagedInputError, match="frame 1 at"):
        list(read_frames(source, line, 0, 8))


@pytest.mark.faults
def test_a_hole_in_matroska_is_told(tmp_path):
    """Its reader finds the next whole cluster, and says nothing of what it skipped."""
    path = tmp_path / "clip.mkv"
    write_clip(path, frames=60, gop=12)
    break_heads(path, (25,))
    told: list[object] = []
    line = scan_timeline(probe(path), told.append)
    assert len(line) < 60
    assert any(isinstance(e, Notice) and "only one frame from 0.80" in e.text for e in told)
