"""TensorFlow Serving's PredictionService and ModelService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from grpc import aio
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from saccade_model_server.errors import Code, ServingError, invalid
from saccade_model_server.saved_model import Signature
from saccade_model_server.servables import Wanted
from saccade_model_server.service import Service
from saccade_model_server.tensors import MOST_BYTES, Array, head_of, to_array, to_message

#: gRPC's own limit is 4 MB.
MESSAGE_BYTES = 64 << 20

# Generated code has no types.
_metadata: Any = get_model_metadata_pb2
_status: Any = get_model_status_pb2
_management: Any = model_management_pb2
_predict: Any = predict_pb2
_prediction_grpc: Any = prediction_service_pb2_grpc
_model_grpc: Any = model_service_pb2_grpc

Answer = Callable[[Any], Awaitable[Any]]


def make_server(service: Service) -> aio.Server:
    """A server that answers from ``service``; ports are not added yet."""
    options = [
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
    ]
    server = aio.server(options=options)
    _prediction_grpc.add_PredictionServiceServicer_to_server(_Prediction(service), server)
    _model_grpc.add_ModelServiceServicer_to_server(_Models(service), server)
    return server


class _Prediction:
    """PredictionService."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return await _answered(self._predict, request, context)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return await _answered(self._metadata, request, context)

    async def Classify(self, _request: Any, context: Any) -> None:  # noqa: N802 - the protocol's name
        await _not_here(context)

    async def Regress(self, _request: Any, context: Any) -> None:  # noqa: N802 - the protocol's name
        await _not_here(context)

    async def MultiInference(self, _request: Any, context: Any) -> None:  # noqa: N802 - the protocol's name
        await _not_here(context)

    async def _predict(self, request: Any) -> Any:
        wanted = _wanted(request)
        signature = self._service.inputs_of(wanted, request.model_spec.signature_name)
        inputs = read_inputs(signature, wanted.name, request.inputs)
        answer = await self._service.predict(wanted, request.model_spec.signature_name, inputs, request.output_filter)
        response = _predict.PredictResponse()
        response.model_spec.name = wanted.name
        response.model_spec.version.value = answer.version
        response.model_spec.signature_name = answer.signature
        for name, array in answer.outputs.items():
            response.outputs[name].CopyFrom(to_message(array))
        return response

    async def _metadata(self, request: Any) -> Any:
        return metadata_of(self._service, _wanted(request), request.metadata_field)


class _Models:
    """ModelService."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return await _answered(self._status, request, context)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return await _answered(self._reload, request, context)

    async def _status(self, request: Any) -> Any:
        return status_of(self._service, _wanted(request))

    async def _reload(self, request: Any) -> Any:
        await self._service.reload(request.config)
        response = _management.ReloadConfigResponse()
        response.status.error_code = 0
        return response


def read_inputs(signature: Signature, model: str, tensors: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of a request's TensorProtos. Raises ServingError unless they have the names, types and shapes that the
    signature takes, and not more than MOST_BYTES in all, before any becomes an array."""
    signature.check_names(model, tensors)
    taken = 0
    for name, tensor in tensors.items():
        head = head_of(name, tensor)
        signature.inputs[name].check_head(name, head.dtype, head.shape)
        taken += head.bytes
    if taken > MOST_BYTES:
        raise invalid(f"The inputs are {taken} bytes together; at most {MOST_BYTES} are taken")
    return {name: to_array(name, tensor) for name, tensor in tensors.items()}


def metadata_of(service: Service, wanted: Wanted, fields: Any = ("signature_def",)) -> Any:
    """GetModelMetadataResponse of a version. Raises ServingError."""
    if not fields:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")
    version, definitions = service.definitions(wanted)
    response = _metadata.GetModelMetadataResponse()
    response.model_spec.name = wanted.name
    response.model_spec.version.value = version
    listed = _metadata.SignatureDefMap()
    for name, definition in definitions.items():
        listed.signature_def[name].CopyFrom(definition)
    response.metadata["signature_def"].Pack(listed)
    return response


def status_of(service: Service, wanted: Wanted) -> Any:
    """GetModelStatusResponse of a model, or of one version. Raises ServingError."""
    response = _status.GetModelStatusResponse()
    for version in service.statuses(wanted):
        entry = response.model_version_status.add(version=version.number, state=int(version.state))
        entry.status.SetInParent()  # also where it is OK
        if version.error:
            entry.status.error_code = int(version.error.code)
            entry.status.error_message = version.error.message
    return response


def _wanted(request: Any) -> Wanted:
    if not request.HasField("model_spec") or not request.model_spec.name:
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    match spec.WhichOneof("version_choice"):
        case "version":
            return Wanted(spec.name, version=spec.version.value)
        case "version_label":
            return Wanted(spec.name, label=spec.version_label)
        case _:
            return Wanted(spec.name)


async def _answered(answer: Answer, request: Any, context: Any) -> Any:
    try:
        return await answer(request)
    except ServingError as error:
        return await context.abort(error.code.grpc, error.message)


async def _not_here(context: Any) -> None:
    await context.abort(Code.UNIMPLEMENTED.grpc, "Only Predict is supported")
