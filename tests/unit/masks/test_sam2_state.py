"""Going on from a saved state, in this process and in another."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from support.faults import around
from support.matting.sam2_networks import NAMES, RIGHT_BOX, box_of, moving_pictures, tiny_network
from support.paths import SOURCES, TESTS
from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.state_file import load_state, save_state

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers

FRAMES = 12
PROMPTS = {
    0: [box_of(7), box_of(7, RIGHT_BOX, picture=1)],
    3: [box_of(2, RIGHT_BOX)],
    9: [box_of(7, RIGHT_BOX, picture=0)],
}
JUMP = np.array([[1, 0, 60], [0, 1, 0], [0, 0, 1.0]])


def shown(source, first, last):
    """The masks of some frames of two views, with a turn of one of them."""
    found = []
    for at, frame in enumerate(moving_pictures(last, pictures=2)):
        if at < first:
            continue
        if at == 7:
            source.turn("a/again", JUMP)
        found.append(source.masks("a/again", frame, PROMPTS.get(at, ())))
        found.append(source.masks("b", frame[:1, :, ::-1], [box_of(5)] if at == 4 else []))
    return found


def assert_same(one, other):
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert list(mine) == list(theirs)
        for person in mine:
            np.testing.assert_array_equal(mine[person], theirs[person])


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    return tiny_network(request.param)


@pytest.fixture(scope="module")
def straight(network):
    """What an undisturbed run shows."""
    return shown(Sam2Source("straight", network), 0, FRAMES)


def test_interrupted_is_as_undisturbed_bit_for_bit(network, straight, tmp_path):
    first = Sam2Source("b", network)
    before = shown(first, 0, 6)
    file = save_state(first.state(), tmp_path / "state.npz")
    assert file.bytes > 0
    second = Sam2Source("c", network)
    second.restore(load_state(tmp_path / "state.npz"))
    assert second.remembers("a/again")
    assert_same(straight, before + shown(second, 6, FRAMES))


def test_half_precision_goes_on_exactly_too():
    network = tiny_network(half=True)
    straight = shown(Sam2Source("a", network), 0, FRAMES)
    first, second = Sam2Source("b", network), Sam2Source("c", network)
    before = shown(first, 0, 6)
    second.restore(first.state())
    assert_same(straight, before + shown(second, 6, FRAMES))


_OTHER_PROCESS = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import numpy as np
from unit.masks.test_sam2_state import FRAMES, shown
from support.matting.sam2_networks import tiny_network
from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.pipeline import load_state
folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    source = Sam2Source("other", tiny_network(name))
    source.restore(load_state(folder / f"{name}.npz"))
    found = enumerate(shown(source, 6, FRAMES))
    masks = {f"{at} {person}": mask for at, of in found for person, mask in of.items()}
    np.savez(folder / f"{name}.found.npz", **masks)
"""


@pytest.mark.slow
def test_another_process_goes_on_bit_for_bit(tmp_path):
    names, rest = NAMES[:2], {}
    for name in names:
        source = Sam2Source("a", tiny_network(name))
        shown(source, 0, 6)
        save_state(source.state(), tmp_path / f"{name}.npz")
        rest[name] = shown(source, 6, FRAMES)
    paths = [str(TESTS), str(SOURCES)]
    subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS, str(tmp_path), *names],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=True,
    )
    for name in names:
        with np.load(tmp_path / f"{name}.found.npz") as found:
            assert len(found.files) == sum(len(masks) for masks in rest[name])
            for at, masks in enumerate(rest[name]):
                for person, mask in masks.items():
                    np.testing.assert_array_equal(mask, found[f"{at} {person}"])


