from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.matting.matting_engines import PaintingEngine, constant, side_by_side, trail_engine
from support.matting.true_masks import BrightMasks
from support.people import person_of
from vrmatte.frames import EYES, YUV420P, ColorTags, PlanarFrame, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.masks.source import Prompt
from vrmatte.matting.build import build_matting
from vrmatte.matting.edges.refiners import GuidedRefiner, NetworkRefiner
from vrmatte.matting.engines.masked import MaskedEngine
from vrmatte.matting.prompts.prompts import ViewPrompts
from vrmatte.matting.viewport_matting import SizedPath
from vrmatte.settings.config import Config
from vrmatte.subjects import Subjects

SIZE = 96
BOXES = {1: (10, 20, 35, 80), 2: (45, 20, 70, 80)}
"""Two bright people 10 pixels apart."""


def picture(people=(1, 2), shift=0):
    result = np.full((2, 3, SIZE, SIZE), 0.2, np.float32)
    for person in people:
        left, top, right, bottom = BOXES[person]
        result[:, :, top + 4 : bottom - 4, left + 4 + shift : right - 4 + shift] = 0.8
    return result


def prompts(*people):
    return tuple(Prompt(person, at, BOXES[person]) for person in people for at in (0, 1))


def alpha_of(found, pictures):
    return np.clip(found.slope * pictures.mean(axis=1) + found.offset, 0, 1)


def shown(alpha, person):
    left, top, right, bottom = BOXES[person]
    return alpha[:, top + 6 : bottom - 6, left + 6 : right - 6]


def everything():
    """A network that takes all for a person."""
    return NetworkRefiner(PaintingEngine(constant(1.0)))


def nothing():
    """A network that sees nobody."""
    return NetworkRefiner(PaintingEngine(constant(0.0)))


def test_what_no_mask_holds_leaves_the_matte():
    engine, pictures = MaskedEngine(BrightMasks(), everything()), picture()
    engine.tell("v", ViewPrompts(prompts(1), kept=frozenset({1})))
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert (shown(alpha, 1) == 1).all()
    assert not shown(alpha, 2).any()
    assert not alpha[:, :, 80:].any()


@pytest.mark.parametrize("refiner", [nothing, GuidedRefiner])
def test_whom_the_network_denies_is_there_by_the_mask(refiner):
    engine, pictures = MaskedEngine(BrightMasks(), refiner()), picture()
    engine.tell("v", ViewPrompts(prompts(1), kept=frozenset({1})))
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    # Flat bright things on flat ground: the edge is the picture's own.
    assert shown(alpha, 1).min() > 0.98
    assert shown(alpha, 2).max() < 0.02


def test_excluded_people_are_taken_out_where_masks_overlap():
    """The mask of somebody kept reaches over somebody excluded, less surely than theirs."""

    class Greedy(BrightMasks):
        def masks(self, view, pictures, told):
            found = super().masks(view, pictures, told)
            return {1: np.float32(0.99) * np.maximum(found[1], found[2]), 2: found[2]}

    pictures = picture()
    told = ViewPrompts(prompts(1, 2), kept=frozenset({1}), excluded=frozenset({2}))
    engine = MaskedEngine(Greedy(), everything())
    engine.tell("v", told)
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert (shown(alpha, 1) == 1).all()
    assert not shown(alpha, 2).any()


def test_newcomers_are_pointed_at_once_and_again_when_due():
    source = BrightMasks()
    engine, pictures = MaskedEngine(source, everything()), picture()
    one, both = prompts(1), prompts(1, 2)
    for told in (
        ViewPrompts(one, kept=frozenset({1})),
        ViewPrompts(one, kept=frozenset({1})),
        ViewPrompts(both, kept=frozenset({1, 2})),
        ViewPrompts(both, due=frozenset({1}), kept=frozenset({1, 2})),
    ):
        engine.tell("v", told)
        engine.infer("v", pictures)
    assert [told for _, told in source.asked] == [one, (), prompts(2), one]


