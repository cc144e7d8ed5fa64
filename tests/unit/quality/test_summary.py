"""Series, figures, events and worst frames of made-up scores."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from vrmatte.quality.frame_scores import ContourScore, FrameScore, MotionScore
from vrmatte.quality.measures import MEASURES
from vrmatte.quality.summary import summed_up
from vrmatte.stereo.agreement import StereoFinding
from vrmatte.stereo.score import Agreement


def score(frame, person=1, eye="left", area=0.1, fine=0.02, change=0.001, coverage=0.4, **other):
    motion = MotionScore(0.02, other.pop("wander", 0.2), 0.2, change, 0, other.pop("vanished", 0))
    if other.pop("first", False):
        motion = None
    contour = other.pop("contour", None)
    coverage = None if person is None else coverage
    assert not other
    return FrameScore(frame, eye, person, area, fine, 1.3, coverage, motion, contour)


def finding(frame, iou, person=1):
    return StereoFinding(frame, person, Agreement(iou, 0.03, 0, 0, 1, 0.5), "balanced", iou < 0.95)


def events(scores, findings=()):
    return [(e.measure, e.first, e.last) for e in summed_up(scores, findings).events]


def test_nothing_scored():
    summary = summed_up([])
    assert (summary.frames, summary.series, summary.worst_frames(3)) == (0, (), ())


def test_figures_are_told_towards_the_bad_side():
    clip = [score(frame, wander=0.2 + frame / 1000) for frame in range(101)]
    figures = {figure.measure: figure for figure in summed_up(clip).figures}
    wander = figures["wander_px"]
    assert (wander.median, wander.percentile_95) == pytest.approx((0.25, 0.295), abs=1e-3)
    assert (wander.worst, wander.worst_frame, wander.frames) == pytest.approx((0.3, 100, 101))
    clip = [score(frame, coverage=0.3 + frame / 1000) for frame in range(101)]
    coverage = next(f for f in summed_up(clip).figures if f.measure == "coverage")
    assert coverage.percentile_95 == pytest.approx(0.305, abs=1e-3)
    assert coverage.worst_frame == 0


def test_series_are_thinned_and_keep_their_extremes():
    clip = [score(frame, wander=5.0 if frame == 4321 else 0.2) for frame in range(9000)]
    for series in summed_up(clip).series:
        assert len(series.frames) == len(series.values) <= 600
        if series.measure == "wander_px":
            assert series.values[series.frames.index(4321)] == 5.0


def test_a_span_beyond_a_limit_is_one_event():
    clip = [score(f, wander=1.0 if f in (20, 21, 23, 40) else 0.2) for f in range(60)]
    assert sorted(events(clip)) == [("unrest", 20, 23), ("unrest", 40, 40)]


def test_unrest_is_told_against_the_pictures_own():
    """Where the picture itself is restless a matte may be so too."""
    calm = [score(frame) for frame in range(30)]
    wild = MotionScore(0.1, 1.0, 1.0, 0.0, 0, 0)
    moved = FrameScore(30, "left", 1, 0.1, 0.02, 1.3, 0.4, wild, None)
    assert events([*calm, moved]) == []
    still = MotionScore(0.1, 1.0, 0.2, 0.0, 0, 0)
    moved = FrameScore(30, "left", 1, 0.1, 0.02, 1.3, 0.4, still, None)
    assert events([*calm, moved]) == [("unrest", 30, 30)]


def test_lost_hair_is_told_against_the_clips_own():
    clip = [score(f, fine=0.005 if 30 <= f < 40 else 0.02) for f in range(60)]
    assert events(clip) == [("fine_kept", 30, 39)]


def test_areas_are_compared_across_chunks():
    """There nothing was carried along."""
    steady = [score(frame, first=frame == 30) for frame in range(60)]
    assert events(steady) == []
    smaller = [score(f, first=f == 30, area=0.1 if f < 30 else 0.09) for f in range(60)]
    assert events(smaller) == [("area_change", 30, 30)]


def test_coming_and_going_is_no_jump():
    """Boxes tell when somebody comes to a tenth of a second, so a few frames are left out."""
    others = [score(frame, person=2) for frame in range(100)]
    came = [score(f, change=0.5 if f in (22, 78) else 0, coverage=0.3) for f in range(20, 80)]
    lost = [score(f, coverage=0.0 if f in (20, 21, 78, 79) else 0.4) for f in range(20, 80)]
    assert events([*others, *came]) == events([*others, *lost]) == []
    late = [score(f, change=0.5 if f == 40 else 0) for f in range(20, 80)]
    assert events([*others, *late]) == [("area_change", 40, 40)]


def test_who_is_there_from_the_first_frame_on_does_not_come():
    lost = [score(frame, coverage=0.0 if frame < 5 else 0.4) for frame in range(60)]
    assert events(lost) == [("coverage", 0, 4)]


def test_of_somebody_hidden_nothing_is_told():
    def clip(area):
        hidden = range(20, 30)
        return [
            score(f, area=area if f in hidden else 0.1, change=0.2 if f in hidden else 0, fine=0.02)
            for f in range(60)
        ]

    assert events(clip(0.02)) == [("area_change", 20, 20)], "when they were still to be seen"
    assert events(clip(0.08)) == [("area_change", 20, 29)]


def test_parts_count_unless_somebody_comes():
    def clip(vanished_at):
        whole = [score(f, None, vanished=int(f == vanished_at)) for f in range(60)]
        return [*whole, *(score(frame) for frame in range(20, 60))]

    assert events(clip(40)) == [("components_changed", 40, 40)]
    assert events(clip(21)) == []


def test_everybodys_scores_are_judged_where_nobody_is_known():
    clip = [score(frame, None, wander=1.0 if frame == 20 else 0.2) for frame in range(60)]
    assert events(clip) == [("unrest", 20, 20)]
    assert events([*clip, *(score(frame) for frame in range(60))]) == []


def test_what_the_eyes_disagree_in_is_among_the_events():
    clip = [score(frame) for frame in range(60)]
    findings = [finding(frame, 0.7 if frame in range(30, 33) else 0.98) for frame in range(60)]
    summary = summed_up(clip, [*findings, finding(31, 0.6, person=2)])
    spans = {(e.person, e.first, e.last, e.worst, e.eye) for e in summary.events}
    assert spans == {(1, 30, 32, 0.7, None), (2, 31, 31, 0.6, None)}
    assert (summary.worst[0].reason, summary.worst[0].frame) == ("stereo", 31)


def test_no_event_fills_the_sheet():
    def wander(frame):
        return 2.0 if 20 <= frame < 80 else 1.0 if frame == 150 else 0.2

    clip = [score(f, wander=wander(f), coverage=0.0 if f == 100 else 0.4) for f in range(200)]
    worst = summed_up(clip).worst_frames(4)
    assert [(w.frame, w.reason, w.beyond) for w in worst[:3]] == [
        (100, "coverage", True),
        (20, "unrest", True),
        (150, "unrest", True),
    ]
    assert not any(w.beyond for w in worst[3:])


def test_one_thing_is_shown_once_though_two_measures_tell_of_it():
    gone = range(100, 110)
    clip = [
        score(f, coverage=0.0 if f in gone else 0.4, change=0.9 if f == 100 else 0)
        for f in range(200)
    ]
    summary = summed_up(clip)
    assert {event.measure for event in summary.events} == {"coverage", "area_change"}
    assert [w.reason for w in summary.worst if w.beyond] == ["coverage"]


def test_sampled_outlines():
    def contour(jags):
        return ContourScore(500, jags, 2.0, 0.8, 0.0)

    clip = [
        score(f, contour=None if f % 8 else contour(0.3 if f in (16, 24) else 0.1))
        for f in range(60)
    ]
    assert events(clip) == [("jaggedness_px", 16, 24)]


def test_it_goes_into_json():
    told = json.loads(json.dumps(asdict(summed_up([score(f, coverage=0.0) for f in range(20)]))))
    assert told["events"][0]["measure"] == "coverage"


def test_every_measure_has_words():
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.label
        assert measure.good
        assert measure.misleads
        if measure.limit is not None:
            at_limit = measure.severity(measure.limit)
            assert at_limit == pytest.approx(1)
    for name in ("unrest", "wander_px", "band_difference"):
        assert MEASURES[name].beside == "fine_share", "calm is never shown without what it costs"
