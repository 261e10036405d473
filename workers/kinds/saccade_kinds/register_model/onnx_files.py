"""ONNX models from outside: one file, standard operations, no control flow; run once by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

from saccade_core.errors import InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_kinds.register_model.opening import Network, refuse
from saccade_models.networks.shapes import MAX_PARAMETERS, MAX_VALUES

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_MAX_BYTES, _MAX_NODES = 900 << 20, 20_000


def check_onnx(file: InputFile) -> Network:
    """Raise UntrustedModel, UnreadableInput or InputTooLarge unless the file is a model of one float32 input with a
    free batch and one float32 output (batch, units), whole in itself and of standard operations."""
    if (size := file.path.stat().st_size) > _MAX_BYTES:
        raise InputTooLarge(f"An ONNX model may have {_MAX_BYTES >> 20} MiB.", field=file.field, received=size)
    model = _read(file.path, file)
    _check_trust(model, file)
    parameters = sum(prod(tensor.dims) for tensor in model.graph.initializer)
    if parameters > MAX_PARAMETERS:
        raise InputTooLarge(
            f"A model may have at most {MAX_PARAMETERS:,} parameters.", field=file.field, received=parameters
        )
    model = _inferred(model, file)
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise _unreadable(file, "a model takes one input and gives one output", [len(inputs), len(model.graph.output)])
    ends = [_shape(value, file) for value in (inputs[0], model.graph.output[0])]
    if len(ends[0]) not in {1, 3} or len(ends[1]) != 1:
        raise _unreadable(file, "it takes (batch, features) or pictures, and gives (batch, units)", [*map(list, ends)])
    return Network("onnx", ends[0], ends[1][0], parameters)


def _read(path: Path, file: InputFile) -> ModelProto:
    try:
        return onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise _unreadable(file, "it is no ONNX file, or a damaged one", file.name) from error


def _check_trust(model: ModelProto, file: InputFile) -> None:
    """Nothing outside the file, nothing that is no standard operation, nothing that can go on for ever."""
    for opset in model.opset_import:
        if opset.domain not in _DOMAINS:
            refuse(file, f"it needs operations of {opset.domain[:80]!r}, which are not ONNX's own")
    if model.functions or model.training_info:
        refuse(file, "it defines functions or a training of its own")
    graph = model.graph
    if len(graph.node) > _MAX_NODES:
        refuse(file, f"it has over {_MAX_NODES:,} operations")
    for tensor in _tensors(graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            refuse(file, f"the numbers of its {tensor.name[:80]!r} are in another file")
    for node in graph.node:
        if node.domain not in _DOMAINS:
            refuse(file, f"its {node.op_type[:80]!r} is of {node.domain[:80]!r}, which is not ONNX's own")
        if any(attribute.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS} for attribute in node.attribute):
            refuse(file, f"its {node.op_type[:80]!r} is control flow")


def _tensors(graph: GraphProto) -> Iterable[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _inferred(model: ModelProto, file: InputFile) -> ModelProto:
    """The model with all shapes that can be known, once it keeps ONNX's rules."""
    try:
        onnx.checker.check_model(model)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise _unreadable(file, f"it breaks ONNX's rules: {reason}", file.name) from error
    for value in (*inferred.graph.input, *inferred.graph.value_info):
        largest = prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
        if largest > MAX_VALUES:
            raise InputTooLarge(
                f"An operation may give at most {MAX_VALUES:,} values for one input.",
                field=file.field,
                received=largest,
            )
    return inferred


def _shape(value: ValueInfoProto, file: InputFile) -> tuple[int, ...]:
    """Of an input or output, without the batch, which must be free."""
    tensor = value.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    if tensor.elem_type != TensorProto.FLOAT or len(dims) < 2 or dims[0] > 0 or min(dims[1:]) < 1:
        raise _unreadable(
            file, f"{value.name[:80]!r} must be float32 with a free batch, all else known (0: not known)", dims
        )
    return tuple(dims[1:])


def _unreadable(file: InputFile, reason: str, received: object) -> UnreadableInput:
    return UnreadableInput(f"The model cannot be used: {reason}.", field=file.field, received=received)
