"""A network's graph while it is rewritten: producers, channel counts and weights of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]

_KEEPS_CHANNELS = frozenset(
    {
        "AveragePool",
        "Clip",
        "GlobalAveragePool",
        "HardSigmoid",
        "Identity",
        "Relu",
        "Resize",
        "Sigmoid",
        "Slice",
        "Tanh",
    }
)
_ELEMENTWISE = frozenset({"Add", "Div", "Mul", "Sub"})


class GraphEdit:
    """One graph that is rewritten in place.

    New nodes go before the node that needs them, so the order remains executable.
    """

    def __init__(self, network: onnx.ModelProto, channels: dict[str, int]) -> None:
        """Take a graph, and the channel counts of its inputs, as far as they are known."""
        self.graph = network.graph
        self.nodes: list[onnx.NodeProto] = []
        """Nodes of the rewritten graph."""
        self.nodes_before = list(network.graph.node)
        """Nodes of the original graph."""
        self.producer = {name: node for node in self.nodes_before for name in node.output}
        self._weights = {tensor.name: tensor for tensor in network.graph.initializer}
        self._channels: dict[str, int | None] = dict(channels)

    def constant(self, name: str) -> Array | None:
        """Return the values of a constant tensor; None: it is computed."""
        if name in self._weights:
            return numpy_helper.to_array(self._weights[name])
        node = self.producer.get(name)
        if node is None or node.op_type != "Constant":
            return None
        return numpy_helper.to_array(node.attribute[0].t)

    def add_constant(self, name: str, values: Array) -> str:
        """Add a constant tensor and return its name."""
        if name not in self._weights:
            tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
            self.graph.initializer.append(tensor)
            self._weights[name] = tensor
        return name

    def add(
        self, kind: str, inputs: Iterable[str], output: str, like: onnx.NodeProto | None = None
    ) -> str:
        """Add a node, with the attributes of another one, and return the name of its output."""
        node = helper.make_node(kind, list(inputs), [output], output)
        if like is not None:
            node.attribute.extend(like.attribute)
        self.nodes.append(node)
        return output

    def channels(self, name: str) -> int | None:
        """Return the size of a tensor's second axis; None: the graph alone doesn't determine it."""
        if name not in self._channels:
            self._channels[name] = None  # for graphs with cycles
            self._channels[name] = self._count_channels(name)
        return self._channels[name]

    def _count_channels(self, name: str) -> int | None:
        node = self.producer.get(name)
        if node is None:
            return None
        if node.op_type == "Conv":
            weights = self.constant(node.input[1])
            return None if weights is None else len(weights)
        if node.op_type in _KEEPS_CHANNELS:
            return self.channels(node.input[0])
        if node.op_type == "ReduceMean" and list(attribute(node, "axes") or ()) == [1]:
            return 1
        if node.op_type == "Split":
            sizes = self._split_sizes(node)
            return sizes[list(node.output).index(name)] if sizes else None
        if node.op_type == "Expand":  # to the shape of another tensor
            shape = self.producer.get(node.input[1])
            return self.channels(shape.input[0]) if shape and shape.op_type == "Shape" else None
        counts = [self.channels(part) for part in node.input]
        if node.op_type == "Concat":
            known = [count for count in counts if count is not None]
            return sum(known) if len(known) == len(counts) else None
        if node.op_type in _ELEMENTWISE:
            return max((count for count in counts if count is not None), default=None)
        return None

    def _split_sizes(self, node: onnx.NodeProto) -> list[int] | None:
        sizes = attribute(node, "split")
        if sizes is None and len(node.input) > 1:
            sizes = self.constant(node.input[1])
        return None if sizes is None else [int(size) for size in sizes]

    def finish(self) -> None:
        """Put the new nodes in place, without those that are no longer used."""
        needed = {output.name for output in self.graph.output}
        kept: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.output):
                kept.append(node)
                needed.update(node.input)
        weights = [tensor for tensor in self.graph.initializer if tensor.name in needed]
        del self.graph.node[:]
        self.graph.node.extend(reversed(kept))
        del self.graph.initializer[:]
        self.graph.initializer.extend(weights)
        del self.graph.value_info[:]


def attribute(node: onnx.NodeProto, name: str) -> Any:
    """Return a node's attribute; None: it has none of that name."""
    for candidate in node.attribute:
        if candidate.name == name:
            return helper.get_attribute_value(candidate)
    return None
