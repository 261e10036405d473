"""The messages of tensorflow_serving, also where TensorFlow is not installed, and without importing it (8 s, 700 MB).

Its modules import TensorFlow's, of which they only need that the messages that they refer to are known. While they are
imported, empty modules stand in for TensorFlow's and the messages come from ``tensorflow_messages.textproto``;
afterwards the stand-ins are gone: other libraries look whether there is a TensorFlow, and must not find half of one.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format

MESSAGES = Path(__file__).with_name("tensorflow_messages.textproto")
_MODULES = (
    "tensorflow",
    "tensorflow.core",
    "tensorflow.core.framework",
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.protobuf",
    "tensorflow.core.protobuf.error_codes_pb2",
)
#: What generated code expects of a module whose file imports another one publicly.
_PUBLIC = "xla_dot_tsl_dot_protobuf_dot_error__codes__pb2"

#: The largest message either way; gRPC's own limit is 4 MB.
MESSAGE_BYTES = 64 << 20
#: DataType.DT_FLOAT of TensorFlow.
DT_FLOAT = 1


def described() -> list[Any]:
    """Each of the files of MESSAGES as a FileDescriptorProto, after those that it imports."""
    generated: Any = descriptor_pb2  # has no types
    return list(text_format.Parse(MESSAGES.read_text("utf-8"), generated.FileDescriptorSet()).file)


@contextmanager
def _without_tensorflow() -> Generator[None]:
    if "tensorflow" in sys.modules:
        yield
        return
    for file in described():
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    stand_ins = {name: ModuleType(name) for name in _MODULES}
    setattr(stand_ins["tensorflow.core.protobuf.error_codes_pb2"], _PUBLIC, ModuleType(_PUBLIC))
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)


with _without_tensorflow():
    from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, predict_pb2
    from tensorflow_serving.config import model_server_config_pb2

# Generated code has no types.
predict: Any = predict_pb2
model_status: Any = get_model_status_pb2
model_management: Any = model_management_pb2
server_config: Any = model_server_config_pb2
