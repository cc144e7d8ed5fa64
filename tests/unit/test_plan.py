from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from support.media.media_fixtures import NTSC, write_clip
from support.people import person_of
from vrmatte.errors import ConfigError
from vrmatte.frames import YUV420P10, ColorTags, Timeline
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.masks.sam2_weights import MaskWeights
from vrmatte.matting.base import Downgrade
from vrmatte.matting.engines.brightness import BRIGHTNESS
from vrmatte.media.encoders import MATTE_STORE
from vrmatte.media.probe import probe
from vrmatte.plan import (
    changed_parameters,
    deliverable_parameters,
    key_of,
    make_plan,
)
from vrmatte.settings.config import Config
from vrmatte.subjects import WHOLE_EYES, LensAlignment, Person, Subjects, TimedPoint

TICK = Fraction(1, 30000)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "clip_LR_180.mp4"
    write_clip(path, frames=8)
    return probe(path)


def line(frames: int = 100, start: int = 0) -> Timeline:
    pts = start + 1001 * np.arange(frames)
    return Timeline(pts, TICK, int(pts[-1]) + 1001)


def plan_of(source, timeline=None, chunk_frames=None, subjects=WHOLE_EYES, **settings):
    tree: dict = {"output": {"encoder": "software", "deliver": ["matte", "greenscreen"]}}
    for name, value in settings.items():
        section, key = name.split("__")
        tree.setdefault(section, {})[key] = value
    return make_plan(
        source=source,
        fingerprint="f" * 64,
        timeline=timeline or line(),
        subjects=subjects,
        engine=BRIGHTNESS,
        config=Config.model_validate(tree),
        chunk_frames=chunk_frames,
    )


@pytest.mark.parametrize(("size", "sizes"), [(30, [30, 30, 30, 10]), (100, [100]), (500, [100])])
def test_chunks_cover_every_frame_once(source, size, sizes):
    plan = plan_of(source, processing__chunk_size=size)
    assert [chunk.frames for chunk in plan.chunks] == sizes
    assert [chunk.index for chunk in plan.chunks] == list(range(len(sizes)))
    ends = [0, *(chunk.last for chunk in plan.chunks)]
    assert [chunk.first for chunk in plan.chunks] == ends[:-1]
    assert ends[-1] == 100


def test_chunks_last_four_seconds_unless_an_earlier_run_cut_otherwise(source):
    assert plan_of(source, line(1000)).chunks[0].frames == round(4 * NTSC)
    assert plan_of(source, chunk_frames=7, processing__chunk_size=30).chunks[0].frames == 7


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(None, None, 0, 100), (1.0, None, 30, 100), (None, 1.0, 0, 30), (1.0, 1.001, 30, 30)],
)
def test_a_part_of_the_video(source, start, end, first, last):
    if first == last:
        with pytest.raises(ConfigError, match=r"select no frames; the video lasts 3\.337 s"):
            plan_of(source, input__start=start, input__end=end)
        return
    plan = plan_of(source, input__start=start, input__end=end)
    assert (plan.chunks[0].first, plan.chunks[-1].last) == (first, last)
    assert len(plan.promised) == last - first
    if (first, last) == (0, 100):
        assert plan.window is None
        assert plan.promised.pts.tolist() == plan.timeline.pts.tolist()
    else:
        assert plan.window == (first * 1001 * TICK, last * 1001 * TICK)
        assert plan.promised.pts[0] == 0


def test_a_whole_video_keeps_a_late_start(source):
    assert plan_of(source, line(start=3000)).promised.pts[0] == 3000


def test_pictures_keep_depth_and_colour_mattes_have_their_own(source):
    color = ColorTags(9, 16, 9, full_range=True)
    deep = replace(source, layout=YUV420P10, color=color)
    names = ["matte", "matte-lossless", "greenscreen", "alpha-packed"]
    by_name = {d.name: d for d in plan_of(deep, output__deliver=names).deliverables}
    assert by_name["greenscreen"].color == by_name["alpha-packed"].color == color
    assert by_name["greenscreen"].encoder.layout == YUV420P10
    assert by_name["matte"].color == ColorTags(1, 1, 1)
    assert by_name["matte-lossless"].color.full_range
    assert by_name["matte-lossless"].encoder == MATTE_STORE
    assert by_name["matte-lossless"].container == "matroska"


def keys(plan) -> list[str]:
    return [key_of(parameters) for parameters in plan.matte_parameters()]


