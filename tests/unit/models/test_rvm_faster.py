from collections import Counter

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vrmatte.models.runtime import open_session
from vrmatte.models.rvm_cut import STATES_IN, STATES_OUT, cut_rvm
from vrmatte.models.rvm_faster import quick_rvm

GUIDED = "rvm_mobilenetv3_fp32.onnx"


@pytest.fixture
def cut(rvm_weights) -> bytes:
    return cut_rvm(rvm_weights)


def ran(graph: bytes, pictures):
    """Slope, offset and states after each picture."""
    session = open_session(graph, "cpu")
    state, made = [np.zeros((1, 1, 1, 1), np.float32)] * 4, []
    for picture in pictures:
        feeds = {"src_small": picture, **dict(zip(STATES_IN, state, strict=True))}
        slope, offset, *state = session.run(("a", "b", *STATES_OUT), feeds)
        made.append((slope, offset, *state))
    return made


def drawn(count: int, height: int, width: int):
    rng = np.random.default_rng(3)
    for _ in range(count):
        rgb = cv2.resize(rng.random((7, 9, 3), dtype=np.float32), (width, height))
        yield rgb.transpose(2, 0, 1)[None].copy()


def test_it_computes_the_same(cut):
    # A size that halves without a rest four times, and one that doesn't.
    for size in ((64, 96), (52, 75)):
        pictures = list(drawn(4, *size))
        for quick, plain, picture in zip(
            ran(quick_rvm(cut), pictures), ran(cut, pictures), pictures, strict=True
        ):
            guide = picture.mean(axis=1, keepdims=True)
            ours, theirs = (np.clip(m[0] * guide + m[1], 0, 1) for m in (quick, plain))
            # Sums in another order; 1/255 would be 4e-3.
            assert np.abs(ours - theirs).max() < 1e-4
            for ours, theirs in zip(quick[2:], plain[2:], strict=True):
                assert np.abs(ours - theirs).max() < 1e-4


def test_no_convolution_reads_the_picture_laid_beside_other_tensors(cut):
    before, after = (onnx.load_model_from_string(m).graph for m in (cut, quick_rvm(cut)))
    assert len(list(odd_convolutions(before))) == 4
    assert not list(odd_convolutions(after))


def odd_convolutions(graph):
    """Those of one group whose channels don't come in fours, over more than the picture."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        sizes = weights.get(node.input[1]) if node.op_type == "Conv" else None
        if sizes and sizes[1] > 3 and sizes[1] % 4:
            yield node.name


def test_of_the_end_alpha_alone_is_computed(models_dir):
    path = models_dir / GUIDED
    if not path.is_file():
        pytest.skip(f"needs {path.name}")
    cut = cut_rvm(path.read_bytes())
    before, after = (onnx.load_model_from_string(m).graph for m in (cut, quick_rvm(cut)))
    assert len([node for node in before.node if cuts_alpha_out(node)]) == 2
    assert not [node for node in after.node if cuts_alpha_out(node)]


def cuts_alpha_out(node) -> bool:
    return node.op_type == "Slice" and "alpha_first" in node.input


def test_nothing_is_computed_twice(cut):
    """A learned refiner reads all channels of what the filter computes: they stay together."""
    before, after = (onnx.load_model_from_string(m).graph for m in (cut, quick_rvm(cut)))
    parts = sum("__part" in node.output[0] for node in after.node if node.op_type == "Conv")
    convolutions = [sum(n.op_type == "Conv" for n in graph.node) for graph in (before, after)]
    assert convolutions[1] == convolutions[0] + parts - 4


def test_names_of_inputs_and_outputs_stay(cut):
    before, after = (onnx.load_model_from_string(m).graph for m in (cut, quick_rvm(cut)))
    for ours, theirs in ((after.input, before.input), (after.output, before.output)):
        assert [value.name for value in ours] == [value.name for value in theirs]
    onnx.checker.check_model(onnx.load_model_from_string(quick_rvm(cut)), full_check=True)


def test_what_is_built_otherwise_is_left(cut):
    """Kernels that are computed, and ends that nothing is known of."""
    network = onnx.load_model_from_string(cut)
    graph = network.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    odd = set(odd_convolutions(graph))
    for node in list(graph.node):
        if node.name in odd:
            # The same kernel, but made while running: nobody can take it apart.
            at = list(graph.node).index(node)
            made = f"{node.input[1]}__made"
            tensor = weights[node.input[1]]
            one = numpy_helper.from_array(np.ones(1, np.float32), f"{made}_one")
            graph.initializer.append(one)
            graph.node.insert(at, helper.make_node("Mul", [tensor.name, one.name], [made]))
            node.input[1] = made
    strange = network.SerializeToString()
    pictures = list(drawn(2, 64, 64))
    quick, plain = ran(quick_rvm(strange), pictures), ran(cut, pictures)
    for ours, theirs in zip(quick, plain, strict=True):
        for our, their in zip(ours[2:], theirs[2:], strict=True):
            assert np.abs(our - their).max() < 1e-4
    kinds = Counter(
        node.op_type for node in onnx.load_model_from_string(quick_rvm(strange)).graph.node
    )
    assert kinds["Conv"] <= Counter(node.op_type for node in graph.node)["Conv"]


def test_an_end_that_cannot_be_followed_is_cut_out():
    """Four channels from a node that isn't known: the alpha channel is cut out of them."""
    picture = helper.make_tensor_value_info("src_small", TensorProto.FLOAT, [1, 3, 4, 4])
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4, 4]) for n in "ab"]
    bounds = [
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("alpha_first", 3), ("alpha_last", 4), ("channel_axis", 1))
    ]
    nodes = [
        helper.make_node("Concat", ["src_small", "src_small"], ["six"], axis=1),
        helper.make_node("Softplus", ["six"], ["strange"]),
        *(helper.make_node("Slice", ["strange", *(b.name for b in bounds)], [n]) for n in "ab"),
    ]
    graph = helper.make_graph(nodes, "strange", [picture], ends, bounds)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    plain = network.SerializeToString()
    values = np.random.default_rng(0).random((1, 3, 4, 4), dtype=np.float32)
    results = [
        open_session(made, "cpu").run(("a", "b"), {"src_small": values})
        for made in (plain, quick_rvm(plain))
    ]
    for ours, theirs in zip(*results, strict=True):
        assert np.array_equal(ours, theirs)
