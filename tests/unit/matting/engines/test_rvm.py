import io
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import helper

from support.matting.matting_engines import halves, side_by_side, trail_engine
from support.matting.matting_pictures import clip_frames, crop, deeper, from_rgb, soft_rgb
from vrmatte.frames import EYES, ColorTags, half_of
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Turn, Viewport, ViewportPath, homography
from vrmatte.matting.engines.rvm import RvmEngine, load_rvm
from vrmatte.matting.network_input import sampled_rgb
from vrmatte.matting.viewport_matting import SizedPath, ViewportMatting
from vrmatte.matting.whole_eye_matting import WholeEyeMatting, network_size
from vrmatte.models.runtime import open_session
from vrmatte.models.rvm_cut import STATES_IN, STATES_OUT

EVERYDAY, RELEASE = "rvm_mobilenetv3_fp32.onnx", "rvm_release_graph.onnx"
SIZE = 384
on_cpu = partial(open_session, device="cpu")


class Published:
    """RVM as its authors run it: the whole graph on full-size pictures of each eye."""

    def __init__(self, weights, scale):
        self.session, self.scale = on_cpu(weights), scale
        self.states = {eye: [np.zeros((1, 1, 1, 1), np.float32)] * 4 for eye in EYES}

    def matte(self, index, frame):
        del index
        return np.hstack([self.step(eye, frame.eye(eye)) for eye in EYES])

    def step(self, eye, picture):
        feeds = {
            "src": sampled_rgb(picture, picture.width, picture.height)[None],
            "downsample_ratio": np.array([self.scale], np.float32),
            **dict(zip(STATES_IN, self.states[eye], strict=True)),
        }
        alphas, *self.states[eye] = self.session.run(("pha", *STATES_OUT), feeds)
        return (alphas[0, 0] * 255 + 0.5).astype(np.uint8)


@pytest.fixture
def weights(models_dir) -> bytes:
    return (models_dir / EVERYDAY).read_bytes()


@pytest.fixture
def people(bench_dir):
    """Four frames of a person close to the camera: a part of each eye's view."""
    frames = clip_frames(bench_dir, "d2_close", 4)
    return [
        side_by_side(*(crop(eye, 256, 256, SIZE, SIZE) for eye in halves(frame)))
        for frame in frames
    ]


@pytest.fixture
def pictures():
    """Three frames of two small views."""
    return np.random.default_rng(0).random((3, 2, 3, 64, 48), dtype=np.float32)


def engine_of(weights, batch_pictures=False) -> RvmEngine:
    """An engine that begins at once; how views settle is not its business."""
    engine = load_rvm(weights, on_cpu, batch_pictures=batch_pictures)
    engine.settling_frames = 0
    return engine


def mattes_of(matting, frames):
    return [matting.matte(index, frame) for index, frame in enumerate(frames)]


def whole_eyes(weights, frames, scale=0.5, **kind):
    return mattes_of(WholeEyeMatting(engine_of(weights, **kind), scale), frames)


def largest_difference(ours, theirs):
    return max(np.abs(a.astype(int) - b).max() for a, b in zip(ours, theirs, strict=True))


def copied(state):
    return {name: tensor.copy() for name, tensor in state.items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[n], theirs[n]) for n in ours)


def coefficients_equal(ours, theirs):
    return np.array_equal(ours.slope, theirs.slope) and np.array_equal(ours.offset, theirs.offset)


@pytest.mark.parametrize(
    ("name", "scale"), [(EVERYDAY, 0.5), (EVERYDAY, 0.375), (EVERYDAY, 0.25), (RELEASE, 0.5)]
)
def test_split_equals_whole_graph_on_real_footage(models_dir, people, name, scale):
    weights = (models_dir / name).read_bytes()
    ours = whole_eyes(weights, people, scale)
    theirs = mattes_of(Published(weights, scale), people)
    assert any(half_of(matte, eye).max() > 200 for matte in ours for eye in EYES), "nobody there"
    # One level, since both sides round.
    assert largest_difference(ours, theirs) <= 1


def test_odd_network_sizes(weights):
    picture = from_rgb(soft_rgb(318, 186))
    assert network_size(picture, 0.5) == (159, 93)
    frames = [side_by_side(picture, picture)] * 2
    ours, theirs = whole_eyes(weights, frames), mattes_of(Published(weights, 0.5), frames)
    assert ours[0].shape == (186, 636)
    assert largest_difference(ours, theirs) <= 1


