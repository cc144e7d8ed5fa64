"""People who join late, followed back through the pictures just before."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_networks import NAMES, PICTURE, RIGHT_BOX, box_of, moving_pictures, tiny_network
from vrmatte.masks.backward import Lookback
from vrmatte.masks.sam2_source import Sam2Source

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers

FRAMES = 18


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    return tiny_network(request.param)


def lookback(network, frames, prompts, held, pictures=1):
    back = Lookback(Sam2Source("tiny", network), held)
    for at, frame in enumerate(moving_pictures(frames, pictures)):
        back.masks("view", frame, prompts.get(at, ()))
    return back


def test_masks_are_those_of_the_librarys_own_way_back(network):
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
    back = lookback(network, FRAMES, {joins: [box_of(7)]}, held=FRAMES)
    earlier = back.earlier("view")
    assert len(earlier) == FRAMES
    assert earlier[joins] == {}
    assert len(expected) == FRAMES
    for at in range(joins):
        np.testing.assert_array_equal(earlier[at][0, 7], expected[at])


def test_every_picture_is_looked_at_once_for_all_who_joined(network, monkeypatch):
    prompts = {2: [box_of(1)], 5: [box_of(2, RIGHT_BOX), box_of(3)], 7: [box_of(4)]}
    back = lookback(network, 8, prompts, held=6)
    looked, plain = [], network.forward

    def forward(session, frame, picture):
        looked.append(frame)
        return plain(session, frame, picture)

    monkeypatch.setattr(network, "forward", forward)
    earlier = back.earlier("view")
    # Frames 1 to 7 are held; the first is shown to one person, the others came after it.
    assert [sorted(person for _, person in masks) for masks in earlier] == [
        [1, 2, 3, 4], [2, 3, 4], [2, 3, 4], [2, 3, 4], [4], [4], []
    ]  # fmt: skip
    # Six pictures, none of them twice, and not the one somebody was prompted in.
    assert looked == [1, 2, 3, 4, 5, 6]
    assert all(masks == {} for masks in back.earlier("view"))
    assert looked == [1, 2, 3, 4, 5, 6]


def test_what_the_forward_pass_remembers_stays_as_it_is(network):
    prompts = {0: [box_of(1)], 3: [box_of(2, RIGHT_BOX)]}
    plain = Sam2Source("plain", network)
    back = Lookback(Sam2Source("back", network), 4)
    for at, frame in enumerate(moving_pictures(7)):
        found, expected = (s.masks("view", frame, prompts.get(at, ())) for s in (back, plain))
        back.earlier("view")
        assert all(np.array_equal(found[person], expected[person]) for person in expected)


def test_each_eye_is_followed_back_from_where_somebody_joined_in_it(network):
    prompts = {2: [box_of(7, picture=1)], 4: [box_of(7)]}
    earlier = lookback(network, 6, prompts, held=9, pictures=2).earlier("view")
    assert [sorted(masks) for masks in earlier] == [
        [(0, 7), (1, 7)], [(0, 7), (1, 7)], [(0, 7)], [(0, 7)], [], []
    ]  # fmt: skip
    assert earlier[0][0, 7].shape == PICTURE


def test_those_who_joined_before_the_held_frames_have_no_way_back(network):
    back = lookback(network, 8, {1: [box_of(1)], 4: [box_of(2)]}, held=2)
    assert back.earlier("view") == [{}, {}, {}]


def test_somebody_there_from_the_first_picture_has_no_way_back(network):
    back = lookback(network, 3, {0: [box_of(1)]}, held=5)
    assert back.earlier("view") == [{}, {}, {}]


def test_a_new_prompt_for_somebody_known_sends_nobody_back(network):
    back = lookback(network, 5, {0: [box_of(1)], 3: [box_of(1, RIGHT_BOX)]}, held=5)
    assert back.earlier("view") == [{}] * 5


def test_a_forgotten_view_is_held_no_longer(network):
    back = lookback(network, 3, {2: [box_of(1)]}, held=5)
    back.forget("view")
    assert back.earlier("view") == []
    with pytest.raises(ValueError, match="at least one frame"):
        Lookback(Sam2Source("tiny", network), 0)
