"""Memory that stays where the network runs changes nothing; here that place is the CPU."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from vrmatte.matting.engines.rvm import CutNetwork, RvmEngine
from vrmatte.models.runtime import Resident, open_session
from vrmatte.models.rvm_cut import cut_rvm

VIEWS = ("a", "b", "a", "a", "b")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(3).random((len(VIEWS), 2, 3, 48, 64), dtype=np.float32)


@pytest.fixture
def engine_of(models_dir):
    session = open_session(
        cut_rvm((models_dir / "rvm_mobilenetv3_fp32.onnx").read_bytes()), "cpu", threads=1
    )
    return lambda resident=True, **how: RvmEngine(CutNetwork(session, resident=resident), **how)


def shown(engine, pictures, turn=None):
    """Coefficients of every step, and the state after the last."""
    found = []
    for at, (view, picture) in enumerate(zip(VIEWS, pictures, strict=True)):
        if at == 3 and turn is not None:
            engine.turn(view, turn)
        found.append(engine.infer(view, picture))
    return found, engine.state()


def assert_same(ours, theirs):
    for mine, other in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_array_equal(mine.slope, other.slope)
        np.testing.assert_array_equal(mine.offset, other.offset)
    assert ours[1].keys() == theirs[1].keys()
    for name, tensor in ours[1].items():
        np.testing.assert_array_equal(tensor, theirs[1][name])
        assert tensor.dtype == np.float32


@pytest.mark.parametrize("batch_pictures", [False, True])
@pytest.mark.parametrize("offload_idle", [False, True])
@pytest.mark.parametrize("turn", [None, np.array([[1, 0, 16], [0, 1, 0], [0, 0, 1.0]])])
def test_the_same_bit_for_bit_as_by_way_of_arrays(
    engine_of, pictures, batch_pictures, offload_idle, turn
):
    kind = partial(engine_of, batch_pictures=batch_pictures, offload_idle=offload_idle)
    assert_same(
        shown(kind(resident=True), pictures, turn), shown(kind(resident=False), pictures, turn)
    )


def tensors_of(engine, view):
    return [tensor for memory in engine._memories[view] for tensor in memory]


def test_memory_stays_there_until_another_view_is_looked_through(engine_of, pictures):
    engine = engine_of(offload_idle=True)
    engine.infer("a", pictures[0])
    assert all(isinstance(tensor, Resident) for tensor in tensors_of(engine, "a"))
    engine.state()
    engine.infer("a", pictures[2])
    assert all(isinstance(tensor, Resident) for tensor in tensors_of(engine, "a"))
    engine.infer("b", pictures[1])
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors_of(engine, "a"))
    assert all(isinstance(tensor, Resident) for tensor in tensors_of(engine, "b"))


def test_without_offload_all_views_stay(engine_of, pictures):
    engine = engine_of()
    engine.infer("a", pictures[0])
    engine.infer("b", pictures[1])
    assert all(isinstance(tensor, Resident) for tensor in tensors_of(engine, "a"))


def test_a_saved_state_goes_on_either_way(engine_of, pictures):
    engine, other = engine_of(resident=True), engine_of(resident=False, batch_pictures=True)
    engine.infer("a", pictures[0])
    other.restore(engine.state())
    first, second = engine.infer("a", pictures[2]), other.infer("a", pictures[2])
    np.testing.assert_array_equal(first.slope, second.slope)
    assert engine.state().keys() == other.state().keys()
    for name, tensor in engine.state().items():
        np.testing.assert_array_equal(tensor, other.state()[name])


def test_pictures_that_are_no_plain_arrays_are_bound_too(engine_of, pictures):
    """A part of a larger array must not be read as if it lay in one piece."""
    wide = np.concatenate([pictures[0], pictures[1]], axis=3)
    ours, theirs = engine_of(resident=True), engine_of(resident=False)
    part = wide[..., 64:]
    assert not part.flags.c_contiguous
    np.testing.assert_array_equal(ours.infer("a", part).slope, theirs.infer("a", part).slope)
