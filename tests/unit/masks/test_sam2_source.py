"""People followed by the real classes with small random weights."""

from __future__ import annotations

import numpy as np
import pytest

from support.faults import around
from support.matting.sam2_networks import (
    LEFT_BOX,
    NAMES,
    PICTURE,
    RIGHT_BOX,
    SIZE_PX,
    box_of,
    moving_pictures,
    point_of,
    tiny_network,
)
from vrmatte.jobs.fallbacks import memory_shortage
from vrmatte.masks.follower import PROMPTED, TRACKED
from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.masks.source import Prompt

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers


FORWARD = "vrmatte.masks.sam2_network.Sam2Network.forward"


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture
def source(network):
    return Sam2Source("tiny", network)


def shown(source, frames, prompts, view="view", pictures=1):
    """The masks of each frame; prompts by frame."""
    return [
        source.masks(view, frame, prompts.get(at, ()))
        for at, frame in enumerate(moving_pictures(frames, pictures))
    ]


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[p], other[p]) for p in one)


def test_everybody_has_a_mask_of_the_pictures_size_under_their_own_id(source):
    found = shown(source, 3, {0: [box_of(900), box_of(4, RIGHT_BOX)]})
    for masks in found:
        assert list(masks) == [900, 4]
        for mask in masks.values():
            assert mask.shape == (1, *PICTURE)
            assert mask.dtype == np.float32
            assert 0 <= mask.min() < mask.max() <= 1
    assert not np.array_equal(found[0][900], found[0][4])


def test_before_anybody_is_prompted_there_are_no_masks(source):
    assert not source.remembers("view")
    assert shown(source, 2, {}) == [{}, {}]
    assert not source.remembers("view")
    source.masks("view", next(moving_pictures(1)), [box_of(1)])
    assert source.remembers("view")


def test_somebody_new_joins_and_changes_nobody_elses_mask(network):
    """All but the memory of the picture they join in, which the library makes in one piece."""
    alone = shown(Sam2Source("a", network), 4, {0: [box_of(1)]})
    joined = shown(Sam2Source("b", network), 4, {0: [box_of(1)], 3: [box_of(2, RIGHT_BOX)]})
    assert [list(masks) for masks in joined] == [[1], [1], [1], [1, 2]]
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(alone, joined, strict=True))


def test_one_network_serves_both_eyes_and_many_views(network):
    """Each as if it were alone."""
    frames = list(moving_pictures(4, pictures=2))
    both, left, right, other = (Sam2Source(name, network) for name in "blro")
    for at, frame in enumerate(frames):
        first = at == 0
        in_both = [box_of(1), box_of(1, RIGHT_BOX, picture=1)] if first else []
        found = both.masks("one", frame, in_both)
        both.masks("two", frame[:1, :, ::-1], [box_of(5)] if first else [])
        alone = (
            left.masks("one", frame[:1], [box_of(1)] if first else []),
            right.masks("one", frame[1:], [box_of(1, RIGHT_BOX)] if first else []),
        )
        assert np.array_equal(found[1], np.concatenate([masks[1] for masks in alone]))
        other.masks("two", frame[:1, :, ::-1], [box_of(5)] if first else [])
    assert same(both.masks("two", frames[0][:1], ()), other.masks("two", frames[0][:1], ()))


def test_somebody_prompted_in_one_eye_is_nowhere_in_the_other(source):
    (masks,) = shown(source, 1, {0: [box_of(6, picture=1)]}, pictures=2)
    assert masks[6][0].max() == 0
    assert masks[6][1].max() > 0


def test_a_box_on_a_later_frame_begins_somebody_anew(network):
    """Lost people are found again as they were found the first time."""
    frames = list(moving_pictures(6))
    again = Sam2Source("again", network)
    for at, frame in enumerate(frames):
        found = again.masks("view", frame, [box_of(1)] if at == 0 else [])
        if at == 4:
            break
    found = again.masks("view", frames[5], [box_of(1, RIGHT_BOX)])
    first = Sam2Source("first", network).masks("view", frames[5], [box_of(1, RIGHT_BOX)])
    assert same(found, first)
    assert sorted(again.follower("view", 0).session.output_dict_per_obj[0][PROMPTED]) == [0, 5]


