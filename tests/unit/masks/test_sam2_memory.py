"""That a session forgets what it may and nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from support.matting.sam2_networks import (
    LEFT_BOX,
    NAMES,
    PICTURE,
    RIGHT_BOX,
    box_of,
    moving_pictures,
    point_of,
    tiny_network,
)
from vrmatte.masks import follower as follower_module
from vrmatte.masks.follower import FEATURES, PROMPTED, TRACKED, Follower

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers

FRAMES = 24
PROMPTS = {
    0: [box_of(7), box_of(2, RIGHT_BOX)],
    4: [box_of(11, (40.0, 5.0, 90.0, 60.0))],
    9: [box_of(7, RIGHT_BOX)],
    17: [box_of(2, LEFT_BOX), point_of(30, 20.0, 30.0)],
}


def unpruned(network, prompts, frames):
    """Masks of the library's own session, of which nothing is ever dropped."""
    session = network.new_session()
    for at, frame in enumerate(moving_pictures(frames)):
        for prompt in prompts.get(at, ()):
            network.point(session, at, prompt, PICTURE)
        session.obj_with_new_inputs = [prompt.person for prompt in prompts.get(at, ())]
        yield network.forward(session, at, frame[0])


def followed(network, prompts, frames, prompted=4):
    follower = Follower(network, prompted)
    for at, frame in enumerate(moving_pictures(frames)):
        yield follower.step(frame[0], prompts.get(at, ()))


def largest_difference(one, other):
    return max(
        float(np.abs(mine[person] - theirs[person]).max())
        for mine, theirs in zip(one, other, strict=True)
        for person in mine.keys() | theirs.keys()
    )


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    return tiny_network(request.param)


@pytest.fixture(scope="module")
def whole(network):
    return list(unpruned(network, PROMPTS, FRAMES))


def test_masks_are_those_of_a_session_that_forgets_nothing(network, whole):
    assert largest_difference(followed(network, PROMPTS, FRAMES), whole) == 0.0


@pytest.mark.parametrize("less", [{"memories": 6}, {"pointers": 15}])
def test_anything_less_would_show(network, whole, less, monkeypatch):
    """The equality above isn't one of masks that hang on no memory."""
    keep = follower_module.forget_the_past

    def forget_more(session, frame, **kept):
        keep(session, frame, **{**kept, **less})
        for entries in session.output_dict_per_obj.values():
            for at in [at for at, entry in entries[TRACKED].items() if FEATURES not in entry]:
                if "memories" in less and at > frame - kept["memories"]:
                    del entries[TRACKED][at]

    monkeypatch.setattr(follower_module, "forget_the_past", forget_more)
    assert largest_difference(followed(network, PROMPTS, FRAMES), whole) > 0


def held(follower):
    """Tensors, their bytes in memory, and entries of all containers a follower holds.

    Left out: the network, and where people were seen last, which is one box for each of them.
    """
    left_out = {"network", "boxes", "hints"}
    storages, seen, entries = {}, set(), 0
    waiting = [value for name, value in vars(follower).items() if name not in left_out]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if hasattr(thing, "untyped_storage"):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(thing, dict):
            entries += len(thing)
            waiting += thing.values()
        elif isinstance(thing, list | tuple | set):
            entries += len(thing)
            waiting += thing
        elif hasattr(thing, "__dict__"):
            waiting += vars(thing).values()
    return len(storages), sum(storages.values()), entries


# Pointers of fifteen pictures are remembered, so from the sixteenth picture on nothing is added;
# with prompts every eight, once there are more of them than are kept.
@pytest.mark.parametrize(
    ("every", "people", "looks"),
    [(None, (7,), (16, 50, 200)), (8, (7, 2), (32, 48, 64))],
    ids=["once", "again"],
)
def test_what_is_held_does_not_grow(every, people, looks):
    follower, seen = Follower(tiny_network(), 4), []
    for at, frame in enumerate(moving_pictures(max(looks))):
        is_prompted = at == 0 if every is None else at % every == 0
        prompts = [box_of(person) for person in people]
        follower.step(frame[0], prompts if is_prompted else [])
        if at + 1 in looks:
            seen.append(held(follower))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1] > 0


@pytest.mark.parametrize("name", NAMES[1:])
def test_what_the_other_networks_hold_does_not_grow(name):
    follower, seen = Follower(tiny_network(name), 4), []
    for at, frame in enumerate(moving_pictures(48)):
        follower.step(frame[0], [box_of(7)] if at == 0 else [])
        if at + 1 in (16, 30, 48):
            seen.append(held(follower))
    assert seen[0] == seen[1] == seen[2]


def test_nothing_but_memory_is_held():
    """Pictures, features and large masks go at once."""
    follower = Follower(tiny_network(), 4)
    for at, frame in enumerate(moving_pictures(20)):
        follower.step(frame[0], [box_of(7)] if at == 0 else [])
    kept = follower.session.output_dict_per_obj[0]
    assert (len(kept[PROMPTED]), len(kept[TRACKED])) == (1, 15)
    assert sum(FEATURES in entry for entry in kept[TRACKED].values()) == 6
    count, held_bytes, _ = held(follower)
    masks = kept[PROMPTED][0][FEATURES].nbytes * 7
    pointers = kept[PROMPTED][0]["object_pointer"].nbytes * 16
    # Seven masks, sixteen pointers, and once where the parts of a mask lie.
    assert count == 7 + 16 + 1
    assert held_bytes == masks + pointers + follower.positions.nbytes


def test_a_prompted_picture_that_stays_holds_no_others():
    """The library makes everybody's memory of a picture in one piece."""
    follower = Follower(tiny_network(), 4)
    frames = moving_pictures(20)
    follower.step(next(frames)[0], [box_of(1), box_of(2, RIGHT_BOX), box_of(3)])
    for frame in frames:
        follower.step(frame[0], ())
    for kept in follower.session.output_dict_per_obj.values():
        for entry in kept[PROMPTED].values():
            assert entry[FEATURES].untyped_storage().nbytes() == entry[FEATURES].nbytes


def test_only_the_newest_prompted_pictures_are_kept():
    follower = Follower(tiny_network(), 2)
    for at, frame in enumerate(moving_pictures(20)):
        follower.step(frame[0], [box_of(7)] if at % 5 == 0 else [])
    assert sorted(follower.session.output_dict_per_obj[0][PROMPTED]) == [10, 15]


def test_somebody_prompted_once_never_loses_that_picture():
    follower = Follower(tiny_network(), 1)
    for at, frame in enumerate(moving_pictures(40)):
        follower.step(frame[0], [box_of(7)] if at == 0 else [])
    assert list(follower.session.output_dict_per_obj[0][PROMPTED]) == [0]
    with pytest.raises(ValueError, match="must keep a prompted picture"):
        Follower(follower.network, 0)
