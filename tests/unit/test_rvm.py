from functools import partial

import numpy as np
import onnx
import pytest
from onnx import helper

from matting_pictures import clip_frames, crop, deeper, from_rgb, soft_rgb
from vrmatte.frames import ColorTags, Eye
from vrmatte.matting.rvm import RvmEngine, WholeNetwork, load_rvm, network_size
from vrmatte.models.runtime import open_session

EVERYDAY, RELEASE = "rvm_mobilenetv3_fp32.onnx", "rvm_release_graph.onnx"
SIZE = 384
on_cpu = partial(open_session, device="cpu")


@pytest.fixture
def weights(models_dir) -> bytes:
    return (models_dir / EVERYDAY).read_bytes()


@pytest.fixture
def people(bench_dir):
    """Four frames of a person close to the camera: a part of each eye's view."""
    frames = clip_frames(bench_dir, "d2_close", 4)
    return [[crop(frame.eye(eye), 256, 256, SIZE, SIZE) for eye in Eye] for frame in frames]


def engine_of(weights, scale=0.5, batch_views=False) -> RvmEngine:
    return load_rvm(weights, scale, on_cpu, batch_views=batch_views)


def differences(ours, theirs):
    return [
        np.abs(a.astype(int) - b)
        for of_frame in zip(ours, theirs, strict=True)
        for a, b in zip(*of_frame, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "scale"), [(EVERYDAY, 0.5), (EVERYDAY, 0.375), (EVERYDAY, 0.25), (RELEASE, 0.5)]
)
def test_split_equals_whole_graph_on_real_footage(models_dir, people, name, scale):
    weights = (models_dir / name).read_bytes()
    split, whole = engine_of(weights, scale), RvmEngine(WholeNetwork(on_cpu(weights), scale))
    ours = [split.matte(views) for views in people]
    theirs = [whole.matte(views) for views in people]
    assert any(matte.max() > 200 for views in ours for matte in views), "no person in the test"
    # One level, since both sides round.
    assert max(difference.max() for difference in differences(ours, theirs)) <= 1


def test_odd_network_sizes(weights):
    picture = from_rgb(soft_rgb(318, 186))
    assert network_size(picture, 0.5) == (159, 93)
    split, whole = engine_of(weights), RvmEngine(WholeNetwork(on_cpu(weights), 0.5))
    for _ in range(2):
        ours, theirs = split.matte([picture]), whole.matte([picture])
        assert ours[0].shape == (186, 318)
        assert np.abs(ours[0].astype(int) - theirs[0]).max() <= 1


def test_sizes_that_are_no_multiple_of_the_ratio(weights):
    (matte,) = engine_of(weights, scale=0.3).matte([from_rgb(soft_rgb(131, 77))])
    assert matte.shape == (77, 131)
    assert network_size(from_rgb(soft_rgb(2, 2)), 0.1) == (1, 1)


def test_views_in_one_batch_or_one_after_the_other(weights, people):
    single, batch = engine_of(weights), engine_of(weights, batch_views=True)
    ours = [single.matte(views) for views in people]
    theirs = [batch.matte(views) for views in people]
    # The runtime may share the work out differently: one level of rounding.
    assert max(difference.max() for difference in differences(ours, theirs)) <= 1
    for name, tensor in single.state().items():
        assert np.abs(tensor - batch.state()[name]).max() < 1e-4


def test_views_of_different_size_are_not_batched(weights, people):
    left, right = people[0]
    small = crop(right, 64, 32, 256, 320)
    engine = engine_of(weights, batch_views=True)
    assert [matte.shape for matte in engine.matte([left, small])] == [(SIZE, SIZE), (320, 256)]
    alone = engine_of(weights)
    alone.matte([small])
    # The second frame, so that a mixed-up state would show.
    assert np.array_equal(engine.matte([left, small])[1], alone.matte([small])[0])


@pytest.mark.parametrize("batch_views", [False, True])
def test_saved_state_goes_on_bit_for_bit(weights, people, batch_views):
    engine = engine_of(weights, batch_views=batch_views)
    assert engine.state() == {}
    for views in people[:2]:
        engine.matte(views)
    saved = {name: tensor.copy() for name, tensor in engine.state().items()}
    assert len(saved) == 8
    assert {tensor.dtype for tensor in saved.values()} == {np.dtype(np.float32)}
    expected = [engine.matte(views) for views in people[2:]]
    other = engine_of(weights, batch_views=batch_views)
    other.restore(saved)
    resumed = [other.matte(views) for views in people[2:]]
    assert max(difference.max() for difference in differences(resumed, expected)) == 0
    for name, tensor in engine.state().items():
        assert np.array_equal(tensor, other.state()[name])


def test_the_past_matters_until_reset(weights, people):
    engine = engine_of(weights)
    fresh = engine.matte(people[0])
    later = engine.matte(people[0])
    assert not np.array_equal(fresh[0], later[0])
    engine.reset()
    assert engine.state() == {}
    again = engine.matte(people[0])
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))
    engine.restore({})
    assert np.array_equal(engine.matte(people[0])[0], fresh[0])


def test_depth_and_range_do_not_matter(weights, people):
    views = people[0]
    mattes = engine_of(weights).matte(views)
    tens = engine_of(weights).matte([deeper(view) for view in views])
    # The same numbers, scaled: only float rounding differs.
    assert max(d.max() for d in differences([mattes], [tens])) <= 1
    rgb = soft_rgb(128, 128)
    limited, full = (
        engine_of(weights).matte([from_rgb(rgb, color=ColorTags(matrix=1, full_range=wide))])[0]
        for wide in (False, True)
    )
    # Codes are rounded to 1/219 or 1/255, so pictures differ by up to two levels here and there.
    assert np.abs(limited.astype(int) - full).mean() < 2


def test_other_views_need_a_reset(weights, people):
    engine = engine_of(weights)
    engine.matte(people[0])
    with pytest.raises(ValueError, match="without a reset"):
        engine.matte([crop(view, 0, 0, 128, 128) for view in people[0]])
    with pytest.raises(ValueError, match="without a reset"):
        engine.matte(people[0][:1])
    saved = engine.state()
    other = engine_of(weights)
    other.restore(saved)
    with pytest.raises(ValueError, match="1 views, but the state is of 2"):
        other.matte(people[0][:1])
    engine.reset()
    engine.matte(people[0][:1])


@pytest.mark.parametrize("spoil", ["view0_r1", "view1_r4"])
def test_a_foreign_state_is_refused(weights, people, spoil):
    engine = engine_of(weights)
    engine.matte(people[0])
    state = engine.state()
    del state[spoil]
    with pytest.raises(ValueError, match="not a state"):
        engine.restore(state)


def test_an_unknown_graph_is_run_whole(weights, people):
    model = onnx.load_model_from_string(weights)
    clip = next(node for node in model.graph.node if "pha" in node.output)
    between = helper.make_node("Identity", [clip.input[0]], ["between"])
    clip.input[0] = "between"
    model.graph.node.insert(list(model.graph.node).index(clip), between)
    strange, known = engine_of(model.SerializeToString()), engine_of(weights)
    assert "whole graph" in strange.provider
    assert "whole graph" not in known.provider
    ours = [strange.matte(views) for views in people]
    theirs = [known.matte(views) for views in people]
    assert max(difference.max() for difference in differences(ours, theirs)) <= 1


def test_what_the_report_says(weights):
    engine = engine_of(weights)
    assert (engine.name, engine.provider) == ("rvm", "CPUExecutionProvider")
    assert engine.warmup_frames >= 15