SAME_MATTE = [
    {"output__quality": 30},
    {"output__background_color": (1, 2, 3)},
    {"hardware__threads": 1},
    {"audio__preserve_audio": False},
]
OTHER_MATTE = [{"processing__scale_factor": 0.25}, {"processing__overlap_frames": 3}]


@pytest.mark.parametrize("settings", SAME_MATTE)
def test_a_matte_does_not_hang_on_what_is_made_of_it(source, settings):
    plan = plan_of(source, chunk_frames=30)
    assert keys(plan) == keys(plan_of(source, chunk_frames=30, **settings))


@pytest.mark.parametrize("settings", OTHER_MATTE)
def test_a_matte_hangs_on_all_that_shapes_it(source, settings):
    ours = keys(plan_of(source, chunk_frames=30))
    theirs = keys(plan_of(source, chunk_frames=30, **settings))
    assert not set(ours) & set(theirs)


def test_a_chunk_hangs_on_the_one_before_not_on_the_next(source):
    short, long = (keys(plan_of(source, line(n), chunk_frames=30)) for n in (60, 120))
    assert short == long[:2]
    assert len(set(long)) == 4


def test_another_weights_file_is_another_matte(source):
    plan = plan_of(source)
    other = replace(plan, engine=replace(BRIGHTNESS, weights_sha256="6" * 64))
    assert not set(keys(plan)) & set(keys(other))


def test_a_deliverable_hangs_on_its_matte_and_its_own_settings(source):
    def key(matte="m", **settings):
        plan = plan_of(source, **settings)
        return key_of(deliverable_parameters(plan, plan.deliverables[1], matte))

    assert key() == key(hardware__threads=1)
    others = [key("n"), key(output__background_color=(1, 2, 3))]
    assert len({key(), *others}) == 3


def test_keys_do_not_hang_on_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: 1 -> 2"]),
        ({"a": 1}, {"a": 1, "b": 2}, ["b: None -> 2"]),
        ({"a": 1, "matte": "x"}, {"a": 2, "matte": "y"}, ["a: 1 -> 2"]),
        ({"matte": "x"}, {"matte": "y"}, ["its matte changed"]),
        (
            {"start": {"after": "x"}},
            {"start": {"after": "y"}},
            ["the chunk before it changed"],
        ),
    ],
)
def test_changes_are_told_for_people(old, new, said):
    assert changed_parameters(old, new) == said


def test_file_names_say_what_players_look_for(source):
    path = Path("dir") / "walk_LR_180.mp4"
    plan = plan_of(replace(source, path=path), output__deliver=["greenscreen", "alpha-packed"])
    assert [d.file_name for d in plan.deliverables] == [
        "walk_LR_180_greenscreen.mp4",
        "walk_FISHEYE190_alpha.mp4",
    ]


def path(yaw_deg: float, first: int = 0, last: int = 100, name: str = "person-1") -> ViewportPath:
    return ViewportPath(name, first, last, 40.0, 60.0, (Turn(first, yaw_deg, -10.0),))


def person(keep: bool, yaw_deg: float = 0.0) -> Person:
    box = AngularBox(yaw_deg - 10, yaw_deg + 10, -40, 5)
    return person_of(1, keep, 0, 100, (0,), (box,), (box,))


def test_a_matte_hangs_on_the_viewports_of_its_own_time(source):
    def keys(*paths: ViewportPath) -> list[str]:
        plan = plan_of(source, subjects=Subjects(paths), processing__chunk_size=50)
        return [key_of(parameters) for parameters in plan.matte_parameters()]

    alone, turned = keys(path(10)), keys(path(11))
    assert all(a != b for a, b in zip(alone, turned, strict=True))
    late = keys(path(10), path(-40, first=90, name="person-2"))
    assert late[0] == alone[0]
    assert late[1] != alone[1]


def test_lenses_matter_only_where_the_eyes_are_made_to_agree(source):
    def key(lenses: LensAlignment | None, mode: str) -> str:
        subjects = Subjects((path(10),), (person(keep=False),), lenses=lenses)
        plan = plan_of(source, subjects=subjects, stereo__consistency_mode=mode)
        return key_of(plan.matte_parameters()[0])

    turned, straight = LensAlignment(2, 0, 0), LensAlignment(0.1, 0, 0, needs_correction=False)
    assert key(None, "independent") == key(turned, "independent")
    assert key(None, "joint") == key(straight, "joint") != key(turned, "joint")
    assert key(None, "joint") != key(replace(straight, rows_agree=False), "joint")


