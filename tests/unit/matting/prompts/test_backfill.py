"""People found late, followed back to when they came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.faults import around
from support.matting.matting_engines import side_by_side
from support.matting.true_masks import BrightMasks
from support.people import person_of
from vrmatte.errors import DamagedInputError
from vrmatte.frames import YUV420P, ColorTags, PlanarFrame
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Turn, ViewportPath
from vrmatte.matting.build import build_matting
from vrmatte.matting.edges.refiners import GuidedRefiner
from vrmatte.matting.engines.masked import MaskedEngine
from vrmatte.matting.prompts.backfill import LOOK_BACK_FRAMES, Backfill, backfill_spans
from vrmatte.matting.prompts.prompts import Prompter
from vrmatte.matting.view_window import ViewWindow
from vrmatte.matting.viewport_matting import SizedPath
from vrmatte.settings.config import Config
from vrmatte.subjects import Subjects, TimedPoint

SIZE = (64, 96)


def someone(number, first, last=60, at_deg=0.0, keep=True, moves=0.0):
    """Seen from `first` on, moving sideways by so many degrees a frame."""
    frames = tuple(range(first, last, 4))
    at = [at_deg + moves * frame for frame in frames]
    boxes = tuple(AngularBox(yaw - 10, yaw + 10, -20, 20) for yaw in at)
    return person_of(number, keep, first, last, frames, boxes, boxes)


def path(name="v", first=0, last=60, turns=(), fov=(60, 80), yaw=0.0):
    turns = (Turn(first, yaw, 0), *turns)
    return SizedPath(ViewportPath(name, first, last, *fov, turns), *SIZE)


def spans(people, sized):
    """First and last frame of each look, and who is followed from when on."""
    return [
        (look.first, look.last, {join.person: join.first for join in look.joins})
        for look in backfill_spans(sized, Prompter(people))
    ]


def test_who_comes_through_an_open_view_is_followed_back():
    assert LOOK_BACK_FRAMES == 8
    assert spans([someone(1, 20)], path()) == [(12, 20, {1: 12})]
    assert spans([someone(1, 20, keep=False)], path()) == [(12, 20, {1: 12})]


@pytest.mark.parametrize(
    ("person", "sized", "expected"),
    [
        (someone(1, 20), path(first=15), [(15, 20, {1: 15})]),
        (someone(1, 3), path(), [(0, 3, {1: 0})]),
        (someone(1, 20), path(turns=[Turn(18, 3, 0)]), [(18, 20, {1: 18})]),
        (someone(1, 20), path(turns=[Turn(21, 3, 0)]), [(12, 20, {1: 12})]),
    ],
)
def test_no_further_than_the_view_stands_still(person, sized, expected):
    assert spans([person], sized) == expected


@pytest.mark.parametrize(
    ("person", "sized"),
    [
        (someone(1, 20), path(first=20)),
        (someone(1, 20), path(first=21)),
        (someone(1, 20), path(last=20)),
        (someone(1, 0), path()),
        (someone(1, 20), path(turns=[Turn(20, 3, 0)])),
        (someone(1, 20, at_deg=60), path()),
        (someone(1, 20, at_deg=66, moves=-1.2), path()),
    ],
    ids=["opens", "too late", "closed", "from the start", "turns", "aside", "walks in later"],
)
def test_nobody_is_followed_back_where_nothing_came_before(person, sized):
    assert spans([person], sized) == []


def test_those_who_come_soon_after_one_another_share_a_look():
    both = [someone(2, 24), someone(1, 20)]
    assert spans(both, path()) == [(12, 24, {1: 12, 2: 16})]
    assert spans([someone(1, 20), someone(2, 29)], path()) == [
        (12, 20, {1: 12}),
        (21, 29, {2: 21}),
    ]
    at_once = [someone(1, 20), someone(2, 20)]
    assert spans(at_once, path()) == [(12, 20, {1: 12, 2: 12})]


def test_a_look_has_an_end_however_many_come():
    crowd = [someone(number, 16 + 4 * number) for number in range(8)]
    found = spans(crowd, path())
    assert sum(len(people) for _, _, people in found) == 8
    assert all(last - first <= 2 * LOOK_BACK_FRAMES for first, last, _ in found)
    looked = [at for first, last, _ in found for at in range(first, last + 1)]
    assert max(looked.count(at) for at in looked) == 2


def test_a_turn_parts_looks():
    found = spans([someone(1, 20), someone(2, 24)], path(turns=[Turn(22, 3, 0)]))
    assert found == [(12, 20, {1: 12}), (22, 24, {2: 22})]


def test_newcomers_are_pointed_at_as_they_will_be():
    points = (TimedPoint(20, "left", 2, 3, True),)
    person, sized = replace(someone(1, 20), points=points), path()
    prompter = Prompter([person])
    (look,) = backfill_spans(sized, prompter)
    told = prompter.told(20, sized.path.at(20).picture(*SIZE))
    assert look.joins[0].prompts == told.seen
    assert told.seen[0].points


EYE, FRAMES = 256, 30
PATHS = (
    path("a", 0, FRAMES, fov=(80, 80), yaw=-30.0),
    path("b", 9, FRAMES, (Turn(20, 32, 0),), yaw=28.0),
)
PEOPLE = (
    someone(1, 0, FRAMES, at_deg=-52, moves=0.1),
    someone(2, 14, FRAMES, at_deg=-26, moves=0.5),  # seen from frame 14 on, there from 8 on
    someone(3, 14, FRAMES, at_deg=25),
    someone(4, 17, FRAMES, at_deg=50, keep=False),
)
THERE = {1: 0, 2: 8, 3: 11, 4: 12}


def middle_deg(person, index):
    """Yaw of somebody who moves on as between their first two boxes, also before the first."""
    first, second = (timed.left.center[0] for timed in person.boxes[:2])
    return first + (second - first) / 4 * (index - person.frames[0])


def eye_of(index):
    x, y = np.meshgrid(*2 * [(np.arange(EYE) + 0.5) * 180 / EYE - 90])
    luma = np.random.default_rng(index).integers(20, 60, (EYE, EYE))
    for person in PEOPLE:
        if index < THERE[person.id]:
            continue
        middle = middle_deg(person, index)
        luma[(np.abs(x - middle) < 6) & (np.abs(y) < 15)] = 220
    chroma = np.full((EYE // 2, EYE // 2), 128, np.uint8)
    return PlanarFrame(luma.astype(np.uint8), chroma, chroma, YUV420P, ColorTags(full_range=True))


@pytest.fixture(scope="module")
def footage():
    return [side_by_side(eye_of(i), eye_of(i)) for i in range(FRAMES)]


class Reader:
    """Reads ahead, and notes what."""

    def __init__(self, footage, damaged=(), held=()):
        self.footage, self.damaged, self.held = footage, damaged, held
        self.asked, self.closed = [], 0

    def __call__(self, first, last):
        self.asked.append((first, last))
        try:
            for index in range(first, last):
                if index in self.damaged:
                    raise DamagedInputError("broken")
                if index not in self.held:
                    yield index, self.footage[index]
        finally:
            self.closed += 1


def matting_of(read, source=None, people=PEOPLE, paths=PATHS):
    engine = MaskedEngine(source or BrightMasks(), GuidedRefiner())
    config = Config.model_validate({"matting": {"use_disparity_mapping": False}})
    subjects = Subjects(tuple(sized.path for sized in paths), tuple(people))
    return build_matting(engine, paths, config, HalfEquirect(EYE), subjects, read_ahead=read)


def made(footage, read, **how):
    matting = matting_of(read, **how)
    return [matting.matte(index, frame) for index, frame in enumerate(footage)]


def shown(matte, index, number):
    """How opaque somebody's middle is in the left eye."""
    person = PEOPLE[number - 1]
    middle = middle_deg(person, index)
    return int(matte[EYE // 2, round((middle + 90) * EYE / 180)])


def test_who_is_found_late_is_in_the_matte_from_the_first(footage):
    """Masks alone make these mattes, so nobody shows before they are found, or followed back."""
    with_look, without = made(footage, Reader(footage)), made(footage, None)
    for index in range(FRAMES):
        for number in (1, 2, 3):
            found, told = (shown(of[index], index, number) for of in (with_look, without))
            assert found > 250 if index >= THERE[number] else found < 5
            assert told > 250 if index >= PEOPLE[number - 1].first else told < 5
        assert shown(with_look[index], index, 4) < 5


def test_frames_are_read_ahead_once_for_all_who_come(footage):
    """Of view a the frames 6 to 14; of view b, which opens at 9, the frames 9 to 17."""
    reader, source = Reader(footage), BrightMasks()
    made(footage, reader, source=source)
    assert reader.asked == [(6, 15), (9, 18)]
    assert reader.closed == 2
    assert source.looked == [9, 9]
    both = Reader(footage)
    paths = (PATHS[0], path("b", 6, FRAMES, yaw=28.0))
    made(footage, both, paths=paths, people=PEOPLE[:3])
    assert both.asked == [(6, 15)], "views that look at the same frames read them together"


class Everybody:
    """Answers everybody everywhere, the mask saying in which look."""

    def __init__(self):
        self.looks = []

    def before(self, frames, prompts):
        self.looks.append(len(frames))
        masks = np.full((2, *SIZE[::-1]), len(self.looks), np.float32)
        everybody = [prompt.person for told in prompts.values() for prompt in told]
        return [dict.fromkeys(everybody, masks) for _ in frames]


def test_each_is_followed_for_so_long_before_they_are_seen(footage, monkeypatch):
    """Also where a look begins earlier or ends later, and where two looks meet."""
    sized, shown = path(last=FRAMES), []

    seen = "vrmatte.matting.prompts.backfill.seen_through"
    around(monkeypatch, seen, lambda windows, _eyes: shown.append(len(windows)))
    people = [someone(1, 10), someone(2, 14), someone(3, 19)]
    looks = backfill_spans(sized, Prompter(people))
    assert [(look.first, look.last) for look in looks] == [(2, 14), (11, 19)]
    read, source = Reader(footage), Everybody()
    back = Backfill(source, {"v": looks}, read)
    windows = {"v": ViewWindow(sized.path.at(0), SIZE, HalfEquirect(EYE))}
    for index in range(FRAMES):
        found = back.people(index, windows).get("v", {})
        firsts = {1: 10, 2: 14, 3: 19}.items()
        assert found.keys() == {p for p, first in firsts if first - 8 <= index < first}
        assert all(mask[0, 0, 0] == 1 + (person == 3) for person, mask in found.items())
    assert read.asked == [(2, 15), (11, 20)]
    assert shown == [1] * (13 + 9)
    # One that begins where both go on reads once; what the first doesn't need isn't kept for it.
    shown.clear()
    late = Backfill(source, {"v": looks[:1], "w": looks[1:]}, read)
    assert late.people(12, {"v": windows["v"], "w": windows["v"]})["w"].keys() == {3}
    assert read.asked[2:] == [(12, 20)]
    assert source.looks == [13, 9, 3, 8]
    assert shown == [2] * 3 + [1] * 5


def test_nothing_is_read_where_nobody_comes(footage):
    reader = Reader(footage)
    made(footage, reader, people=PEOPLE[:1])
    assert reader.asked == []


def test_sources_that_cant_follow_back_do_as_before(footage):
    class Forward(BrightMasks):
        before = None

        def __getattribute__(self, name):
            if name == "before":
                raise AttributeError(name)
            return super().__getattribute__(name)

    reader = Reader(footage)
    found = made(footage, reader, source=Forward())
    assert reader.asked == []
    assert all(np.array_equal(a, b) for a, b in zip(found, made(footage, None), strict=True))


@pytest.fixture(scope="module")
def uninterrupted(footage):
    matting = matting_of(Reader(footage))
    states, mattes = [{}], []
    for index, frame in enumerate(footage):
        mattes.append(matting.matte(index, frame))
        states.append({name: array.copy() for name, array in matting.state().items()})
    return mattes, states


@pytest.mark.parametrize("start", [5, *range(6, 19), 25])
def test_beginning_at_any_frame_gives_the_same_mattes(footage, uninterrupted, start):
    mattes, states = uninterrupted
    reader = Reader(footage)
    matting = matting_of(reader)
    matting.restore(states[start])
    for index in range(start, 20):
        assert np.array_equal(matting.matte(index, footage[index]), mattes[index])
        state = matting.state()
        assert state.keys() == states[index + 1].keys()
        assert all(np.array_equal(state[name], states[index + 1][name]) for name in state)
    assert all(first >= start for first, _ in reader.asked), "what is gone by isn't read"


def test_a_frame_shown_again_and_earlier_ones_are_the_same(footage, uninterrupted):
    mattes, states = uninterrupted
    reader = Reader(footage)
    matting = matting_of(reader)
    for start in (12, 10):
        matting.restore(states[start])
        assert np.array_equal(matting.matte(start, footage[start]), mattes[start])
    read = len(reader.asked)
    again = matting.again(10, footage[10])
    assert shown(again, 10, 2) > 250, "also where nothing is remembered"
    assert len(reader.asked) == read


def test_what_was_found_goes_when_its_frames_are_gone(footage):
    matting = matting_of(Reader(footage))
    for index, frame in enumerate(footage[:18]):
        matting.matte(index, frame)
        held = len(matting._tell.back._span_masks)
        assert held == (6 <= index < 14) + (9 <= index < 17)


@pytest.mark.parametrize("broken", [12, 14, 16])
def test_damage_ahead_is_left_to_those_who_come_to_it(footage, broken):
    """The frames before it are the same, whether damage stops a run or a picture stands in."""
    stopped, held = Reader(footage, damaged=[broken]), Reader(footage, held=[broken])
    one, other = matting_of(stopped), matting_of(held)
    plain, whole = made(footage, None), made(footage, Reader(footage))
    for index in range(broken):
        matte = one.matte(index, footage[index])
        assert np.array_equal(matte, other.matte(index, footage[index]))
        half = slice(0, EYE * 5 // 10), slice(0, EYE // 2)  # of view a, whose people come by 14
        expected = plain if broken <= 14 else whole
        assert np.array_equal(matte[half], expected[index][half])


def test_frames_after_damage_are_the_same_whoever_begins_after_it(footage):
    """A picture stands in for frame 10; people are followed back to the one after it."""
    held = matting_of(Reader(footage, held=[10]))
    mattes = []
    for index in range(14):
        mattes.append(held.matte(index, footage[index]))
        if index == 10:
            state = {name: array.copy() for name, array in held.state().items()}
    after = matting_of(Reader(footage))
    after.restore(state)
    for index in (11, 12, 13):
        assert np.array_equal(after.matte(index, footage[index]), mattes[index])
        assert shown(mattes[index], index, 2) > 250
    assert shown(mattes[10], 10, 2) < 5
