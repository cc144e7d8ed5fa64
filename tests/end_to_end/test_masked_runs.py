"""Whole runs of engine `sam2`, with a stand-in for the network that follows and the one that finds.

What is tested is the way between them: detector, people.json, prompts, masks, mattes, files, keys.
"""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from support.faults import around
from support.media.media_fixtures import people_picture, write_clip
from vrmatte.commands.preview import preview_frame
from vrmatte.commands.run import matte_video
from vrmatte.frames import EYES, HeldSpan, half_of
from vrmatte.media.damage import read_timeline
from vrmatte.media.decode import read_grey
from vrmatte.media.probe import probe
from vrmatte.pipeline import _read_ahead
from vrmatte.profiling.stopwatch import Stopwatch
from vrmatte.progress import ignore
from vrmatte.settings.config import Config, PeopleConfig

FRAMES = 14


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "walk_LR_180.mp4"
    write_clip(path, size=(512, 256), frames=FRAMES, draw=people_picture)
    return path


def settings(chunk, **matting):
    return Config.model_validate(
        {
            "processing": {"chunk_size": chunk},
            "detection": {"model": "brightness", "interval_frames": 4},
            "matting": {
                "engine": "sam2",
                "mask_model": "brightness",
                "refiner": "guided",
                **matting,
            },
            "output": {"deliver": ["matte-lossless"], "encoder": "software", "report": "json"},
            "hardware": {"device": "cpu"},
        }
    )


def mattes(out):
    (path,) = out.glob("*matte*.mkv")
    return [matte for _, matte in read_grey(path)]


def test_found_followed_matted_and_left_out(clip, tmp_path):
    whole, chunked = tmp_path / "whole", tmp_path / "chunked"
    matte_video(clip, whole, settings(FRAMES))
    made = mattes(whole)
    assert len(made) == FRAMES
    for index in (0, 7, 13):
        for number, eye in enumerate(EYES):
            half = half_of(made[index], eye)
            middle = round((0.4 + 0.02 * index + 0.06 * number) * 256)
            assert half[128, middle] > 250
            assert half[128, max(0, middle - 90)] == 0
            assert half[20, middle] == 0
    matte_video(clip, chunked, settings(5))
    # The memory is saved with each chunk, so cutting changes nothing.
    assert all(np.array_equal(a, b) for a, b in zip(made, mattes(chunked), strict=True))

    (document,) = whole.glob("*_people.json")
    tree = json.loads(document.read_text())
    assert len(tree["people"]) == 1
    tree["people"][0]["keep"] = False
    document.write_text(json.dumps(tree))
    matte_video(clip, whole, settings(FRAMES))
    assert not any(matte.any() for matte in mattes(whole))


def test_a_preview_shows_the_matte_of_the_run(clip, tmp_path):
    out = tmp_path / "out"
    matte_video(clip, out, settings(FRAMES))
    (document,) = out.glob("*_people.json")
    config = settings(FRAMES).model_copy(update={"people": PeopleConfig(file=document)})
    preview = preview_frame(clip, 0, tmp_path / "preview.png", config)
    # The engine follows the person only if it is prompted; without prompts nobody is in the matte.
    assert preview.covered == pytest.approx(float(np.mean(mattes(out)[0])) / 255, abs=1e-5)
    assert preview.covered > 0.005


def test_points_by_hand_reach_the_mask_source(clip, tmp_path, monkeypatch):
    asked = []
    masks = "vrmatte.masks.brightness.BrightMasks.masks"
    around(monkeypatch, masks, lambda *of: asked.extend(of[-1]))
    out = tmp_path / "out"
    matte_video(clip, out, settings(FRAMES))
    (document,) = out.glob("*_people.json")
    tree = json.loads(document.read_text())
    tree["people"][0]["points"] = [
        {"frame": 6, "eye": "left", "at": [0, 0]},
        {"frame": 6, "eye": "left", "at": [-20, 10], "is_person": False},
    ]
    document.write_text(json.dumps(tree))
    asked.clear()
    matte_video(clip, out, settings(FRAMES))
    pointed = [prompt for prompt in asked if prompt.points]
    assert [[point.is_person for point in prompt.points] for prompt in pointed] == [[True, False]]
    assert pointed[0].picture == 0


def test_frames_are_read_ahead_beyond_a_chunk_and_never_those_that_others_stand_in_for(clip):
    source = probe(clip)
    line = read_timeline(source, "stop", ignore, None)
    held = replace(line, held=(HeldSpan(5, 7, 4),))
    for timeline, expected in ((line, [4, 5, 6, 7, 8]), (held, [4, 7, 8])):
        plan, watch = SimpleNamespace(source=source, timeline=timeline), Stopwatch()
        read = list(_read_ahead(plan, watch, 4, 9))
        assert [index for index, _ in read] == expected
        assert all(frame.pts == line.pts[index] for index, frame in read)
        assert "decode" in watch.seconds
        assert [i for i, _ in _read_ahead(plan, watch, 12, 40)] == [12, 13], "there the video ends"