def test_how_the_eyes_agree_shapes_the_matte(source):
    def key(**settings: object) -> str:
        return key_of(plan_of(source, **settings).matte_parameters()[0])

    keys = [
        key(),
        key(stereo__consistency_mode="independent"),
        key(stereo__consistency_mode="reference_eye"),
        key(stereo__correction_method="transfer"),
        key(stereo__validation_threshold=0.8),
    ]
    assert len(set(keys)) == len(keys)
    assert key(matting__use_disparity_mapping=False) == keys[1]
    assert key(stereo__warn_threshold=0.99) == keys[0]


def test_the_agreement_hangs_on_peoples_boxes(source):
    def key(*people: Person) -> str:
        plan = plan_of(source, subjects=Subjects((path(10),), people))
        return key_of(plan.matte_parameters()[0])

    assert key(person(keep=True)) != key(person(keep=True, yaw_deg=3))


def test_who_was_found_shapes_what_shows_it(source):
    def keys(person: Person):
        subjects = Subjects((path(10),), (person,))
        names = ["confidence", "overlay", "matte"]
        plan = plan_of(
            source, subjects=subjects, stereo__consistency_mode="independent", output__deliver=names
        )
        files = {d.name: key_of(deliverable_parameters(plan, d, "m")) for d in plan.deliverables}
        return key_of(plan.matte_parameters()[0]), files

    sure = person(keep=False)
    unsure = replace(sure, boxes=(replace(sure.boxes[0], score=0.7),))
    found = [keys(one) for one in (sure, unsure, person(keep=False, yaw_deg=3))]
    assert found[0][0] == found[1][0], "no matte hangs on it"
    for name in ("confidence", "overlay"):
        assert len({k[1][name] for k in found}) == 3
    assert len({k[1]["matte"] for k in found}) == 1


def test_independent_eyes_know_boxes_only_where_somebody_leaves(source):
    def key(*people: Person) -> str:
        subjects = Subjects((path(10),), people)
        plan = plan_of(source, subjects=subjects, stereo__consistency_mode="independent")
        return key_of(plan.matte_parameters()[0])

    assert key(person(keep=True)) == key(person(keep=True, yaw_deg=3)) == key()
    assert key(person(keep=False)) != key()
    assert key(person(keep=False)) != key(person(keep=False, yaw_deg=3))


def by_fisheye(source, fov_deg, evidence="flag"):
    return replace(source, projection="fisheye", projection_fov_deg=fov_deg, fov_evidence=evidence)


def test_fisheyes_are_accepted_and_their_view_shapes_the_matte(source):
    sources = [source, *(by_fisheye(source, fov_deg) for fov_deg in (180.0, 190.0))]
    first = [plan_of(one).matte_parameters()[0] for one in sources]
    assert "fisheye_deg" not in first[0]
    assert len({key_of(parameters) for parameters in first}) == 3


def test_an_assumed_field_of_view_is_said(source):
    assumed, known = (
        plan_of(by_fisheye(source, 180.0, evidence)).notices for evidence in ("assumed", "name")
    )
    (said,) = set(assumed) - set(known)
    assert "assuming 180 degrees" in said


def test_half_precision_makes_other_mattes(source):
    plan = plan_of(source, processing__chunk_size=30)
    half = replace(plan, engine=replace(BRIGHTNESS, precision="fp16"))
    assert set(keys(plan)).isdisjoint(keys(half))
    assert half.matte_parameters()[0]["precision"] == "fp16"
    # Full precision is not told: mattes of earlier versions stay.
    assert "precision" not in plan.matte_parameters()[0]


def test_what_follows_a_failed_chunk_begins_cold_and_nothing_else_changes(source):
    plan = plan_of(source, chunk_frames=30)
    cold_starts = replace(plan, cold_starts=frozenset({keys(plan)[1], "of other settings"}))
    assert keys(cold_starts)[:2] == keys(plan)[:2]
    assert set(keys(cold_starts)[2:]).isdisjoint(keys(plan)[2:])
    starts = [parameters["start"] for parameters in cold_starts.matte_parameters()]
    assert [list(start) for start in starts] == [["warmup"], ["after"], ["warmup"], ["after"]]
    assert keys(replace(plan, cold_starts=frozenset({"of other settings"}))) == keys(plan)