def test_sizes_that_are_no_multiple_of_the_ratio(weights):
    picture = from_rgb(soft_rgb(130, 77))
    (matte,) = whole_eyes(weights, [side_by_side(picture, picture)], scale=0.3)
    assert matte.shape == (77, 260)
    assert network_size(from_rgb(soft_rgb(2, 2)), 0.1) == (1, 1)


def test_pictures_in_one_batch_or_one_after_the_other(weights, people):
    single, batch = engine_of(weights), engine_of(weights, batch_pictures=True)
    ours = mattes_of(WholeEyeMatting(single, 0.5), people)
    theirs = mattes_of(WholeEyeMatting(batch, 0.5), people)
    assert largest_difference(ours, theirs) == 0
    assert same(single.state(), batch.state())


@pytest.mark.parametrize("batch_pictures", [False, True])
def test_saved_state_goes_on_bit_for_bit(weights, people, batch_pictures):
    engine = engine_of(weights, batch_pictures)
    assert engine.state() == {}
    matting = WholeEyeMatting(engine, 0.5)
    for index in range(2):
        matting.matte(index, people[index])
    saved = copied(engine.state())
    assert sorted(saved) == [f"eye/{part}" for part in ("r1", "r2", "r3", "r4", "size")]
    assert {tensor.dtype for tensor in saved.values()} == {np.dtype(np.float32)}
    expected = [matting.matte(index, people[index]) for index in (2, 3)]
    other = engine_of(weights, batch_pictures)
    other.restore(saved)
    resumed = WholeEyeMatting(other, 0.5)
    ours = [resumed.matte(index, people[index]) for index in (2, 3)]
    assert largest_difference(ours, expected) == 0
    assert same(engine.state(), other.state())


def test_views_with_strange_names_go_on_from_a_file(weights, pictures):
    names = ["person/1", "person/1/r1", "2", "r3", "shot 7/wide"]
    engine = engine_of(weights)
    for at, name in enumerate(names):
        engine.infer(name, pictures[0, : 1 + at % 2])
    file = io.BytesIO()
    np.savez(file, **engine.state())
    file.seek(0)
    other = engine_of(weights)
    with np.load(file, allow_pickle=False) as stored:
        other.restore({name: stored[name] for name in stored.files})
    assert same(engine.state(), other.state())
    for at, name in enumerate(names):
        assert other.remembers(name)
        next_pictures = pictures[1, : 1 + at % 2]
        assert coefficients_equal(
            engine.infer(name, next_pictures), other.infer(name, next_pictures)
        )
    assert same(engine.state(), other.state())


def test_a_saved_state_does_not_move_on_with_the_engine(pictures):
    engine = trail_engine()
    engine.infer("a", pictures[0])
    saved = engine.state()
    before = copied(saved)
    engine.infer("a", pictures[1])
    engine.turn("a", np.array([[1, 0, 3], [0, 1, 0], [0, 0, 1.0]]))
    assert same(saved, before)


def test_the_past_matters_until_reset(weights, pictures):
    engine = engine_of(weights)
    fresh = engine.infer("eye", pictures[0])
    assert engine.remembers("eye")
    assert not coefficients_equal(fresh, engine.infer("eye", pictures[0]))
    engine.reset()
    assert engine.state() == {}
    assert not engine.remembers("eye")
    assert coefficients_equal(fresh, engine.infer("eye", pictures[0]))
    engine.restore({})
    assert coefficients_equal(fresh, engine.infer("eye", pictures[0]))


def test_a_view_is_forgotten_alone(weights, pictures):
    engine, alone = engine_of(weights), engine_of(weights)
    fresh = engine.infer("a", pictures[0])
    engine.infer("b", pictures[0])
    alone.infer("b", pictures[0])
    engine.forget("a")
    engine.forget("never seen")
    assert not engine.remembers("a")
    assert same(engine.state(), alone.state())
    assert coefficients_equal(engine.infer("b", pictures[1]), alone.infer("b", pictures[1]))
    # Of another size, too: nothing of it is kept.
    engine.infer("a", pictures[1, :, :, :32])
    engine.forget("a")
    assert coefficients_equal(engine.infer("a", pictures[0]), fresh)