def test_a_point_corrects_what_memory_says(network):
    frames = list(moving_pictures(8))
    plain, corrected = Sam2Source("plain", network), Sam2Source("corrected", network)
    point = point_of(1, 30.0, 40.0, is_person=False)
    for at, frame in enumerate(frames):
        first = [box_of(1)] if at == 0 else []
        without = plain.masks("view", frame, first)
        found = corrected.masks("view", frame, [point] if at == 4 else first)
        assert np.array_equal(without[1], found[1]) == (at < 4)
    # Memory is read too: without it, the same point says something else.
    positive = point_of(1, 30.0, 40.0)
    fresh = Sam2Source("fresh", network).masks("view", frames[7], [positive])
    assert not np.array_equal(fresh[1], corrected.masks("view", frames[7], [positive])[1])
    kept = corrected.follower("view", 0).session.output_dict_per_obj[0]
    assert sorted(kept[PROMPTED]) == [0, 4, 8]
    assert 4 not in kept[TRACKED]


def test_prompts_speak_of_continuous_pixels(network):
    """The picture's borders are those of the network's square, whose pixels have centres."""
    session = network.new_session()
    corners = Prompt(1, 0, (0.0, 0.0, float(PICTURE[1]), float(PICTURE[0])))
    network.point(session, 0, corners, PICTURE)
    told = session.point_inputs_per_obj[0][0]
    assert told["point_coords"].tolist() == [[[[-0.5, -0.5], [SIZE_PX - 0.5, SIZE_PX - 0.5]]]]
    assert told["point_labels"].tolist() == [[[2, 3]]]


def test_a_box_is_cut_to_the_picture_and_one_outside_is_nobody(network):
    frame = next(moving_pictures(1))
    over = Sam2Source("a", network).masks("v", frame, [box_of(1, (-50.0, 20.0, 60.0, 900.0))])
    within = Sam2Source("b", network).masks("v", frame, [box_of(1, (0.0, 20.0, 60.0, PICTURE[0]))])
    assert same(over, within)
    outside = Sam2Source("c", network).masks("v", frame, [box_of(1, (200.0, 0.0, 300.0, 50.0))])
    assert outside[1].max() == 0


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([box_of(1, picture=1), point_of(1, 5.0, 5.0, picture=1)], "two prompts for one person"),
        ([Prompt(1, 1, None)], "neither box nor points"),
        ([point_of(1, 5.0, 5.0, is_person=False, picture=1)], "their points must show them"),
        ([box_of(1, picture=2)], "has 2 pictures"),
    ],
)
def test_prompts_that_say_nothing_are_refused_before_anything_moves_on(source, prompts, words):
    """Also those of the second picture, when the first one could be looked at."""
    frame = next(moving_pictures(1, pictures=2))
    source.masks("view", frame, [box_of(8), box_of(8, picture=1)])
    before = source.state()
    with pytest.raises(ValueError, match=words):
        source.masks("view", frame, prompts)
    after = source.state()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_pictures_that_change_size_are_refused_until_the_view_is_forgotten(source):
    frame = next(moving_pictures(1))
    source.masks("view", frame, [box_of(1)])
    with pytest.raises(ValueError, match="forget the view first"):
        source.masks("view", frame[:, :, :-2], ())
    source.forget("view")
    assert source.masks("view", frame[:, :, :-2], ()) == {}
    source.forget("never seen")


def shifted(x_px):
    return np.array([[1, 0, x_px], [0, 1, 0], [0, 0, 1.0]])


def test_a_small_turn_leaves_everything_to_memory(network):
    turned, still = Sam2Source("turned", network), Sam2Source("still", network)
    shown(turned, 3, {0: [box_of(1)]})
    shown(still, 3, {0: [box_of(1)]})
    turned.turn("view", shifted(PICTURE[1] / 8 - 1))
    turned.turn("never seen", shifted(1))
    frame = next(moving_pictures(1))
    assert same(turned.masks("view", frame, ()), still.masks("view", frame, ()))