def test_who_is_not_there_any_more_counts_no_more():
    engine, pictures = MaskedEngine(BrightMasks(), everything()), picture()
    engine.tell("v", ViewPrompts(prompts(1, 2), kept=frozenset({1, 2})))
    assert shown(alpha_of(engine.infer("v", pictures), pictures), 2).all()
    engine.tell("v", ViewPrompts(prompts(1), kept=frozenset({1})))
    assert not shown(alpha_of(engine.infer("v", pictures), pictures), 2).any()


@pytest.mark.parametrize(("refiner", "there"), [(everything, True), (nothing, False)])
def test_where_somebody_is_about_to_come_the_network_decides(refiner, there):
    engine, pictures = MaskedEngine(BrightMasks(), refiner()), picture()
    engine.tell("v", ViewPrompts((), perhaps=prompts(1)))
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert shown(alpha, 1).all() == there
    assert shown(alpha, 1).any() == there
    assert not shown(alpha, 2).any()


@pytest.mark.parametrize(("refiner", "there"), [(everything, True), (nothing, False)])
def test_where_somebody_is_lost_from_sight_the_network_decides(refiner, there):
    """Sources lose people for a frame or two; a detector saw this one, so they are not cut out."""

    class Losing(BrightMasks):
        def masks(self, view, pictures, told):
            return {
                person: mask * 0 for person, mask in super().masks(view, pictures, told).items()
            }

    engine, pictures = MaskedEngine(Losing(), refiner()), picture()
    told = ViewPrompts(prompts(1, 2), kept=frozenset({1}), excluded=frozenset({2}))
    engine.tell("v", told)
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert shown(alpha, 1).all() == there
    assert shown(alpha, 1).any() == there
    assert not shown(alpha, 2).any(), "who is left out is not let in by that"


def masks_of(person, seen=True):
    left, top, right, bottom = BOXES[person]
    mask = np.zeros((2, SIZE, SIZE), np.float32)
    mask[:, top + 4 : bottom - 4, left + 4 : right - 4] = seen
    return {person: mask}


@pytest.mark.parametrize("refiner", [nothing, GuidedRefiner])
def test_who_was_followed_back_is_there_by_the_mask(refiner):
    engine, pictures = MaskedEngine(BrightMasks(), refiner()), picture()
    engine.tell("v", ViewPrompts((), perhaps=prompts(1), earlier=masks_of(1)))
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert shown(alpha, 1).min() > 0.98
    assert shown(alpha, 2).max() < 0.02
    assert "mask/v/1" not in engine.state(), "they are pointed at where they are first seen"


@pytest.mark.parametrize("refiner", [everything, nothing, GuidedRefiner])
def test_masks_from_either_way_make_the_same_matte(refiner):
    pictures, found = picture((1,)), []
    for told in (
        ViewPrompts(prompts(1), kept=frozenset({1})),
        ViewPrompts((), perhaps=prompts(1), earlier=masks_of(1)),
    ):
        engine = MaskedEngine(BrightMasks(), refiner())
        engine.tell("v", told)
        found.append(engine.infer("v", pictures))
    assert np.array_equal(found[0].slope, found[1].slope)
    assert np.array_equal(found[0].offset, found[1].offset)


def test_around_those_who_were_followed_back_nothing_is_open():
    """Their box is: the network would let everything in."""
    engine, pictures = MaskedEngine(BrightMasks(), everything()), picture()
    wide = tuple(Prompt(1, at, (10, 0, 90, 96)) for at in (0, 1))
    for earlier, others in (({}, True), (masks_of(1), False)):
        engine.tell("v", ViewPrompts((), perhaps=wide, earlier=earlier))
        alpha = alpha_of(engine.infer("v", pictures), pictures)
        assert (shown(alpha, 1) == 1).all()
        assert shown(alpha, 2).any() == others


def test_who_was_followed_back_and_is_left_out_is_taken_out():
    engine, pictures = MaskedEngine(BrightMasks(), everything()), picture()
    told = ViewPrompts(
        prompts(1),
        kept=frozenset({1}),
        excluded=frozenset({2}),
        perhaps=tuple(Prompt(3, at, (0, 0, 96, 96)) for at in (0, 1)),
        earlier=masks_of(2),
    )
    engine.tell("v", told)
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert (shown(alpha, 1) == 1).all()
    assert not shown(alpha, 2).any()


