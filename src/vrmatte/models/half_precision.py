"""The cut RVM graph in half precision, except where half precision would drift or cancel.

Convolutions and the nodes between them run in fp16. The recurrent cells (states in, gates, states
out, so that no state is ever rounded to fp16), the guided filter after the network (it subtracts
nearly equal variances) and the normalisation of the image stay in fp32. Converters that keep only
inputs and outputs in fp32 round the states on both sides, again for each frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper

from vrmatte.models.graph_edit import GraphEdit
from vrmatte.models.rvm_cut import STATES_IN, STATES_OUT, UnknownGraphError

_HALVED = frozenset(
    {
        "Add",
        "AveragePool",
        "Clip",
        "Concat",
        "Conv",
        "GlobalAveragePool",
        "HardSigmoid",
        "HardSwish",
        "Mul",
        "Relu",
        "Resize",
        "Sigmoid",
        "Slice",
        "Split",
        "Tanh",
    }
)
_FIRST_INTEGER_INPUT = {"Slice": 1, "Split": 1, "Resize": 1}
"""Inputs from this index on keep their type."""


def halved_rvm(model: bytes) -> bytes:
    """Return a graph made by `cut_rvm` in half precision, with fp32 inputs and outputs as before.

    Raises:
        UnknownGraphError: the guided filter or a state's blend can't be found.
    """
    network = onnx.load_model_from_string(model)
    _Halving(network).convert()
    return network.SerializeToString()


class _Halving:
    """The conversion of one graph."""

    def __init__(self, network: onnx.ModelProto) -> None:
        self._edit = GraphEdit(network, {})
        self._nodes = self._edit.nodes_before
        self._readers: dict[str, list[int]] = defaultdict(list)
        for at, node in enumerate(self._nodes):
            for name in node.input:
                self._readers[name].append(at)
        kept = self._recurrent_cells() | self._guided_filter()
        floats = _float_tensors(network)
        self._is_half = [
            node.op_type in _HALVED and at not in kept and node.output[0] in floats
            for at, node in enumerate(self._nodes)
        ]
        self._floats = floats
        self._half_tensors = {
            name
            for node, is_half in zip(self._nodes, self._is_half, strict=True)
            if is_half
            for name in node.output
        }
        self._outputs = {output.name for output in network.graph.output}
        self._casts: dict[tuple[str, int], str] = {}

    def convert(self) -> None:
        """Rewrite the graph in half precision."""
        for node, is_half in zip(self._nodes, self._is_half, strict=True):
            for at, name in enumerate(node.input):
                if name not in self._floats or not self._has_node_type(node, at):
                    continue
                if is_half and name not in self._half_tensors:
                    node.input[at] = self._cast_to(name, TensorProto.FLOAT16)
                elif not is_half and name in self._half_tensors:
                    node.input[at] = self._cast_to(name, TensorProto.FLOAT)
            self._edit.nodes.append(node)
        if not self._outputs.isdisjoint(self._half_tensors):
            raise UnknownGraphError("an output of the graph would be in half precision")
        self._edit.finish()

    def _has_node_type(self, node: onnx.NodeProto, at: int) -> bool:
        """Return True if an input has the type that the node computes in."""
        return at < _FIRST_INTEGER_INPUT.get(node.op_type, at + 1)

    def _cast_to(self, name: str, kind: int) -> str:
        """Return the tensor in another precision; weights are converted here, others when run."""
        known = self._casts.get((name, kind))
        if known is not None:
            return known
        cast = f"{name}__{'half' if kind == TensorProto.FLOAT16 else 'single'}"
        self._casts[name, kind] = cast
        weights = self._edit.constant(name) if kind == TensorProto.FLOAT16 else None
        if weights is None:
            self._edit.nodes.append(helper.make_node("Cast", [name], [cast], cast, to=kind))
        else:
            limits = np.finfo(np.float16)
            small = np.clip(weights, limits.min, limits.max).astype(np.float16)
            self._edit.add_constant(cast, small)
        return cast

    def _recurrent_cells(self) -> set[int]:
        """Return the nodes that compute the next state from the previous one."""
        cells: set[int] = set()
        for before, after in zip(STATES_IN, STATES_OUT, strict=True):
            cell = self._downstream_of(self._readers[before]) & self._upstream_of(after)
            if not cell:
                raise UnknownGraphError(f"{after} isn't computed from {before}")
            cells |= cell
        return cells

    def _upstream_of(self, tensor: str) -> set[int]:
        indices = {id(node): at for at, node in enumerate(self._nodes)}
        upstream, waiting = set[int](), [tensor]
        while waiting:
            node = self._edit.producer.get(waiting.pop())
            if node is not None and indices[id(node)] not in upstream:
                upstream.add(indices[id(node)])
                waiting.extend(node.input)
        return upstream

    def _downstream_of(self, nodes: Iterable[int]) -> set[int]:
        """Return these nodes and all that depend on them."""
        downstream, waiting = set(nodes), list(nodes)
        while waiting:
            added = set(self._readers_of(waiting.pop())) - downstream
            downstream |= added
            waiting.extend(added)
        return downstream

    def _guided_filter(self) -> set[int]:
        """Return the nodes after the guide's mean, and those only they use, back to a split."""
        means = [
            at
            for at, node in enumerate(self._nodes)
            if node.op_type == "ReduceMean" and node.input[0] == "src_small"
        ]
        if len(means) != 1:
            raise UnknownGraphError(f"{len(means)} means of the image, not one")
        inside = self._downstream_of(means)
        for at in reversed(range(len(self._nodes))):
            readers = set(self._readers_of(at))
            if self._nodes[at].op_type != "Split" and readers and readers <= inside:
                inside.add(at)
        return inside

    def _readers_of(self, at: int) -> Iterator[int]:
        for name in self._nodes[at].output:
            yield from self._readers[name]


def _float_tensors(network: onnx.ModelProto) -> set[str]:
    """Return the names of all fp32 tensors of a graph."""
    graph = onnx.shape_inference.infer_shapes(network).graph
    typed = (*graph.value_info, *graph.input, *graph.output)
    names = {value.name for value in typed if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return names | {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
