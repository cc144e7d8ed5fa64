from __future__ import annotations

import pytest

from vrmatte.geometry.person_scores import PersonScores


def test_scores_run_evenly_between_boxes_and_stand_still_beyond():
    scores = PersonScores(1, (10, 20), (0.6, 0.8))
    assert [scores.at(frame) for frame in (0, 10, 15, 20, 90)] == pytest.approx(
        [0.6, 0.6, 0.7, 0.8, 0.8]
    )


@pytest.mark.parametrize(("frames", "scores"), [((), ()), ((1,), ()), ((2, 1), (0.5, 0.5))])
def test_what_is_no_course_of_scores_is_refused(frames, scores):
    with pytest.raises(ValueError, match="person 3"):
        PersonScores(3, frames, scores)
