"""Cut the low-resolution network out of an RVM graph, so that full-size work stays out of it.

RVM's tail multiplies low-resolution coefficients, stretched to full size, with the full-size
picture: alpha = clip(A * mean(RGB) + b). The graph before the stretching needs only the small
picture. It is found by structure, never by name, since names differ from export to export.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

STATES_IN = ("r1i", "r2i", "r3i", "r4i")
STATES_OUT = ("r1o", "r2o", "r3o", "r4o")
ALPHA_CHANNEL = 3


class UnknownGraphError(Exception):
    """The graph doesn't have RVM's structure; it can only be run whole."""


@dataclass(frozen=True, slots=True)
class _Seams:
    """Names of the tensors at which the graph is cut."""

    small_picture: str
    slope: str
    offset: str


def cut_rvm(model: bytes) -> bytes:
    """The low-resolution part of an RVM graph as a serialised model.

    Its inputs are `src_small` (views, 3, h, w) RGB 0..1 and `r1i`..`r4i`; its outputs `a` and `b`
    (views, 1, h, w), so that alpha = clip(a * mean(RGB) + b) once both are stretched to the
    picture's size, and `r1o`..`r4o`.

    Raises:
        UnknownGraphError: the graph isn't built like RVM's.
    """
    try:
        whole = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise UnknownGraphError("not an ONNX graph") from error
    graph = _Graph(whole.graph)
    seams = _find_seams(graph)
    nodes = graph.ancestors((seams.slope, seams.offset, *STATES_OUT), stop=seams.small_picture)
    used = {name for node in nodes for name in node.input}
    if not used.isdisjoint({"src", "downsample_ratio"}):
        raise UnknownGraphError("the low-resolution part reads the full-size picture")
    return _assemble(whole, nodes, used, seams).SerializeToString()


class _Graph:
    """A graph that can be walked from outputs to inputs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.maker = {name: node for node in self.nodes for name in node.output}

    def made_by(self, tensor: str, op_type: str) -> onnx.NodeProto:
        """The node that makes `tensor`, which must be of the given type."""
        node = self.maker.get(tensor)
        if node is None or node.op_type != op_type:
            found = "nothing" if node is None else node.op_type
            raise UnknownGraphError(f"{tensor!r} comes from {found}, not from {op_type}")
        return node

    def input_made_by(self, node: onnx.NodeProto, op_type: str) -> onnx.NodeProto:
        """The only maker of the given type among a node's inputs."""
        makers = [self.maker[name] for name in node.input if name in self.maker]
        fitting = [maker for maker in makers if maker.op_type == op_type]
        if len(fitting) != 1:
            raise UnknownGraphError(f"{node.op_type} has {len(fitting)} inputs from {op_type}")
        return fitting[0]

    def ancestors(self, tensors: Sequence[str], stop: str) -> list[onnx.NodeProto]:
        """All nodes that `tensors` need, in the graph's order, none that only `stop` needs."""
        needed, waiting = set[str](), list(tensors)
        while waiting:
            name = waiting.pop()
            if name in needed or name == stop:
                continue
            needed.add(name)
            if name in self.maker:
                waiting.extend(self.maker[name].input)
        return [node for node in self.nodes if not needed.isdisjoint(node.output)]


def _find_seams(graph: _Graph) -> _Seams:
    unclipped = graph.made_by("pha", "Clip").input[0]
    split = graph.made_by(unclipped, "Split")
    if list(split.output).index(unclipped) != 1:
        raise UnknownGraphError("alpha isn't the second part of the split")
    total = graph.made_by(split.input[0], "Add")
    product = graph.input_made_by(total, "Mul")
    guide = graph.input_made_by(product, "Concat")
    if guide.input[0] != "src" or graph.made_by(guide.input[1], "ReduceMean").input[0] != "src":
        raise UnknownGraphError("the guide isn't the picture and its mean")
    small = [node for node in graph.nodes if node.op_type == "Resize" and node.input[0] == "src"]
    if len(small) != 1:
        raise UnknownGraphError(f"the picture is made smaller {len(small)} times, not once")
    return _Seams(
        small_picture=small[0].output[0],
        slope=graph.input_made_by(product, "Resize").input[0],
        offset=graph.input_made_by(total, "Resize").input[0],
    )


def _assemble(
    whole: onnx.ModelProto, nodes: list[onnx.NodeProto], used: set[str], seams: _Seams
) -> onnx.ModelProto:
    for node in nodes:
        for at, name in enumerate(node.input):
            if name == seams.small_picture:
                node.input[at] = "src_small"
    bounds = [
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (
            ("alpha_first", ALPHA_CHANNEL),
            ("alpha_last", ALPHA_CHANNEL + 1),
            ("channel_axis", 1),
        )
    ]
    slices = [
        helper.make_node("Slice", [tensor, *(bound.name for bound in bounds)], [name])
        for tensor, name in ((seams.slope, "a"), (seams.offset, "b"))
    ]
    weights = [tensor for tensor in whole.graph.initializer if tensor.name in used]
    low = helper.make_graph(
        [*nodes, *slices],
        "rvm_low",
        [_declared(name) for name in ("src_small", *STATES_IN)],
        [_declared(name) for name in ("a", "b", *STATES_OUT)],
        [*weights, *bounds],
    )
    return helper.make_model(low, opset_imports=whole.opset_import, ir_version=whole.ir_version)


def _declared(name: str) -> onnx.ValueInfoProto:
    # Each tensor has size symbols of its own: shared ones let a runtime reuse buffers wrongly.
    sizes = ["views", *(f"{name}_{axis}" for axis in ("channels", "height", "width"))]
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)
