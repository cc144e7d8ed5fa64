import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vrmatte.models.runtime import open_session
from vrmatte.models.rvm_cut import STATES_IN, STATES_OUT, UnknownGraphError, cut_rvm


def with_other_names(rvm_weights: bytes) -> bytes:
    """The same graph as another exporter would name it."""
    model = onnx.load_model_from_string(rvm_weights)
    outside = {value.name for value in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        node.name = f"/other/{node.name}"
        for names in (node.input, node.output):
            names[:] = [name if not name or name in outside else f"/t/{name}" for name in names]
    for tensor in model.graph.initializer:
        tensor.name = f"/t/{tensor.name}"
    del model.graph.value_info[:]
    return model.SerializeToString()


def zeros():
    return [np.zeros((1, 1, 1, 1), np.float32)] * 4


def test_the_cut_computes_what_the_whole_graph_does(rvm_weights):
    low, whole = open_session(cut_rvm(rvm_weights), "cpu"), open_session(rvm_weights, "cpu")
    low_state, whole_state = zeros(), zeros()
    rng = np.random.default_rng(0)
    for _ in range(3):
        rgb = cv2.resize(rng.random((9, 12, 3), dtype=np.float32), (256, 192))
        small = cv2.resize(rgb, (64, 48), interpolation=cv2.INTER_LINEAR)
        feeds = {"src_small": small.transpose(2, 0, 1)[None].copy()}
        slope, offset, *low_state = low.run(
            ("a", "b", *STATES_OUT), feeds | dict(zip(STATES_IN, low_state, strict=True))
        )
        assert slope.shape == offset.shape == (1, 1, 48, 64)
        feeds = {"src": rgb.transpose(2, 0, 1)[None].copy()}
        feeds["downsample_ratio"] = np.array([0.25], np.float32)
        alpha, *whole_state = whole.run(
            ("pha", *STATES_OUT), feeds | dict(zip(STATES_IN, whole_state, strict=True))
        )
        big_slope, big_offset = (cv2.resize(part[0, 0], (256, 192)) for part in (slope, offset))
        ours = np.clip(big_slope * rgb.mean(axis=2) + big_offset, 0, 1)
        # Float sums in another order; 1/255 would be 4e-3.
        assert np.abs(ours - alpha[0, 0]).max() < 1e-4
        for ours, theirs in zip(low_state, whole_state, strict=True):
            assert np.abs(ours - theirs).max() < 1e-4


def test_seams_are_found_by_structure_not_by_name(rvm_weights):
    renamed = cut_rvm(with_other_names(rvm_weights))
    small = np.random.default_rng(0).random((1, 3, 32, 48), dtype=np.float32)
    feeds = {"src_small": small, **dict(zip(STATES_IN, zeros(), strict=True))}
    ours, theirs = (
        open_session(cut, "cpu").run(("a",), feeds) for cut in (renamed, cut_rvm(rvm_weights))
    )
    assert np.array_equal(ours[0], theirs[0])


def test_nothing_of_full_size_is_left(rvm_weights):
    graph = onnx.load_model_from_string(cut_rvm(rvm_weights)).graph
    assert [value.name for value in graph.input] == ["src_small", *STATES_IN]
    assert [value.name for value in graph.output] == ["a", "b", *STATES_OUT]
    assert not {"src", "downsample_ratio"} & {name for node in graph.node for name in node.input}
    onnx.checker.check_model(onnx.load_model_from_string(cut_rvm(rvm_weights)), full_check=True)


def edited(rvm_weights: bytes, edit) -> bytes:
    model = onnx.load_model_from_string(rvm_weights)
    edit(model.graph)
    return model.SerializeToString()


def swap_split(graph):
    clip = next(node for node in graph.node if "pha" in node.output)
    split = next(node for node in graph.node if clip.input[0] in node.output)
    split.output[:] = split.output[::-1]


def shrink_twice(graph):
    first = next(node for node in graph.node if node.op_type == "Resize" and node.input[0] == "src")
    graph.node.append(helper.make_node("Resize", first.input, ["again"]))


def guide_of_another_order(graph):
    mean = next(node.output[0] for node in graph.node if node.op_type == "ReduceMean")
    guide = next(node for node in graph.node if list(node.input) == ["src", mean])
    guide.input[:] = [mean, "src"]


def state_from_the_full_picture(graph):
    adder = next(node for node in graph.node if "r4o" in node.output)
    adder.input[0] = "src"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (swap_split, "second output"),
        (shrink_twice, "2 times"),
        (guide_of_another_order, "guide"),
        (state_from_the_full_picture, "full-size"),
    ],
)
def test_a_graph_that_only_looks_alike_is_refused(rvm_weights, edit, reason):
    with pytest.raises(UnknownGraphError, match=reason):
        cut_rvm(edited(rvm_weights, edit))


def test_other_networks_and_other_files_are_refused():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["src"], ["pha"])],
        "other",
        [value("src", TensorProto.FLOAT, [1])],
        [value("pha", TensorProto.FLOAT, [1])],
    )
    for content in (helper.make_model(graph).SerializeToString(), b"no network at all", b""):
        with pytest.raises(UnknownGraphError):
            cut_rvm(content)
