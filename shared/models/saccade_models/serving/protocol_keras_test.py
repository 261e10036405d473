"""The messages are TensorFlow's own: both may be in one process."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from google.protobuf import descriptor_pb2, text_format

from saccade_models.serving.protocol import MESSAGES, described

_generated: Any = descriptor_pb2  # has no types


def test_the_described_files_are_those_of_tensorflow() -> None:
    from tensorflow.compiler.xla.tsl.protobuf import error_codes_pb2 as tsl_error_codes_pb2
    from tensorflow.core.framework import resource_handle_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import error_codes_pb2

    modules: list[Any] = [
        types_pb2,
        tensor_shape_pb2,
        resource_handle_pb2,
        tensor_pb2,
        tsl_error_codes_pb2,
        error_codes_pb2,
    ]
    wanted = _generated.FileDescriptorSet()
    for module in modules:
        module.DESCRIPTOR.CopyToProto(wanted.file.add())
    found = _generated.FileDescriptorSet(file=described())
    # After an update of TensorFlow this text, below the comments that are there, is what the file must hold.
    assert text_format.MessageToString(found) == text_format.MessageToString(wanted), MESSAGES.name


def test_tensorflow_may_be_imported_after_the_client() -> None:
    code = (
        "from saccade_models.serving.client import ServingClient\n"
        "import sys; assert 'tensorflow' not in sys.modules\n"
        "import tensorflow as tf\n"
        "from saccade_models.serving.protocol import predict\n"
        "from tensorflow_serving.apis import prediction_service_pb2_grpc\n"
        "request = predict.PredictRequest()\n"
        "request.inputs['inputs'].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))\n"
        "assert tf.make_ndarray(request.inputs['inputs']).tolist() == [1.0, 2.0]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
