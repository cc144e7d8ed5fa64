"""Kills at random moments and disks that fill up: the short soak, and that the soak can see."""

from __future__ import annotations

import pytest

from support.brightness import QUICK_OPTIONS
from support.media.media_fixtures import write_clip
from support.soak import (
    CHUNKS,
    FRAMES,
    STEM,
    Soak,
    Tally,
    disk,
    made_again,
    run_arguments,
    stage_of,
)

pytestmark = pytest.mark.faults

KILLS = 8


def test_killed_and_starved_at_random_moments(tmp_path):
    clip, place = tmp_path / f"{STEM}.mp4", tmp_path / "disk"
    write_clip(clip, frames=FRAMES, audio=("aac",))
    place.mkdir()
    with disk(place) as room:
        soak = Soak([*run_arguments(clip), *QUICK_OPTIONS], room, tmp_path, seed=7)
        wanted = soak.peace()
        tally = soak.go_on(wanted, KILLS)
    assert tally.is_good, (tally.told(), tally.wrong_ends)
    assert tally.kills == KILLS
    assert tally.frames == tally.outputs * sum(map(len, wanted.values()))


# --- the soak itself -----------------------------------------------------------------------------


def test_a_difference_and_a_loss_are_seen():
    wanted = {"pictures": ["a", "b", "c"], "sound": ["x"]}
    same, other, fewer, none = Tally(), Tally(), Tally(), Tally()
    same.compare(wanted, {"pictures": ["a", "b", "c"], "sound": ["x"]})
    other.compare(wanted, {"pictures": ["a", "B", "c"], "sound": ["x"]})
    fewer.compare(wanted, {"pictures": ["a", "b"], "sound": ["x"]})
    none.compare(wanted, {"pictures": ["a", "b", "c"]})
    seen = [(tally.differing, tally.lost, tally.is_good) for tally in (same, other, fewer, none)]
    assert seen == [(0, 0, True), (1, 0, False), (0, 1, False), (0, 1, False)]


def event(name: str, chunk: int = 0, *, matte: bool = True) -> dict[str, object]:
    told = {"event": name, "chunk": chunk, "matte": matte, "process": 5}
    return told if name.startswith("chunk") else {"event": name, "process": 5}


BEGUN, PLANNED = event("run begun"), event("planned")


def test_finished_work_that_is_done_again_is_seen():
    first = [event("chunk begun"), event("chunk committed")]
    assert made_again([event("chunk begun"), *first]) == 0
    assert made_again([*first, event("chunk begun", matte=False)]) == 0
    assert made_again([*first, event("chunk begun")]) == 1


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ([], "starting"),
        ([{**BEGUN, "process": 4}, PLANNED], "starting"),
        ([BEGUN, event("notice")], "reading and looking for people"),
        ([BEGUN, PLANNED], "between chunks"),
        ([BEGUN, PLANNED, event("chunk begun")], "in a chunk"),
        ([BEGUN, PLANNED, event("chunk begun"), event("notice")], "in a chunk"),
        ([BEGUN, PLANNED, event("chunk begun"), event("chunk committed")], "between chunks"),
        (
            [BEGUN, PLANNED, *(event("chunk committed", chunk) for chunk in range(CHUNKS))],
            "joining and verifying",
        ),
        ([BEGUN, PLANNED, event("file finished")], "reporting"),
    ],
)
def test_the_stage_of_a_run_is_told_from_its_journal(events, stage):
    assert stage_of(events, 5) == stage
