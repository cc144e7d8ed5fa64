"""The low-resolution part of an RVM graph, cut out so that it does no full-size work.

RVM's tail multiplies low-resolution coefficients, upsampled to full size, with the full-size image:
alpha = clip(A * mean(RGB) + b). The graph before the upsampling needs only the small image. It is
identified by its structure, never by names, since those differ from export to export.
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
    """The graph doesn't have RVM's structure; it can only be run as a whole."""


@dataclass(frozen=True, slots=True)
class _Seams:
    """Names of the tensors at which the graph is cut."""

    small_image: str
    slope: str
    offset: str


def cut_rvm(model: bytes) -> bytes:
    """Return the low-resolution part of an RVM graph as a serialised model.

    Its inputs are `src_small` (views, 3, h, w) RGB 0..1 and `r1i`..`r4i`; its outputs `a` and `b`
    (views, 1, h, w), so that alpha = clip(a * mean(RGB) + b) once both are upsampled to the
    image's size, and `r1o`..`r4o`.

    Raises:
        UnknownGraphError: the graph doesn't have RVM's structure.
    """
    try:
        whole = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise UnknownGraphError("not an ONNX graph") from error
    graph = _BackwardGraph(whole.graph)
    seams = _find_seams(graph)
    nodes = graph.ancestors((seams.slope, seams.offset, *STATES_OUT), stop=seams.small_image)
    used = {name for node in nodes for name in node.input}
    if not used.isdisjoint({"src", "downsample_ratio"}):
        raise UnknownGraphError("the low-resolution part reads the full-size image")
    return _assemble(whole, nodes, used, seams).SerializeToString()


class _BackwardGraph:
    """A graph that can be walked from outputs to inputs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.producer = {name: node for node in self.nodes for name in node.output}

    def produced_by(self, tensor: str, op_type: str) -> onnx.NodeProto:
        """Return the node that produces `tensor`, which must be of the given type."""
        node = self.producer.get(tensor)
        if node is None or node.op_type != op_type:
            actual = "nothing" if node is None else node.op_type
            raise UnknownGraphError(f"{tensor!r} comes from {actual}, not from {op_type}")
        return node

    def input_produced_by(self, node: onnx.NodeProto, op_type: str) -> onnx.NodeProto:
        """Return the only node of the given type that produces an input of a node."""
        producers = [self.producer[name] for name in node.input if name in self.producer]
        fitting = [producer for producer in producers if producer.op_type == op_type]
        if len(fitting) != 1:
            raise UnknownGraphError(f"{node.op_type} has {len(fitting)} inputs from {op_type}")
        return fitting[0]

    def ancestors(self, tensors: Sequence[str], stop: str) -> list[onnx.NodeProto]:
        """Return the nodes that `tensors` need, in the graph's order, not going beyond `stop`."""
        needed, waiting = set[str](), list(tensors)
        while waiting:
            name = waiting.pop()
            if name in needed or name == stop:
                continue
            needed.add(name)
            if name in self.producer:
                waiting.extend(self.producer[name].input)
        return [node for node in self.nodes if not needed.isdisjoint(node.output)]


def _find_seams(graph: _BackwardGraph) -> _Seams:
    unclipped = graph.produced_by("pha", "Clip").input[0]
    split = graph.produced_by(unclipped, "Split")
    if list(split.output).index(unclipped) != 1:
        raise UnknownGraphError("alpha isn't the second output of the split")
    total = graph.produced_by(split.input[0], "Add")
    product = graph.input_produced_by(total, "Mul")
    guide = graph.input_produced_by(product, "Concat")
    if guide.input[0] != "src" or graph.produced_by(guide.input[1], "ReduceMean").input[0] != "src":
        raise UnknownGraphError("the guide isn't the image and its mean")
    small = [node for node in graph.nodes if node.op_type == "Resize" and node.input[0] == "src"]
    if len(small) != 1:
        raise UnknownGraphError(f"the image is downsampled {len(small)} times, not once")
    return _Seams(
        small_image=small[0].output[0],
        slope=graph.input_produced_by(product, "Resize").input[0],
        offset=graph.input_produced_by(total, "Resize").input[0],
    )


def _assemble(
    whole: onnx.ModelProto, nodes: list[onnx.NodeProto], used: set[str], seams: _Seams
) -> onnx.ModelProto:
    for node in nodes:
        for at, name in enumerate(node.input):
            if name == seams.small_image:
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
    # Each tensor gets separate size symbols: shared ones let ONNX Runtime reuse buffers wrongly.
    sizes = ["views", *(f"{name}_{axis}" for axis in ("channels", "height", "width"))]
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)
