"""TensorProto to arrays and back. What comes in is hostile: a shape may claim more than the message holds."""

from __future__ import annotations

import math
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
#: One value may stand for a whole tensor; it becomes no larger than this.
_MOST_BYTES = 64 << 20


def to_array(name: str, tensor: Any) -> Array:
    """The values of input ``name``. Raises ServingError for a type that is not known, and where the numbers of values
    and of bytes do not fit the shape."""
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid(f"Input {name} has a shape with unknown sizes")
    kind = next((known for known in _FIELDS if known.as_datatype_enum == tensor.dtype), None)
    if kind is None:
        raise invalid(f"Input {name} has a type that is not supported: {tensor.dtype}")
    count = math.prod(shape)
    if tensor.tensor_content:
        if kind is tf.string or len(tensor.tensor_content) != count * kind.size:
            raise invalid(f"Input {name} of shape {list(shape)} has {len(tensor.tensor_content)} bytes of content")
        little = np.dtype(kind.as_numpy_dtype).newbyteorder("<")
        return np.frombuffer(tensor.tensor_content, little).astype(kind.as_numpy_dtype, copy=False).reshape(shape)
    values = getattr(tensor, _FIELDS[kind])
    if len(values) == 1 and 1 < count <= _MOST_BYTES // max(kind.size or 8, len(values[0]) if kind is tf.string else 1):
        return np.full(shape, values[0], dtype=object if kind is tf.string else kind.as_numpy_dtype)
    if len(values) != count:
        raise invalid(f"Input {name} of shape {list(shape)} has {len(values)} values")
    return np.array(values, dtype=object if kind is tf.string else kind.as_numpy_dtype).reshape(shape)


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