def test_after_a_jump_people_are_pointed_at_by_their_last_mask(network):
    turned, still = Sam2Source("turned", network), Sam2Source("still", network)
    shown(turned, 3, {0: [box_of(1), box_of(2, RIGHT_BOX)]})
    shown(still, 3, {0: [box_of(1), box_of(2, RIGHT_BOX)]})
    left, top, right, bottom = LEFT_BOX
    follower = turned.follower("view", 0)
    follower.boxes = {1: LEFT_BOX, 2: RIGHT_BOX}
    turned.turn("view", shifted(70))
    # The second is out of the picture by then.
    assert follower.hints == {1: (left + 70, top, right + 70, bottom)}
    frame = next(moving_pictures(1))
    pointed, plain = turned.masks("view", frame, ()), still.masks("view", frame, ())
    assert not np.array_equal(pointed[1], plain[1])
    # A hint is no prompt: nothing more is remembered than of any other picture.
    assert sorted(follower.session.output_dict_per_obj[0][PROMPTED]) == [0]
    assert follower.hints == {}


def test_a_prompt_goes_before_what_a_turn_tells(network):
    turned, still = Sam2Source("turned", network), Sam2Source("still", network)
    for source in (turned, still):
        shown(source, 3, {0: [box_of(1)]})
    turned.follower("view", 0).boxes = {1: LEFT_BOX}
    turned.turn("view", shifted(60))
    assert turned.follower("view", 0).hints
    frame, prompts = next(moving_pictures(1)), [box_of(1, RIGHT_BOX)]
    assert same(turned.masks("view", frame, prompts), still.masks("view", frame, prompts))


def test_a_view_behind_the_viewer_gives_no_hint(source):
    shown(source, 1, {0: [box_of(1)]})
    source.follower("view", 0).boxes = {1: LEFT_BOX}
    source.turn("view", np.diag([1.0, 1.0, -1.0]))
    assert source.follower("view", 0).hints == source.follower("view", 0).boxes == {}


@pytest.mark.parametrize(
    ("said", "whose"),
    [
        ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has less", "device"),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried", "host"),
    ],
)
def test_a_lack_of_memory_is_told_so_that_the_run_can_give_something_up(
    network, source, monkeypatch, said, whose
):
    torch = pytest.importorskip("torch")
    error = torch.OutOfMemoryError(said) if whose == "device" else RuntimeError(said)
    shown(source, 2, {0: [box_of(1)]})
    around(monkeypatch, FORWARD, _raiser(error))
    with pytest.raises(MemoryError, match="ran out of memory") as raised:
        shown(source, 1, {})
    assert memory_shortage(raised.value) == whose
    assert "\n" not in str(raised.value)
    # Some views may have moved on and others not.
    assert source.state() == {}


def test_a_real_lack_of_memory_is_told(network, source, monkeypatch):
    torch = pytest.importorskip("torch")
    around(monkeypatch, FORWARD, lambda *_: torch.empty(1 << 46))
    with pytest.raises(MemoryError) as raised:
        shown(source, 1, {0: [box_of(1)]})
    assert memory_shortage(raised.value) == "host"


def test_other_errors_stay_what_they_are(network, source, monkeypatch):
    around(monkeypatch, FORWARD, _raiser(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        shown(source, 1, {0: [box_of(1)]})


def _raiser(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_runs_and_says_nearly_the_same(name):
    """Within a tenth where weights are random: eight bits, through some thirty layers."""
    prompts = {0: [box_of(1)]}
    exact = shown(Sam2Source("fp32", tiny_network(name)), 3, prompts)
    halved = shown(Sam2Source("half", tiny_network(name, half=True)), 3, prompts)
    for one, other in zip(exact, halved, strict=True):
        assert other[1].dtype == np.float32
        assert np.isfinite(other[1]).all()
        assert np.abs(one[1] - other[1]).mean() < 0.1
    assert not same(exact[2], halved[2])
