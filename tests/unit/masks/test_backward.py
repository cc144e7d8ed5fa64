"""People who were found late, followed back through the pictures just before."""

from __future__ import annotations

import numpy as np
import pytest

from support.faults import around
from support.matting.sam2_networks import (
    NAMES,
    PICTURE,
    RIGHT_BOX,
    box_of,
    moving_pictures,
    point_of,
    tiny_network,
)
from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.masks.source import FollowsBack

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers

FORWARD = "vrmatte.masks.sam2_network.Sam2Network.forward"
FRAMES = 18


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    return tiny_network(request.param)


@pytest.fixture
def source(network):
    return Sam2Source("tiny", network)


def test_masks_are_those_of_the_librarys_own_way_back(network, source):
    """Its session holds the whole video and counts frames down; ours counts them up."""
    import torch

    joins = FRAMES - 1
    session = network.new_session()
    frames = list(moving_pictures(FRAMES))
    for at, frame in enumerate(frames):
        session.add_new_frame(network._pixels(frame[0]), at)
    network.point(session, joins, box_of(7), PICTURE)
    session.obj_with_new_inputs = [7]
    expected = {}
    with torch.inference_mode():
        for found in network._model.propagate_in_video_iterator(
            session, start_frame_idx=joins, max_frame_num_to_track=FRAMES, reverse=True
        ):
            masks = torch.nn.functional.interpolate(
                found.pred_masks.float(), size=PICTURE, mode="bilinear"
            )
            expected[found.frame_idx] = torch.sigmoid(masks)[0, 0].numpy()
    earlier = source.before(frames, {joins: [box_of(7)]})
    assert len(earlier) == FRAMES
    assert earlier[joins] == {}
    assert len(expected) == FRAMES
    for at in range(joins):
        np.testing.assert_array_equal(earlier[at][7][0], expected[at])


def test_every_picture_is_looked_at_once_for_all_who_come_after_it(source, network, monkeypatch):
    prompts = {4: [box_of(1), box_of(2, RIGHT_BOX)], 6: [box_of(3)]}
    looked = []
    around(monkeypatch, FORWARD, lambda *of: looked.append(of[-1]))
    frames = list(moving_pictures(8))
    earlier = source.before(frames, prompts)
    assert [sorted(masks) for masks in earlier] == [[1, 2, 3]] * 4 + [[3]] * 2 + [[]] * 2
    # Not the last one, in which nobody is pointed at, nor any of the others twice.
    assert len(looked) == 7
    assert all(np.array_equal(a, f[0]) for a, f in zip(looked, frames[6::-1], strict=True))


def test_who_begins_later_finds_the_same(source):
    """Frames that are gone by are looked at last, so they may as well be left out."""
    prompts = {2: [box_of(1)], 4: [box_of(2, RIGHT_BOX)], 6: [box_of(3)]}
    frames = list(moving_pictures(7))
    whole = source.before(frames, prompts)
    for begins in range(1, 6):
        of_rest = {at - begins: told for at, told in prompts.items() if at >= begins}
        rest = source.before(frames[begins:], of_rest)
        for one, other in zip(rest, whole[begins:], strict=True):
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[person], other[person]) for person in one)


def test_what_views_remember_stays_as_it_is(network, source):
    prompts = {0: [box_of(1)], 3: [box_of(2, RIGHT_BOX)]}
    plain, frames = Sam2Source("plain", network), list(moving_pictures(7))
    for at, frame in enumerate(frames):
        source.before(frames[: at + 1], {at: [box_of(1), box_of(5)]})
        found, expected = (s.masks("view", frame, prompts.get(at, ())) for s in (source, plain))
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[person], expected[person]) for person in expected)
    assert source.state().keys() == plain.state().keys()


def test_each_eye_is_followed_back_from_where_somebody_joined_in_it(source):
    prompts = {2: [box_of(7, picture=1)], 4: [point_of(7, 40, 50)]}
    earlier = source.before(list(moving_pictures(6, pictures=2)), prompts)
    assert [list(masks) for masks in earlier] == [[7]] * 4 + [[]] * 2
    assert all(masks[7].shape == (2, *PICTURE) for masks in earlier[:4])
    assert [bool(masks[7][1].any()) for masks in earlier[:4]] == [True, True, False, False]
    assert all(masks[7][0].any() for masks in earlier[:4])


def test_without_pictures_or_prompts_nobody_is_found(source):
    assert source.before([], {}) == []
    assert source.before(list(moving_pictures(3)), {}) == [{}, {}, {}]
    outside = box_of(1, (500.0, 0.0, 600.0, 90.0))
    assert source.before(list(moving_pictures(2)), {1: [outside]}) == [{}, {}]


def test_a_source_that_follows_back_is_known_by_it(source):
    assert isinstance(source, FollowsBack)
    assert not isinstance(source.network, FollowsBack)


def test_views_wait_elsewhere_while_nobody_looks_through_them(network, monkeypatch):
    """On a GPU only what is looked at lies there."""
    source = Sam2Source("tiny", network, offload_idle=True)
    frames = list(moving_pictures(3))
    source.masks("view", frames[0], [box_of(1)])
    moved = []
    move = "vrmatte.masks.follower.Follower.move_to"
    around(monkeypatch, move, lambda _, device: moved.append(str(device)))
    source.before(frames, {2: [box_of(2)]})
    assert moved == ["cpu"]
    source.masks("view", frames[1], ())
    assert moved == ["cpu", str(network.device)]


def test_a_lack_of_memory_is_told_as_for_other_pictures(network, source, monkeypatch):
    def short(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    source.masks("view", next(moving_pictures(1)), [box_of(1)])
    around(monkeypatch, FORWARD, short)
    with pytest.raises(MemoryError, match="tiny ran out of memory"):
        source.before(list(moving_pictures(2)), {1: [box_of(2)]})
    assert not source.remembers("view")
