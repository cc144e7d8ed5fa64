from __future__ import annotations

import json

import pytest

from vrmatte.errors import OutputError
from vrmatte.quality.stereo_findings import load_findings, save_findings, summed_up
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.stereo.score import Agreement


def finding(frame, score=0.97, person=1, done="balanced"):
    found = Agreement(score, 0.03, 0.4, 0.001, 0.96, 0.5)
    return StereoFinding(frame, person, found, done, flagged=score < 0.95)


def test_what_is_saved_is_loaded(tmp_path):
    findings = [finding(3), finding(3, 0.52, 2, "corrected"), finding(4, person=None)]
    saved = save_findings(findings, tmp_path / "stereo.json")
    assert saved.frames == 2
    assert load_findings(tmp_path / "stereo.json") == findings
    assert [path.name for path in tmp_path.iterdir()] == ["stereo.json"]


def test_numbers_are_rounded_to_what_they_mean(tmp_path):
    save_findings([finding(0, 0.123456789)], tmp_path / "stereo.json")
    (row,) = json.loads((tmp_path / "stereo.json").read_text())
    assert row["agreement"]["iou"] == 0.1235
    assert row["frame"] == 0
    assert row["flagged"] is True


def test_nothing_found_is_a_file_too(tmp_path):
    assert save_findings([], tmp_path / "stereo.json").frames == 0
    assert load_findings(tmp_path / "stereo.json") == []
    assert summed_up([]) == []


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(OutputError):
        save_findings([finding(0)], tmp_path / "no such folder" / "stereo.json")


def test_one_line_for_each_person():
    findings = [
        *(finding(frame, person=2) for frame in (0, 1)),
        *(finding(frame, 0.4, 1, "corrected") for frame in (7, 5, 6, 9)),
        finding(8, 0.93, 1),
        finding(4, 0.96, 1),
        finding(0, person=None),
    ]
    nobody, first, second = summed_up(findings)
    assert nobody.person is None
    assert (first.person, second.person) == (1, 2)
    assert first.frames == 6
    assert first.worst == 0.4
    assert first.worst_frame == 5, "the first of equals"
    assert first.mean == pytest.approx((4 * 0.4 + 0.93 + 0.96) / 6, abs=1e-4)
    assert first.flagged == ((5, 9),)
    assert first.corrected == ((5, 7), (9, 9))
    assert second.flagged == second.corrected == ()
    assert second.mean == second.worst == 0.97