def test_a_state_is_fp32_alone_and_stops_growing(network):
    source, sizes = Sam2Source("a", network), []
    for at, frame in enumerate(moving_pictures(24)):
        source.masks("view", frame, [box_of(7)] if at == 0 else [])
        state = source.state()
        assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}
        sizes.append(sum(array.nbytes for array in state.values()))
    assert sizes[0] < sizes[5]
    assert len({*sizes[16:]} - {s + 20 for s in sizes[16:]}) == 1  # a box more or less
    position, mask = state["view/0.positions"].nbytes, state["view/0.7.tracked.masks"].nbytes // 6
    pointer = state["view/0.7.prompted.pointers"].nbytes
    small = 4 * 60
    assert position + 7 * mask + 16 * pointer <= sizes[-1]
    assert sizes[-1] <= position + 7 * mask + 16 * pointer + small


def test_an_empty_state_is_a_fresh_start(network):
    source = Sam2Source("a", network)
    assert source.state() == {}
    shown(source, 0, 2)
    source.restore({})
    assert not source.remembers("a/again")
    assert source.state() == {}


def test_a_state_is_not_written_through(network):
    """What was restored from may be read-only, and stays as it is."""
    source = Sam2Source("a", network)
    shown(source, 0, 2)
    state = {name: array.copy() for name, array in source.state().items()}
    for array in state.values():
        array.setflags(write=False)
    source.restore(state)
    shown(source, 2, 4)


@pytest.mark.parametrize(
    "broken",
    [
        lambda state: {"r1": np.zeros(1, np.float32)},
        lambda state: {n: a for n, a in state.items() if not n.endswith("0.frame")},
        lambda state: {n: a for n, a in state.items() if not n.endswith("tracked.pointers")},
        lambda state: {n: a[:0] if n.endswith("masks.precision") else a for n, a in state.items()},
    ],
    ids=["another engine's", "no frame", "no pointers", "no precisions"],
)
def test_another_engines_state_is_refused(network, broken):
    source = Sam2Source("a", network)
    shown(source, 0, 3)
    with pytest.raises(ValueError, match=r"not a state|shorter|longer"):
        Sam2Source("b", network).restore(broken(source.state()))


def test_numbers_that_fp32_lacks_are_refused(network):
    source = Sam2Source("a", network)
    source.masks("view", next(moving_pictures(1)), [box_of(1 << 24)])
    with pytest.raises(ValueError, match="can't be kept in fp32"):
        source.state()


def test_idle_views_are_kept_elsewhere_and_brought_back(network, straight, monkeypatch):
    """With the CPU as both places, what is moved when tells it."""
    moved = []
    move = "vrmatte.masks.follower.Follower.move_to"
    around(monkeypatch, move, lambda follower, _device: moved.append(follower))
    source = Sam2Source("offloading", network, offload_idle=True)
    assert_same(straight, shown(source, 0, FRAMES))
    # The first view comes; then it and that of one picture take turns, one going as one comes.
    assert len(moved) == 2 + (2 + 1) * (2 * FRAMES - 1)
    # What is restored is of views that nobody looks through yet.
    moved.clear()
    source.restore(source.state())
    assert len(moved) == 2 + 1


def test_parts_that_lie_elsewhere_are_kept_of_their_own(network):
    """Should a network ever lay the parts of its memories differently from picture to picture."""
    first, second = Sam2Source("a", network), Sam2Source("b", network)
    shown(first, 0, 4)
    entry = first.follower("a/again", 0).session.output_dict_per_obj[0]["cond_frame_outputs"][0]
    entry["maskmem_pos_enc"] = entry["maskmem_pos_enc"] + 1
    second.restore(first.state())
    assert_same(shown(first, 4, 6), shown(second, 4, 6))


def test_moving_to_another_device_takes_all_of_a_memory_along(network):
    """PyTorch's device without data shows what was left behind."""
    source = Sam2Source("a", network)
    shown(source, 0, 3)
    follower = source.follower("a/again", 0)
    follower.move_to("meta")
    assert follower.positions.device.type == "meta"
    for kept in follower.session.output_dict_per_obj.values():
        for entries in kept.values():
            for entry in entries.values():
                assert {tensor.device.type for tensor in entry.values()} == {"meta"}
                if "maskmem_pos_enc" in entry:
                    assert entry["maskmem_pos_enc"] is follower.positions
