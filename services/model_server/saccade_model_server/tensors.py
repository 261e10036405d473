"""TensorProto to arrays and back. What comes in is hostile: a shape may claim more than the message holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import tensor_pb2

from saccade_model_server.errors import invalid

Array = NDArray[Any]

_generated: Any = tensor_pb2  # has no types

#: Where a TensorProto has its values, by type, when they are not in ``tensor_content``.
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int64: "int64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8, tf.uint16), "int_val"),
}
#: One value may stand for a whole tensor; all tensors of a message together become no larger than this.
MOST_BYTES = 64 << 20
#: NumPy has no more.
_MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class Head:
    """What a tensor says of itself: its type (a tf.DType), its shape, and at most how many bytes its array takes."""

    dtype: Any
    shape: tuple[int, ...]
    bytes: int


def head_of(name: str, tensor: Any) -> Head:
    """The type and shape of input ``name``, whose values are not looked at. Raises ServingError for a type that is not
    known, and for a shape with unknown sizes or of more than MOST_BYTES."""
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid(f"Input {name} has a shape with unknown sizes")
    if len(shape) > _MOST_DIMENSIONS:
        raise invalid(f"Input {name} has {len(shape)} dimensions; at most {_MOST_DIMENSIONS} are taken")
    dtype = next((known for known in _FIELDS if known.as_datatype_enum == tensor.dtype), None)
    if dtype is None:
        raise invalid(f"Input {name} has a type that is not supported: {tensor.dtype}")
    each = dtype.size or 8
    if dtype is tf.string and len(tensor.string_val) == 1:
        each = max(each, len(tensor.string_val[0]))
    taken = math.prod(max(size, 1) for size in shape) * each  # NumPy refuses an empty shape too whose sizes overflow
    if taken > MOST_BYTES:
        raise invalid(f"Input {name} of shape {list(shape)} is larger than {MOST_BYTES} bytes")
    return Head(dtype, shape, taken)


def to_array(name: str, tensor: Any) -> Array:
    """The values of input ``name``. Raises ServingError as head_of, and where the numbers of values and of bytes do not
    fit the shape, or a value does not fit the type."""
    head = head_of(name, tensor)
    try:
        return _values(name, tensor, head)
    except (ValueError, OverflowError, TypeError) as error:
        raise invalid(f"Input {name} has values that are not of type {head.dtype.name}") from error


def _values(name: str, tensor: Any, head: Head) -> Array:
    shape, kind = head.shape, head.dtype
    count = math.prod(shape)
    if tensor.tensor_content:
        if kind is tf.string or len(tensor.tensor_content) != count * kind.size:
            raise invalid(f"Input {name} of shape {list(shape)} has {len(tensor.tensor_content)} bytes of content")
        little = np.dtype(kind.as_numpy_dtype).newbyteorder("<")
        return np.frombuffer(tensor.tensor_content, little).astype(kind.as_numpy_dtype, copy=False).reshape(shape)
    values = getattr(tensor, _FIELDS[kind])
    if len(values) == 1 and count > 1:
        return np.full(shape, values[0], dtype=object if kind is tf.string else kind.as_numpy_dtype)
    if len(values) != count:
        raise invalid(f"Input {name} of shape {list(shape)} has {len(values)} values")
    if kind is tf.string:
        return np.array(values, dtype=object).reshape(shape)
    found = np.array(values, dtype=None if count else kind.as_numpy_dtype)
    if kind.is_integer and count and not kind.min <= found.min() <= found.max() <= kind.max:
        raise ValueError("values that wrap")
    return found.astype(kind.as_numpy_dtype, copy=False).reshape(shape)


def to_message(array: Array) -> Any:
    """A TensorProto of the values, those of numbers as ``tensor_content``."""
    message = _generated.TensorProto()
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        message.dtype = tf.string.as_datatype_enum
        message.string_val.extend(array.ravel().tolist())
        return message
    message.dtype = tf.as_dtype(array.dtype).as_datatype_enum
    message.tensor_content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return message
