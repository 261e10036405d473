"""TensorFlow Serving's REST API: predict in row and column format, status, metadata."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from fastapi import FastAPI, Request
from google.protobuf import json_format
from starlette.responses import JSONResponse, Response

from saccade_model_server.errors import Code, ServingError, invalid
from saccade_model_server.grpc_api import metadata_of, status_of
from saccade_model_server.saved_model import Signature, Spec
from saccade_model_server.servables import Wanted
from saccade_model_server.service import Answer, Service
from saccade_model_server.tensors import Array

#: A larger body is refused.
BODY_BYTES = 64 << 20
_FIELDS = {"instances", "inputs", "signature_name"}


def make_app(service: Service) -> FastAPI:
    """The application that answers from ``service``."""
    app = FastAPI(title="Saccade's model server", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(ServingError)
    async def _failed(_request: Request, error: ServingError) -> Response:
        return JSONResponse({"error": error.message}, error.code.http)

    @app.post("/v1/models/{name}:predict")
    async def _latest(name: str, request: Request) -> Response:
        return await _predict(service, Wanted(name), request)

    @app.post("/v1/models/{name}/versions/{version}:predict")
    async def _version(name: str, version: int, request: Request) -> Response:
        return await _predict(service, Wanted(name, version=version), request)

    @app.post("/v1/models/{name}/labels/{label}:predict")
    async def _label(name: str, label: str, request: Request) -> Response:
        return await _predict(service, Wanted(name, label=label), request)

    for of in ("", "/versions/{version:int}", "/labels/{label}"):
        app.add_api_route(f"/v1/models/{{name}}{of}", _status(service), methods=["GET"])
        app.add_api_route(f"/v1/models/{{name}}{of}/metadata", _metadata(service), methods=["GET"])
    del _failed, _latest, _version, _label  # registered by their decorators
    return app


def _wanted(request: Request) -> Wanted:
    path = request.path_params
    return Wanted(path["name"], version=path.get("version"), label=path.get("label", ""))


def _status(service: Service) -> Any:
    async def status(request: Request) -> Response:
        return _message(status_of(service, _wanted(request)))

    return status


def _metadata(service: Service) -> Any:
    async def metadata(request: Request) -> Response:
        return _message(metadata_of(service, _wanted(request)))

    return metadata


def _message(message: Any) -> Response:
    options = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
    return JSONResponse(json_format.MessageToDict(message, **options))


async def _predict(service: Service, wanted: Wanted, request: Request) -> Response:
    body = _body(await _read(request))
    signature = service.inputs_of(wanted, body.get("signature_name", ""))
    by_row = "instances" in body
    inputs = _of_rows(signature, body["instances"]) if by_row else _of_columns(signature, body["inputs"])
    answer = await service.predict(wanted, body.get("signature_name", ""), inputs)
    found = {"predictions": _rows(answer)} if by_row else {"outputs": _columns(answer)}
    return Response(json.dumps(found), media_type="application/json")  # of floats also NaN and Infinity, as theirs


async def _read(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_BYTES:
            raise invalid(f"The body is larger than {BODY_BYTES} bytes")
    return bytes(data)


def _body(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(body, dict):
        raise invalid("Request body is not a JSON object")
    found: dict[str, Any] = body
    if extra := sorted(found.keys() - _FIELDS):
        raise invalid(f"JSON body has an unknown key: {extra[0][:80]}")
    if ("instances" in found) == ("inputs" in found):
        raise invalid("JSON body must have either 'instances' or 'inputs'")
    if not isinstance(found.get("signature_name", ""), str):
        raise invalid("'signature_name' key must be a string value.")
    return found


def _of_rows(signature: Signature, instances: Any) -> dict[str, Array]:
    """``instances``: a list, of each row the input's value, or an object with all inputs' values."""
    if not isinstance(instances, list) or not instances:
        raise invalid("Excepting 'instances' to be an list/array with one element at least")
    rows: list[Any] = instances
    if not (isinstance(rows[0], dict) and rows[0].keys() != {"b64"}):
        return {_only(signature): _array(signature, _only(signature), rows)}
    keys = set(rows[0])
    if any(not isinstance(row, dict) or set(row) != keys for row in rows):
        raise invalid("Each instance must have the same keys")
    return {key: _array(signature, key, [row[key] for row in rows]) for key in keys}


def _of_columns(signature: Signature, inputs: Any) -> dict[str, Array]:
    """``inputs``: the input's value, or an object with each input's."""
    if isinstance(inputs, dict) and inputs.keys() != {"b64"}:
        named: dict[str, Any] = inputs
        return {key: _array(signature, key, value) for key, value in named.items()}
    return {_only(signature): _array(signature, _only(signature), inputs)}


def _only(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise invalid(f"The signature has {len(signature.inputs)} inputs; name them: {sorted(signature.inputs)}")
    return next(iter(signature.inputs))


def _array(signature: Signature, name: str, value: Any) -> Array:
    spec = signature.inputs.get(name)
    if spec is None:
        raise invalid(f"Request inputs do not match required inputs. Send extra: {{{name[:80]}}}.")
    try:
        return _typed(spec, value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise invalid(f"Input {name} cannot be read as an array of {spec.dtype.name}: {str(error)[:200]}") from error


def _typed(spec: Spec, value: Any) -> Array:
    if spec.dtype == tf.string:
        return np.array(_decoded(value), dtype=object)
    array = np.asarray(value)
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    if array.dtype == object or array.dtype.kind not in "bif" or (array.dtype.kind == "f" and wanted.kind in "iub"):
        raise ValueError(f"values of type {array.dtype}")
    return array.astype(wanted)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        items: list[Any] = value
        return [_decoded(item) for item in items]
    if isinstance(value, dict) and value.keys() == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise ValueError("a value under 'b64' is not base64") from None
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a text")
    return value.encode()


def _rows(answer: Answer) -> Any:
    if not answer.batched:
        raise ServingError(Code.INVALID_ARGUMENT, "The outputs have no batch dimension: ask with 'inputs'")
    columns = {name: _plain(array) for name, array in answer.outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _columns(answer: Answer) -> Any:
    columns = {name: _plain(array) for name, array in answer.outputs.items()}
    return next(iter(columns.values())) if len(columns) == 1 else columns


def _plain(array: Array) -> Any:
    if array.dtype != object:
        return array.tolist()
    return np.vectorize(_encoded, otypes=[object])(array).tolist()


def _encoded(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}
