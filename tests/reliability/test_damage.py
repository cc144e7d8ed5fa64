"""A damaged source gives whole files, and everything that was damaged is told."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.faults import around
from support.media.damaged_files import break_heads, flip_bits
from support.media.media_fixtures import write_clip, write_cut_copy, write_faststart_clip
from support.run_logs import begun_chunks
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import DamagedInputError
from vrmatte.progress import Advanced, Started
from vrmatte.settings.config import Config

pytestmark = pytest.mark.faults

FRAMES = 48


def settings(on_damage: str, **more: object) -> Config:
    return brightness_config(
        MATTES_ALONE,
        {
            "input": {"on_damage": on_damage, **more},
            "output": {
                "deliver": ["matte-lossless", "greenscreen"],
                "encoder": "software",
                "report": "json",
            },
            "processing": {"chunk_size": 12, "overlap_frames": 4},
        },
    )


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, gop=12, audio=("aac",), options={"sc_threshold": "0"})
    return path


def digests(folder: Path) -> dict[str, str]:
    files = [*folder.glob("*.mp4"), *folder.glob("*.mkv")]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def test_hold_keeps_count_and_times_and_tells(tmp_path, clip):
    planned = times_of(clip)
    flip_bits(clip, (16,))
    out = tmp_path / "out"
    report = matte_video(clip, out, settings("hold"))
    assert report.frames == FRAMES
    assert times_of(out / "clip_LR_180_greenscreen.mp4") == planned
    told = json.loads((out / "clip_LR_180_report.json").read_text())["damage"]
    assert told["on_damage"] == "hold"
    first, last = told["ranges"][0]["first_frame"], told["ranges"][-1]["last_frame"]
    assert 12 <= first <= 16 < last <= 23
    assert any(
        f"frames are damaged, or predicted from damaged ones: {first} to" in n
        for n in report.notices
    )


def test_a_rerun_and_a_resumed_run_give_the_same_bytes(tmp_path, clip):
    break_heads(clip, (16, 24))
    matte_video(clip, tmp_path / "whole", settings("hold"))
    steps: list[str] = []

    def note(event):
        if isinstance(event, Started):
            steps.append(event.label)

    def dies(event):
        note(event)
        if isinstance(event, Advanced) and event.stage == "matte" and event.done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        matte_video(clip, tmp_path / "stopped", settings("hold"), observer=dies)
    assert any("damage" in step for step in steps)
    steps.clear()
    matte_video(clip, tmp_path / "stopped", settings("hold"), observer=note)
    assert not any("damage" in step for step in steps), "damage is looked for once"
    assert digests(tmp_path / "stopped") == digests(tmp_path / "whole")


def test_from_stop_to_hold_only_damaged_chunks_are_made(tmp_path, clip):
    """What was made before the damage is kept: its keys don't know the policy."""
    break_heads(clip, (30,))
    with pytest.raises(DamagedInputError, match=r"frame \d+ at .*--on-damage hold"):
        matte_video(clip, tmp_path / "out", settings("stop"))
    before = len(begun_chunks(tmp_path / "out"))
    matte_video(clip, tmp_path / "out", settings("hold"))
    assert [line["chunk"] for line in begun_chunks(tmp_path / "out")[before:]] == [2, 3]


def test_a_clean_file_is_made_once_whatever_the_policy(tmp_path, clip):
    matte_video(clip, tmp_path / "out", settings("stop"))
    before = digests(tmp_path / "out")
    begun = begun_chunks(tmp_path / "out")
    for policy in ("hold", "partial"):
        report = matte_video(clip, tmp_path / "out", settings(policy))
        assert report.damage is None
    assert begun_chunks(tmp_path / "out") == begun
    assert digests(tmp_path / "out") == before


def test_partial_stops_before_the_damage_and_cuts_the_sound(tmp_path, clip):
    planned = times_of(clip)
    break_heads(clip, (30,))
    out = tmp_path / "out"
    report = matte_video(clip, out, settings("partial"))
    assert report.damage is not None
    first = report.damage["ranges"][0]["first_frame"]
    assert report.frames == first
    made = out / "clip_LR_180_greenscreen.mp4"
    assert times_of(made) == planned[:first]
    with av.open(str(made)) as container:
        ends = [
            float((p.pts + p.duration) * p.time_base) for p in container.demux(audio=0) if p.size
        ]
    # The last packet of sound begins before the end; AAC packets last 21 ms.
    assert abs(max(ends) - float(planned[first])) < 0.022
    assert any("before the first damaged frame" in n for n in report.notices)


def test_partial_after_the_damage_is_whole(tmp_path, clip):
    break_heads(clip, (16,))
    report = matte_video(clip, tmp_path / "out", settings("partial", start=0.85))
    assert report.frames == FRAMES - 26


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("policy", ["hold", "partial"])
def test_a_cut_file_is_made_as_far_as_it_goes(tmp_path, suffix, policy):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"clip_LR_180{suffix}"
    write = write_faststart_clip if suffix == ".mp4" else write_clip
    write(whole, frames=FRAMES, gop=12, audio=("aac",))
    write_cut_copy(whole, path, 0.6)
    report = matte_video(path, tmp_path / "out", settings(policy))
    assert 8 < report.frames < FRAMES
    assert any("is cut off" in n for n in report.notices)


def test_lost_sound_costs_no_frame(tmp_path):
    whole, path = tmp_path / "whole.mkv", tmp_path / "clip_LR_180.mkv"
    write_clip(whole, frames=24, audio=("aac",), audio_seconds=Fraction(3))
    write_cut_copy(whole, path, 0.8)
    report = matte_video(path, tmp_path / "out", settings("partial"))
    assert report.frames == 24
    assert any("seconds of audio" in n for n in report.notices)


def test_scouts_see_a_damaged_file(tmp_path, monkeypatch):
    """The first look at a video reads through damage, too."""
    from vrmatte.commands import scout as scouting

    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=24, gop=12)
    break_heads(path, (4, 14))
    seen: list[int] = []

    def look(document, source, identity, timeline, config, observer):
        from vrmatte.media.samples import key_frames, read_at

        seen.extend(
            i for i, _ in read_at(source, timeline, range(24), key_frames(source, timeline))
        )
        raise LookupError

    around(monkeypatch, "vrmatte.commands.scout.load_or_scout", look)
    with pytest.raises(LookupError):
        scouting.scout_video(path, tmp_path / "out", settings("hold"))
    assert seen == list(range(24))


def test_verify_finds_files_of_a_cut_source_as_promised(tmp_path):
    """Laid out again under `stop`, the plan would refuse the very source they were made of."""
    whole, clip = tmp_path / "whole_LR_180.mp4", tmp_path / "clip_LR_180.mp4"
    write_faststart_clip(whole, frames=FRAMES)
    clip.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    matte_video(clip, tmp_path / "out", settings("hold"))
    assert [piece.problem for piece in verify_output(tmp_path / "out")] == [None, None, None]