def test_depth_and_range_do_not_matter(weights, people):
    (matte,) = whole_eyes(weights, people[:1])
    (ten,) = whole_eyes(weights, [deeper(people[0])])
    # The same numbers, scaled: only float rounding differs.
    assert largest_difference([matte], [ten]) <= 1
    rgb = soft_rgb(128, 128)
    limited, full = (
        whole_eyes(weights, [side_by_side(picture, picture)])[0]
        for picture in (
            from_rgb(rgb, color=ColorTags(matrix=1, full_range=wide)) for wide in (False, True)
        )
    )
    # Codes are rounded to 1/219 or 1/255, so pictures differ by up to two levels here and there.
    assert np.abs(limited.astype(int) - full).mean() < 2


def test_other_pictures_need_a_forgotten_view(weights, pictures):
    engine = engine_of(weights)
    engine.infer("eye", pictures[0])
    other = engine_of(weights)
    other.restore(engine.state())
    for one in (engine, other):
        before = copied(one.state())
        with pytest.raises(ValueError, match="forget the view first"):
            one.infer("eye", pictures[1, :, :, :32])
        with pytest.raises(ValueError, match="forget the view first"):
            one.infer("eye", pictures[1, :1])
        assert same(before, one.state())
        one.infer("another", pictures[1, :1])
        one.forget("eye")
        one.infer("eye", pictures[1, :1])


def test_a_failed_frame_leaves_a_state_that_can_be_restored(pictures):
    class Failing:
        provider = "tests"

        def step(self, pictures, memory):
            raise RuntimeError("out of memory")

    engine = RvmEngine(Failing())
    with pytest.raises(RuntimeError):
        engine.infer("a", pictures[0])
    assert engine.state() == {}
    assert not engine.remembers("a")


@pytest.mark.parametrize("spoil", ["a/r1", "b/r4", "b/size"])
def test_a_foreign_state_is_refused(pictures, spoil):
    engine = trail_engine()
    engine.infer("a", pictures[0])
    engine.infer("b", pictures[0])
    state = engine.state()
    kept = copied(state)
    tensor = state.pop(spoil)
    with pytest.raises(ValueError, match="not a state"):
        engine.restore(state)
    with pytest.raises(ValueError, match="not a state"):
        engine.restore({**state, spoil: tensor[:1]})
    with pytest.raises(ValueError, match="not a state"):
        engine.restore({**state, spoil: tensor, "view0_r1": tensor})
    assert same(engine.state(), kept), "refused, but half taken over"


def test_an_unknown_graph_is_run_whole(weights, people):
    model = onnx.load_model_from_string(weights)
    clip = next(node for node in model.graph.node if "pha" in node.output)
    between = helper.make_node("Identity", [clip.input[0]], ["between"])
    clip.input[0] = "between"
    model.graph.node.insert(list(model.graph.node).index(clip), between)
    strange = model.SerializeToString()
    assert "whole graph" in engine_of(strange).provider
    assert "whole graph" not in engine_of(weights).provider
    ours, theirs = whole_eyes(strange, people), whole_eyes(weights, people)
    for mine, known in zip(ours, theirs, strict=True):
        people_here, people_there = mine > 127, known > 127
        assert (people_here & people_there).sum() / (people_here | people_there).sum() > 0.97
    assert whole_eyes(strange, people, batch_pictures=True)[-1].shape == ours[-1].shape


def test_a_map_to_itself_leaves_memory_as_it_is(weights, pictures):
    engine = engine_of(weights)
    engine.infer("a", pictures[0])
    engine.infer("b", pictures[0])
    before = copied(engine.state())
    engine.turn("a", np.eye(3))
    assert same(engine.state(), before)
    engine.turn("never seen", np.eye(3))
    assert same(engine.state(), before)
    # The same map, but its numbers are rounded on the way.
    engine.turn("a", 7 * np.eye(3))
    for name, tensor in engine.state().items():
        assert np.abs(tensor - before[name]).max() < 1e-5


