from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from vrmatte.errors import OutputError
from vrmatte.profiling.machine_use import MachineUse
from vrmatte.profiling.run_profile import (
    CLOSE_FILES,
    STATE,
    WAIT_FOR_FRAMES,
    Profile,
    RunProfile,
    StageProfile,
    load_profile,
    profile_of,
    save_profile,
    summed_up,
)
from vrmatte.profiling.stopwatch import Stopwatch

USE = MachineUse(
    wall_seconds=2.0,
    cpu_seconds=3.5,
    rss_peak_bytes=900,
    rss_bytes=800,
    gpu_seconds=None,
    vram_peak_bytes=None,
    read_bytes=None,
    written_bytes=70,
)


def profile(frames=8, wall_ms=100.0, **stages: float) -> Profile:
    rows = {name.replace("_", " "): StageProfile(ms / 2, ms, 1.0) for name, ms in stages.items()}
    return Profile(frames, wall_ms, 150.0, rows, 500, 400, None, None, 10, 20)


def test_what_the_system_does_not_count_is_taken_from_the_files():
    made = profile_of(Stopwatch(), USE, 8, (33, 44))
    assert (made.read_bytes, made.written_bytes) == (33, 70)


def test_times_are_milliseconds_and_stages_in_the_order_of_the_work():
    watch = Stopwatch()
    for name in (CLOSE_FILES, "a stranger", "file:b", "matte", "file:a", STATE, "decode"):
        with watch.stage(name):
            pass
    made = profile_of(watch, USE, 8, (0, 0))
    assert list(made.stages) == [
        STATE,
        "decode",
        "matte",
        "file:a",
        "file:b",
        CLOSE_FILES,
        "a stranger",
    ]
    assert (made.wall_ms, made.cpu_ms, made.frames_per_second) == (2000, 3500, 4)


def test_waiting_for_the_decoder_is_no_work():
    watch = Stopwatch()
    with watch.stage(WAIT_FOR_FRAMES):
        threading.Event().wait(0.02)
    stage = profile_of(watch, USE, 8, (0, 0)).stages[WAIT_FOR_FRAMES]
    assert stage.wall_ms == 0
    assert stage.wait_ms >= 20


def test_what_is_loaded_is_what_was_saved(tmp_path):
    path = tmp_path / "profile.json"
    kept = replace(profile(matte=60.0, decode=30.0), gpu_ms=12.5, vram_peak_bytes=7)
    file = save_profile(kept, ["matte"], "key", path)
    assert (file.path, file.frames) == (path, 8)
    assert load_profile(path) == kept
    assert [p.name for p in tmp_path.iterdir()] == ["profile.json"]


def test_passes_over_a_chunk_add_up_and_its_frames_do_not(tmp_path):
    path = tmp_path / "profile.json"
    save_profile(profile(matte=60.0, decode=30.0), ["matte", "state"], "key", path)
    save_profile(profile(decode=20.0), ["file:greenscreen"], "key", path)
    both = load_profile(path)
    assert (both.frames, both.wall_ms, both.written_bytes) == (8, 200, 40)
    assert {name: stage.wall_ms for name, stage in both.stages.items()} == {
        "decode": 50,
        "matte": 60,
    }


def test_pieces_that_are_made_anew_count_once(tmp_path):
    path = tmp_path / "profile.json"
    save_profile(profile(matte=60.0), ["matte", "state"], "key", path)
    save_profile(profile(decode=20.0), ["file:greenscreen"], "key", path)
    save_profile(profile(matte=70.0), ["matte", "state", "stereo"], "key", path)
    assert [row["made"] for row in json.loads(path.read_text())["passes"]] == [
        ["file:greenscreen"],
        ["matte", "state", "stereo"],
    ]


@pytest.mark.parametrize(
    "before",
    [
        '{"key": "another", "passes": [{"made": ["file:a"]}]}',
        '{"key": "key", "passes": [{"made": ["file:a"]}]}',
        '{"key": "key", "passes": 5}',
        '{"key": "key"}',
        "[]",
        "half a fi",
    ],
)
def test_what_stood_there_of_other_mattes_or_damaged_is_dropped(tmp_path, before):
    path = tmp_path / "profile.json"
    path.write_text(before)
    save_profile(profile(matte=60.0), ["matte"], "key", path)
    assert load_profile(path) == profile(matte=60.0)


@pytest.mark.parametrize("content", ["", "{}", '{"passes": []}', '{"passes": [{"made": []}]}'])
def test_a_damaged_profile_is_refused_by_name(tmp_path, content):
    path = tmp_path / "profile.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"profile\.json: is missing or damaged"):
        load_profile(path)


def test_a_link_in_the_way_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / "profile.json.part").symlink_to(elsewhere)
    save_profile(profile(), ["matte"], "key", tmp_path / "profile.json")
    assert elsewhere.read_text() == "precious"


def test_a_profile_that_can_t_be_written_says_so(tmp_path):
    with pytest.raises(OutputError):
        save_profile(profile(), ["matte"], "key", tmp_path / "missing" / "profile.json")


def test_a_run_has_all_chunks_frames_and_the_highest_memory():
    second = replace(profile(frames=4, matte=20.0), rss_peak_bytes=700, rss_bytes=300, gpu_ms=5.0)
    run = RunProfile.of({0: profile(matte=60.0, decode=10.0), 1: second})
    in_all = run.in_all
    assert (in_all.frames, in_all.wall_ms, in_all.per_frame(in_all.wall_ms)) == (12, 200, 200 / 12)
    assert (in_all.rss_peak_bytes, in_all.rss_bytes) == (700, 300)
    assert (in_all.gpu_ms, in_all.vram_peak_bytes) == (5.0, None)
    assert in_all.stages["matte"] == StageProfile(40, 80, 2)
    assert in_all.stages["decode"] == StageProfile(5, 10, 1)


def test_nothing_adds_up_to_nothing():
    none = summed_up([], 0)
    assert (none.frames_per_second, none.per_frame(5)) == (0, 0)
