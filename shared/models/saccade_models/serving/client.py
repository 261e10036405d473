"""A client of TensorFlow Serving, and of whatever else speaks its protocol, over gRPC; without TensorFlow.

Importing it takes 0.4 s and 40 MB.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import grpc
from google.protobuf import text_format

from saccade_core.errors import (
    EngineFailed,
    InputTooLarge,
    InvalidRequest,
    SaccadeError,
    Unavailable,
    UnknownModel,
)
from saccade_models.serving.protocol import (
    DT_FLOAT,
    MESSAGE_BYTES,
    model_management,
    model_status,
    predict,
    server_config,
)

_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),  # the server is beside us, whatever the environment says
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
_RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"

_BUSY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
_WRONG = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE}
#: What gRPC says of a message over MESSAGE_BYTES; other exhausted resources are a full queue.
_OVER = "larger than max"
_MESSAGE_CHARACTERS = 300


class VersionState(StrEnum):
    """What a model server says of a version, as ModelVersionStatus.State."""

    UNKNOWN = "unknown"
    START = "start"
    LOADING = "loading"
    AVAILABLE = "available"
    UNLOADING = "unloading"
    END = "end"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version at the model server; ``error`` says why a version of state END could not be loaded, or is empty."""

    version: int
    state: VersionState
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the server could not load it."""
        return self.state is VersionState.END and bool(self.error)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model to be served: the folder of its versions as the server sees it, and which of them."""

    name: str
    base_path: str
    versions: Sequence[int]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A network's output: float32 in C order, native byte order, of ``shape``; ``version`` is the one that answered."""

    data: bytes
    shape: tuple[int, ...]
    version: int

    def rows(self) -> list[list[float]]:
        """The outputs of each of the shape's first dimension, flat."""
        values = array("f", self.data)
        width = math.prod(self.shape[1:])
        return [values[row * width : (row + 1) * width].tolist() for row in range(self.shape[0])]


class ServingClient:
    """Calls one server; any number of threads may share it. The connection is made, and made again, when needed.

    Every call raises Unavailable where the server does not answer in time, UnknownModel where it does not have that
    model or version now, InvalidRequest where it refuses what it was sent, InputTooLarge where a message is over 64 MB,
    and EngineFailed for other failures.
    """

    def __init__(self, address: str) -> None:
        """``address`` is ``host:port``, or ``unix:path``."""
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._predict = _method(self._channel, _PREDICT, predict.PredictRequest, predict.PredictResponse)
        self._status = _method(
            self._channel,
            _STATUS,
            model_status.GetModelStatusRequest,
            model_status.GetModelStatusResponse,
        )
        self._reload = _method(
            self._channel,
            _RELOAD,
            model_management.ReloadConfigRequest,
            model_management.ReloadConfigResponse,
        )

    def close(self) -> None:
        """End the connection; calls under way fail."""
        self._channel.close()

    def predict(
        self,
        served_name: str,
        inputs: bytes,
        shape: Sequence[int],
        *,
        version: int | None = None,
        input_name: str = "inputs",
        timeout_s: float = 30.0,
    ) -> Prediction:
        """The outputs for ``inputs``: float32 in C order and native byte order, of ``shape`` with the batch first.

        Without ``version`` the server's newest answers.
        """
        request: Any = predict.PredictRequest()
        request.model_spec.name = served_name
        request.model_spec.signature_name = "serving_default"
        if version is not None:
            request.model_spec.version.value = version
        tensor = request.inputs[input_name]
        tensor.dtype = DT_FLOAT
        tensor.tensor_content = _little_endian(inputs)
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        response = self._call(self._predict, request, timeout_s, served_name, version)
        return _prediction(response)

    def status(self, served_name: str, *, timeout_s: float = 5.0) -> list[VersionStatus]:
        """Every version of the model that the server knows of; empty where it does not know the model."""
        request: Any = model_status.GetModelStatusRequest()
        request.model_spec.name = served_name
        try:
            response = self._call(self._status, request, timeout_s, served_name)
        except UnknownModel:
            return []
        return [_version_status(each) for each in response.model_version_status]

    def reload(self, models: Sequence[ServedModel], *, timeout_s: float = 120.0) -> None:
        """Have the server serve exactly these. It answers when models that are new to it are available; other new
        versions load while the call is over already (``status`` tells), and replace the old ones without a gap."""
        request: Any = model_management.ReloadConfigRequest()
        request.config.CopyFrom(_server_config(models))
        response = self._call(self._reload, request, timeout_s)
        if response.status.error_code:
            raise EngineFailed(_shown(f"The model server refused its models: {response.status.error_message}"))

    def _call(
        self, method: Any, request: Any, timeout_s: float, name: str | None = None, version: int | None = None
    ) -> Any:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise _ours(error, name, version) from error