@pytest.mark.parametrize(("refiner", "there"), [(everything, True), (nothing, False)])
def test_where_somebody_was_lost_on_the_way_back_the_network_decides(refiner, there):
    engine, pictures = MaskedEngine(BrightMasks(), refiner()), picture()
    engine.tell("v", ViewPrompts((), perhaps=prompts(1), earlier=masks_of(1, seen=False)))
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert shown(alpha, 1).all() == there
    assert shown(alpha, 1).any() == there
    assert not shown(alpha, 2).any()


def test_a_view_nothing_is_told_of_keeps_the_networks_matte():
    engine, pictures = MaskedEngine(BrightMasks(), everything()), picture()
    assert (alpha_of(engine.infer("v", pictures), pictures) == 1).all()
    engine.tell("v", ViewPrompts(()))
    assert not alpha_of(engine.infer("v", pictures), pictures).any(), "told: nobody is there"
    guided = MaskedEngine(BrightMasks(), GuidedRefiner())
    assert not alpha_of(guided.infer("v", pictures), pictures).any()


def test_a_gesture_faster_than_the_band_is_wide_survives():
    """A mask two frames late: what moved since is still the person's where the network sees it."""

    class Late(BrightMasks):
        seen = ()

        def masks(self, view, pictures, told):
            self.seen = [*self.seen, pictures][-3:]
            bright = self.seen[0].mean(axis=1) > 0.5
            return {1: bright.astype(np.float32)}

    engine = MaskedEngine(Late(), NetworkRefiner(PaintingEngine(bright)))
    for shift in range(0, 40, 5):
        pictures = picture((1,), shift)
        engine.tell("v", ViewPrompts(prompts(1), kept=frozenset({1})))
        alpha = alpha_of(engine.infer("v", pictures), pictures)
    truth = pictures.mean(axis=1) > 0.5
    assert alpha[truth].min() > 0.95
    assert alpha[~truth].max() < 0.05


def bright(pictures):
    seen = pictures.mean(axis=1) > 0.5
    return np.zeros_like(pictures[:, 0]), seen.astype(np.float32)


def test_other_names_in_a_state_are_refused():
    engine = MaskedEngine(BrightMasks(), everything())
    with pytest.raises(ValueError, match="not a state"):
        engine.restore({"eye/r1": np.zeros(1, np.float32)})


EYE, NETWORK, FRAMES = 256, (64, 96), 8
PATHS = (
    ViewportPath("person-1", 0, FRAMES, 60, 80, (Turn(0, -20, 0), Turn(4, -14, 0))),
    ViewportPath("person-2", 2, 7, 50, 70, (Turn(2, 30, 0),)),
)
PEOPLE = (
    person_of(1, True, 0, FRAMES, (0, 7), *2 * [(AngularBox(-33, -13, -22, 22),) * 2]),
    person_of(2, True, 3, 6, (3, 5), *2 * [(AngularBox(20, 40, -20, 20),) * 2]),
)