@pytest.mark.parametrize(("right", "down"), [(16, 0), (0, 16), (-32, 16)])
def test_memory_moves_as_the_picture_does(weights, pictures, right, down):
    engine = engine_of(weights)
    engine.infer("a", pictures[0])
    engine.infer("b", pictures[0])
    before = copied(engine.state())
    engine.turn("a", np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]]))
    after = engine.state()
    # 64 x 48 pictures have memories of exactly a half, a quarter and so on.
    for part, step in (("r1", 2), ("r2", 4), ("r3", 8), ("r4", 16)):
        old, new = before[f"a/{part}"], after[f"a/{part}"]
        height, width = old.shape[2:]
        rows = np.clip(np.arange(height) - down // step, 0, height - 1)
        columns = np.clip(np.arange(width) - right // step, 0, width - 1)
        # What comes into view takes the nearest place's memory.
        assert np.array_equal(new, old[:, :, rows[:, None], columns])
        assert new.dtype == np.float32
        assert np.array_equal(after[f"b/{part}"], before[f"b/{part}"])
    engine.infer("a", pictures[1])


def test_memory_is_turned_about_the_same_middle_as_the_picture(pictures):
    """A mirror image is exact at every size; half a sample beside it everything would move."""
    engine = trail_engine()
    engine.infer("a", pictures[0])
    before = copied(engine.state())
    engine.turn("a", np.array([[-1, 0, 48], [0, -1, 64], [0, 0, 1.0]]))
    for part in ("r1", "r2", "r3", "r4"):
        assert np.array_equal(engine.state()[f"a/{part}"], before[f"a/{part}"][:, :, ::-1, ::-1])


def test_a_rotation_brings_memory_where_the_scene_went(pictures):
    engine = trail_engine()
    yaw_deg = np.degrees(np.arctan(0.25))
    size = (256, 256)
    old = Viewport(0, 0, 90, 90)
    u, v = np.meshgrid(*(np.arange(length) + 0.5 for length in size))

    def scene(viewport):
        x, y, z = viewport.picture(*size).directions(u, v)
        pattern = 0.5 + 0.2 * np.sin(9 * x) * np.cos(7 * y) + 0.1 * z
        return np.broadcast_to(pattern, (1, 3, *size)).astype(np.float32)

    new = Viewport(yaw_deg, 5, 90, 90)
    engine.infer("a", scene(old))
    engine.turn("a", homography(old, new, size))
    turned = copied(engine.state())
    engine.reset()
    engine.infer("a", scene(new))
    inside = homography(new, old, size) @ np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
    seen = ((inside[:2] / inside[2] > 1) & (inside[:2] / inside[2] < 255)).all(axis=0)
    seen = seen.reshape(size)
    difference = np.abs(turned["a/r1"] - engine.state()["a/r1"])[0, 0]
    # Interpolation between samples of a smooth pattern, a quarter of which is remembered.
    assert difference[seen].max() < 5e-4
    assert 0.6 < seen.mean() < 0.9


@pytest.mark.slow
def test_turning_memory_beats_forgetting_it(weights, bench_dir):
    """Right after a turn of eight degrees, on a person in the middle of the eye."""
    turn_at, last = 2, 3
    frames = clip_frames(bench_dir, "d1_center", last)
    truth = clip_frames(bench_dir, "d1_center", last, kind="alpha.mkv")[turn_at].y
    path = ViewportPath("person", 0, last, 50, 75, (Turn(0, 0, 0), Turn(turn_at, 8, 0)))

    def error(other_turn=None):
        engine = load_rvm(weights, on_cpu, batch_pictures=False)
        if other_turn is not None:
            engine.turn = other_turn(engine)
        matting = ViewportMatting(
            engine, [SizedPath(path, 192, 304)], HalfEquirect(frames[0].width // 2)
        )
        return np.abs(mattes_of(matting, frames)[turn_at].astype(int) - truth).mean()

    def empty(engine):
        return lambda view, _: engine.restore(
            {n: t if n.endswith("size") else 0 * t for n, t in engine.state().items()}
        )

    def keep(_engine):
        return lambda *_: None

    turned = error()
    assert turned < 0.95 * error(empty)
    assert turned < 0.95 * error(keep)


def test_what_the_report_says(weights):
    engine = load_rvm(weights, on_cpu, batch_pictures=False)
    assert (engine.name, engine.provider) == ("rvm", "CPUExecutionProvider")
    assert engine.settling_frames >= 1