def test_an_easing_changes_keys_from_its_chunk_on(source):
    plan = plan_of(source, processing__chunk_size=30)
    downgraded = replace(plan, engine=replace(BRIGHTNESS, downgraded=(Downgrade(2, 0.7, "fp32"),)))
    assert keys(downgraded)[:2] == keys(plan)[:2]
    assert set(keys(downgraded)[2:]).isdisjoint(keys(plan)[2:])
    starts = [parameters["start"] for parameters in downgraded.matte_parameters()]
    # The state before has another size: the chunk begins with warm-up frames.
    assert [list(start) for start in starts] == [["warmup"], ["after"], ["warmup"], ["after"]]
    assert [downgraded.goes_on(chunk) for chunk in downgraded.chunks] == [False, True, False, True]
    views = [parameters["views"]["whole_eyes"] for parameters in downgraded.matte_parameters()]
    assert views == pytest.approx([0.5, 0.5, 0.35, 0.35])


def test_an_easing_makes_viewports_smaller_in_whole_steps(source):
    path = ViewportPath("person", 0, 100, 50, 75, (Turn(0, 0, 0),))
    plan = plan_of(source, processing__chunk_size=30, subjects=Subjects((path,)))
    downgraded = replace(plan, engine=replace(BRIGHTNESS, downgraded=(Downgrade(1, 0.5, "fp32"),)))
    first, second = (
        downgraded.downgraded_for(chunk).viewports[0] for chunk in downgraded.chunks[:2]
    )
    assert (first.width, first.height) == (plan.viewports[0].width, plan.viewports[0].height)
    assert second.width < first.width
    assert second.width % 16 == second.height % 16 == 0
    assert keys(downgraded)[0] == keys(plan)[0]
    assert keys(downgraded)[1] != keys(plan)[1]


def test_a_change_of_precision_keeps_the_state(source):
    plan = plan_of(source, processing__chunk_size=30)
    engine = replace(BRIGHTNESS, precision="fp16", downgraded=(Downgrade(2, 1.0, "fp32"),))
    downgraded = replace(plan, engine=engine)
    told = [parameters.get("precision") for parameters in downgraded.matte_parameters()]
    assert told == ["fp16", "fp16", None, None]
    assert all(downgraded.goes_on(chunk) for chunk in downgraded.chunks[1:])
    assert downgraded.downgraded_for(downgraded.chunks[3]).engine.precision == "fp32"


MASKS = MaskWeights("sam2.1_hiera_tiny", "somewhere", "7" * 64, "Apache-2.0", True)
WATCHED = person_of(1, True, 0, 100, (0, 50), *2 * [(AngularBox(-5, 5, -20, 20),) * 2])
TOLD = Subjects(
    (ViewportPath("person-1", 0, 100, 40, 60, (Turn(0, 0, 0),)),),
    (WATCHED,),
)


def masked(plan, **changes):
    choice = replace(BRIGHTNESS, name="sam2", masks=MASKS, refiner="rvm")
    return replace(plan, engine=replace(choice, **changes))


def test_masks_shape_mattes_of_the_engine_that_has_them(source):
    plan = plan_of(source, subjects=TOLD, stereo__consistency_mode="independent")
    other = plan_of(
        source,
        subjects=TOLD,
        stereo__consistency_mode="independent",
        detection__interval_frames=10,
    )
    points = (TimedPoint(50, "left", 0, 0, True),)
    pointed = plan.of(replace(TOLD, people=(replace(WATCHED, points=points),)))
    drawn = replace(WATCHED.boxes[1], score=1.0)
    drawn = plan.of(replace(TOLD, people=(replace(WATCHED, boxes=(WATCHED.boxes[0], drawn)),)))
    moved = tuple(replace(box, left=AngularBox(-4, 5, -20, 20)) for box in WATCHED.boxes)
    moved = replace(WATCHED, boxes=moved)
    elsewhere = plan.of(replace(TOLD, people=(moved,)))
    different = [
        masked(plan),
        masked(plan, refiner="guided"),
        masked(plan, masks=replace(MASKS, sha256="8" * 64)),
        masked(other),
        masked(pointed),
        masked(drawn),
        masked(elsewhere),
    ]
    assert len({tuple(keys(one)) for one in different}) == len(different)
    assert keys(plan) == keys(other) == keys(pointed) == keys(drawn) == keys(elsewhere)


def test_what_is_said_by_hand_leaves_other_engines_mattes_alone(source):
    out = replace(WATCHED, keep=False)
    pointed = replace(out, points=(TimedPoint(50, "left", 0, 0, True),))
    plans = [plan_of(source, subjects=replace(TOLD, people=(one,))) for one in (out, pointed)]
    assert keys(plans[0]) == keys(plans[1])
