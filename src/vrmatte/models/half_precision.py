"""The cut RVM graph in half precision, except where half precision would drift or cancel.

Convolutions and what lies between them run in fp16. In fp32 stay the recurrent cells (states in,
gates, states out, so that no state is ever rounded to fp16), the guided filter behind the network
(it subtracts nearly equal variances), and the normalisation of the picture. Converters that only
keep inputs and outputs in fp32 round the states on both sides, each frame anew.
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
_WHOLE_NUMBER_INPUTS = {"Slice": 1, "Split": 1, "Resize": 1}
"""Inputs from this one on keep their type."""


def halved_rvm(model: bytes) -> bytes:
    """A graph made by `cut_rvm` in half precision, with fp32 inputs and outputs as before.

    Raises:
        UnknownGraphError: the guided filter or a state's blend can't be found.
    """
    network = onnx.load_model_from_string(model)
    _Halving(network).convert()
    return network.SerializeToString()


class _Halving:
    """One conversion of one graph."""

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
        self._cast: dict[tuple[str, int], str] = {}

    def convert(self) -> None:
        """Rewrite the graph in half precision."""
        for node, is_half in zip(self._nodes, self._is_half, strict=True):
            for at, name in enumerate(node.input):
                if name not in self._floats or not self._follows(node, at):
                    continue
                if is_half and name not in self._half_tensors:
                    node.input[at] = self._as(name, TensorProto.FLOAT16)
                elif not is_half and name in self._half_tensors:
                    node.input[at] = self._as(name, TensorProto.FLOAT)
            self._edit.nodes.append(node)
        if not self._outputs.isdisjoint(self._half_tensors):
            raise UnknownGraphError("an output of the graph would be in half precision")
        self._edit.finish()

    def _follows(self, node: onnx.NodeProto, at: int) -> bool:
        """Whether an input has the type that the node computes in."""
        return at < _WHOLE_NUMBER_INPUTS.get(node.op_type, at + 1)

    def _as(self, name: str, kind: int) -> str:
        """The tensor in another precision; weights are converted here, the rest while running."""
        known = self._cast.get((name, kind))
        if known is not None:
            return known
        cast = f"{name}__{'half' if kind == TensorProto.FLOAT16 else 'single'}"
        self._cast[name, kind] = cast
        weights = self._edit.constant(name) if kind == TensorProto.FLOAT16 else None
        if weights is None:
            self._edit.nodes.append(helper.make_node("Cast", [name], [cast], cast, to=kind))
        else:
            limits = np.finfo(np.float16)
            small = np.clip(weights, limits.min, limits.max).astype(np.float16)
            self._edit.add_constant(cast, small)
        return cast

    def _recurrent_cells(self) -> set[int]:
        """Nodes that make the next state of the state before."""
        found: set[int] = set()
        for before, after in zip(STATES_IN, STATES_OUT, strict=True):
            behind = self._behind(self._readers[before])
            cell = behind & self._needed_for(after)
            if not cell:
                raise UnknownGraphError(f"{after} isn't made of {before}")
            found |= cell
        return found

    def _needed_for(self, tensor: str) -> set[int]:
        places = {id(node): at for at, node in enumerate(self._nodes)}
        found, waiting = set[int](), [tensor]
        while waiting:
            node = self._edit.maker.get(waiting.pop())
            if node is not None and places[id(node)] not in found:
                found.add(places[id(node)])
                waiting.extend(node.input)
        return found

    def _behind(self, nodes: Iterable[int]) -> set[int]:
        """These nodes and all that hang on them."""
        found, waiting = set(nodes), list(nodes)
        while waiting:
            fresh = set(self._reading(waiting.pop())) - found
            found |= fresh
            waiting.extend(fresh)
        return found

    def _guided_filter(self) -> set[int]:
        """Everything behind the guide's mean, and what is made for it alone, back to a split."""
        means = [
            at
            for at, node in enumerate(self._nodes)
            if node.op_type == "ReduceMean" and node.input[0] == "src_small"
        ]
        if len(means) != 1:
            raise UnknownGraphError(f"{len(means)} means of the picture, not one")
        found = self._behind(means)
        for at in reversed(range(len(self._nodes))):
            node, reading = self._nodes[at], set(self._reading(at))
            if node.op_type != "Split" and reading and reading <= found:
                found.add(at)
        return found

    def _reading(self, at: int) -> Iterator[int]:
        for name in self._nodes[at].output:
            yield from self._readers[name]


def _float_tensors(network: onnx.ModelProto) -> set[str]:
    """Names of all fp32 tensors of a graph."""
    graph = onnx.shape_inference.infer_shapes(network).graph
    typed = (*graph.value_info, *graph.input, *graph.output)
    names = {value.name for value in typed if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return names | {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
