from __future__ import annotations

from typing import Any

from vrmatte.quality.summary import score_lines


def figure(measure: str, median: float, worst: float, **more: Any) -> dict[str, Any]:
    told = {"eye": "left", "person": None, "frames": 10, "beyond": 0}
    return {"measure": measure, "median": median, "worst": worst, **told, **more}


def test_eyes_and_summaries_are_told_together():
    (line,) = score_lines(
        [
            figure("jaggedness_px", 0.2, 0.3, frames=30, beyond=2),
            figure("jaggedness_px", 0.4, 0.9, frames=10, beyond=5, eye="right"),
        ]
    )
    assert (line.measure, line.unit) == ("jaggedness_px", "px")
    assert line.median == 0.25
    assert (line.worst, line.beyond, line.frames) == (0.9, 7, 40)


def test_the_bad_side_is_the_measures_own():
    eyes = [figure("fine_kept", 0.9, 0.5), figure("fine_kept", 0.9, 0.8)]
    assert score_lines(eyes)[0].worst == 0.5


def test_single_people_and_what_was_never_seen_are_left_out():
    assert not score_lines(
        [figure("coverage", 0.5, 0.1, person=1), figure("unrest", 0, 0, frames=0)]
    )
