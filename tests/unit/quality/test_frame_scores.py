from __future__ import annotations

import json

import pytest

from vrmatte.errors import OutputError
from vrmatte.quality.frame_scores import (
    ContourScore,
    FrameScore,
    MotionScore,
    load_scores,
    save_scores,
)

CONTOUR = ContourScore(812, 0.1234, 2.2, None, None)
MOTION = MotionScore(0.02, 0.2, 0.25, -0.01, 0, 1)


def score(frame, **other):
    whole = {"eye": "left", "person": None, "area": 0.1, "fine_share": 0.02, "softness_px": 1.3}
    parts = {"coverage": None, "motion": None, "contour": None}
    return FrameScore(frame=frame, **(whole | parts | other))


def test_what_is_saved_is_loaded(tmp_path):
    scores = [score(3), score(3, person=2, eye="right", coverage=0.4), score(4, motion=MOTION)]
    scores.append(score(8, motion=MOTION, contour=CONTOUR))
    saved = save_scores(scores, tmp_path / "scores.json")
    assert saved.frames == 3
    assert load_scores(tmp_path / "scores.json") == scores
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_numbers_are_rounded_to_what_they_mean(tmp_path):
    motion = MotionScore(0.123456789, 0.2, 0.25, -0.01, 0, 1)
    save_scores([score(0, motion=motion)], tmp_path / "scores.json")
    (row,) = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert row["motion"]["band_difference"] == 0.1235


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "scores": [{"frame": 1}]}'])
def test_a_damaged_file_is_told(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(OutputError, match=r"scores\.json: is missing or damaged"):
        load_scores(path)


def test_scores_of_another_version_are_none(tmp_path):
    path = tmp_path / "scores.json"
    save_scores([score(0)], path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 0'))
    assert load_scores(path) == []


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(OutputError):
        save_scores([score(0)], tmp_path / "no such folder" / "scores.json")