def float32_bytes(rows: Sequence[Sequence[float]]) -> bytes:
    """Rows of numbers as ``predict`` takes them. OverflowError for what float32 cannot hold."""
    return b"".join(array("f", row).tobytes() for row in rows)


def config_text(models: Sequence[ServedModel]) -> str:
    """A ModelServerConfig as TensorFlow Serving reads it from a file."""
    return text_format.MessageToString(_server_config(models))


def _server_config(models: Sequence[ServedModel]) -> Any:
    config = server_config.ModelServerConfig()
    config.model_config_list.SetInParent()  # also where it is empty: nothing is to be served
    for model in models:
        entry = config.model_config_list.config.add(
            name=model.name, base_path=model.base_path, model_platform="tensorflow"
        )
        entry.model_version_policy.specific.versions.extend(model.versions)
    return config


def _method(channel: grpc.Channel, path: str, request: Any, response: Any) -> Any:
    return channel.unary_unary(
        path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )


def _ours(error: Any, name: str | None, version: int | None) -> SaccadeError:
    code: grpc.StatusCode = error.code()
    details = _shown(error.details() or "")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _OVER in details.lower():
        return InputTooLarge(
            f"A message to or from the model server is over {MESSAGE_BYTES >> 20} MB; send fewer rows at once.",
            field="inputs",
        )
    if code in _BUSY:
        return Unavailable("The model server does not answer now.")
    if code is grpc.StatusCode.NOT_FOUND:
        wanted = str(name) if version is None else f"{name}@{version}"
        return UnknownModel(f"The model server does not have {wanted!r} now.", field="model", received=wanted)
    if code in _WRONG:
        return InvalidRequest(f"The model server refused the request: {details}", field="inputs")
    return EngineFailed(f"The model server failed ({code.name.lower()}): {details}")


def _shown(text: str) -> str:
    """A server's text without what looks like a path of its machine."""
    words = [word if "/" not in word.strip("'\"(")[:1] else "(path)" for word in text.split()]
    return " ".join(words)[:_MESSAGE_CHARACTERS]


def _prediction(response: Any) -> Prediction:
    outputs: Mapping[str, Any] = response.outputs
    name = "outputs" if "outputs" in outputs else next(iter(sorted(outputs)), None)
    if name is None or outputs[name].dtype != DT_FLOAT:
        raise EngineFailed("The model has no output of float32.")
    tensor = outputs[name]
    shape = tuple(int(dim.size) for dim in tensor.tensor_shape.dim)
    count = math.prod(shape)
    data = bytes(tensor.tensor_content)
    if data:
        data = _little_endian(data)
    else:
        data = array("f", tensor.float_val).tobytes()
        if len(tensor.float_val) == 1:  # one value stands for all
            data *= count
    if len(data) != 4 * count:
        raise EngineFailed(f"The model server's answer has {len(data)} bytes for {count} values.")
    return Prediction(data, shape, response.model_spec.version.value)


def _little_endian(data: bytes) -> bytes:
    """Native to little endian, and back."""
    if sys.byteorder == "little":
        return data
    values = array("f", data)
    values.byteswap()
    return values.tobytes()


def _version_status(each: Any) -> VersionStatus:
    state = model_status.ModelVersionStatus.State.Name(each.state).lower()
    return VersionStatus(each.version, VersionState(state), _shown(each.status.error_message))