def eye_of(index):
    x, y = np.meshgrid(*2 * [(np.arange(EYE) + 0.5) * 180 / EYE - 90])
    luma = np.random.default_rng(index).integers(20, 60, (EYE, EYE))
    luma[(np.abs(x + 23 - index / 2) < 9) & (np.abs(y) < 20)] = 220
    if 3 <= index < 6:
        luma[(np.abs(x - 30) < 9) & (np.abs(y) < 18)] = 200
    chroma = np.full((EYE // 2, EYE // 2), 128, np.uint8)
    return PlanarFrame(luma.astype(np.uint8), chroma, chroma, YUV420P, ColorTags(full_range=True))


@pytest.fixture(scope="module")
def footage():
    return [side_by_side(eye_of(i), eye_of(i)) for i in range(FRAMES)]


INDEPENDENT_EYES = Config.model_validate({"matting": {"use_disparity_mapping": False}})


def matting_of(engine, people=PEOPLE):
    paths = [SizedPath(path, *NETWORK) for path in PATHS]
    subjects = Subjects(PATHS, tuple(people))
    return build_matting(engine, paths, INDEPENDENT_EYES, HalfEquirect(EYE), subjects)


def engine_of():
    return MaskedEngine(BrightMasks(), NetworkRefiner(trail_engine()))


def copied(state):
    return {name: array.copy() for name, array in state.items()}


@pytest.fixture(scope="module")
def uninterrupted(footage):
    engine = engine_of()
    matting = matting_of(engine)
    states, mattes = [{}], []
    for index, frame in enumerate(footage):
        mattes.append(matting.matte(index, frame))
        states.append(copied(matting.state()))
    return mattes, states


@pytest.mark.parametrize("start", range(FRAMES))
def test_resuming_at_any_frame_gives_the_same_mattes(footage, uninterrupted, start):
    mattes, states = uninterrupted
    assert mattes[4].any()
    matting = matting_of(engine_of())
    matting.restore(copied(states[start]))
    for index in range(start, FRAMES):
        assert np.array_equal(matting.matte(index, footage[index]), mattes[index])
        state = matting.state()
        assert state.keys() == states[index + 1].keys()
        assert all(np.array_equal(state[name], states[index + 1][name]) for name in state)
    assert all(array.dtype == np.float32 for array in states[5].values())


def test_looking_again_leaves_nothing_behind(footage, uninterrupted):
    _, states = uninterrupted
    matting = matting_of(engine_of())
    for index in range(4):
        matting.matte(index, footage[index])
    fresh = matting.again(3, footage[3])
    assert fresh.any()
    state = matting.state()
    assert state.keys() == states[4].keys()
    assert all(np.array_equal(state[name], states[4][name]) for name in state)


def test_only_who_is_kept_is_in_the_matte(footage):
    one, two = PEOPLE
    without = replace(two, keep=False)
    for people, second in ((PEOPLE, True), ((one, without), False)):
        matting = matting_of(MaskedEngine(BrightMasks(), everything()), people)
        for index in range(5):
            matte = matting.matte(index, footage[index])
        for eye in EYES:
            half = half_of(matte, eye)
            column = round((30 + 90) * EYE / 180)
            assert (half[EYE // 2, column] == 255) == second
            assert half[EYE // 2, round((-21 + 90) * EYE / 180)] == 255
            assert half[EYE // 2, round((5 + 90) * EYE / 180)] == 0


def test_excluded_people_leave_the_matte_of_engines_that_follow_nobody(footage):
    excluded = tuple(replace(person, keep=False) for person in PEOPLE)
    row, column = EYE // 2, round((-23 + 90) * EYE / 180)
    for people, alpha in ((PEOPLE, 255), (excluded, 0)):
        matte = matting_of(PaintingEngine(constant(1.0)), people).matte(0, footage[0])
        assert [half_of(matte, eye)[row, column] for eye in EYES] == [alpha, alpha]


def test_who_is_left_out_close_by_is_left_out_up_to_the_edge(monkeypatch):
    """Two pixels apart: the band around one holds the other's side, fringe and all."""
    monkeypatch.setitem(BOXES, 2, (29, 20, 60, 80))
    engine, pictures = MaskedEngine(BrightMasks(0), everything()), picture()
    left, right = (Prompt(1, at, (10, 20, 31, 80)) for at in (0, 1))
    others = tuple(Prompt(2, at, (32, 20, 60, 80)) for at in (0, 1))
    told = ViewPrompts((left, right, *others), kept=frozenset({1}), excluded=frozenset({2}))
    engine.tell("v", told)
    alpha = alpha_of(engine.infer("v", pictures), pictures)
    assert (alpha[:, 30:70, 16:30] == 1).all()
    assert not alpha[:, 30:70, 33:].any(), "nor what is nearer to them"


def test_a_turn_tells_nothing_of_movement():
    engine = MaskedEngine(BrightMasks(), everything())
    engine.tell("v", ViewPrompts(prompts(1), kept=frozenset({1})))
    engine.infer("v", picture())
    assert "before/v" in engine.state()
    engine.turn("v", np.eye(3))
    assert "before/v" not in engine.state()
    assert "known/v" in engine.state()
