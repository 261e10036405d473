"""The body of ``POST /v1/jobs``: one model for each kind in the registry, told apart by ``kind``."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, cast

from fastapi.exceptions import RequestValidationError
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from saccade_core.errors import InvalidRequest
from saccade_core.jobs import Priority
from saccade_core.kind import Input
from saccade_core.media_types import HEAD_BYTES, media_type_of
from saccade_kinds import registry

_TEN_YEARS_S = 315_360_000.0
_ERRORS_TOLD = 5_000

Seconds = Annotated[float, Field(gt=0, le=_TEN_YEARS_S, allow_inf_nan=False)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(max_length=255)]
Reference = Annotated[
    str,
    Field(
        min_length=1,
        description="file_..., https://..., s3://bucket/key, job_.../artifact-name, or a data: URI up to 1 MB",
        examples=["file_01kas2m4tqk0v7s5n3d9xw8ych"],
    ),
]


class JobRequest(BaseModel):
    """What every request holds beside its kind, inputs and params."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority = "interactive"
    labels: dict[LabelName, LabelValue] = Field(default={}, max_length=32, description="Your own marks, to list by")
    max_attempts: int = Field(default=3, ge=1, le=20, description="Runs at most, where an error may pass by itself")
    deadline_s: Seconds | None = Field(default=None, description="Fail the job unless it ends within this time")
    run_at: AwareDatetime | None = Field(default=None, description="Do not start before this time (with its zone)")
    ttl_s: Seconds | None = Field(default=None, description="Remove the job and its artefacts so long after its end")


@cache
def model_of(name: str) -> type[BaseModel]:
    """The request model of one kind."""
    kind = registry.get(name)
    params_needed = any(field.is_required() for field in kind.params.model_fields.values())
    fields: dict[str, Any] = {
        "kind": (Literal[name], ...),  # pyright: ignore[reportInvalidTypeForm] - the registry names the literal
        "inputs": (inputs_model_of(name), ...),
        "params": (kind.params, ... if params_needed else Field(default_factory=kind.params)),
    }
    if not any(given.required for given in kind.inputs.values()):
        fields["inputs"] = (inputs_model_of(name), Field(default_factory=inputs_model_of(name)))
    return create_model(f"JobRequest_{_camel(name)}", __base__=JobRequest, __doc__=kind.summary, **fields)


@cache
def inputs_model_of(name: str) -> type[BaseModel]:
    """The model of one kind's inputs: a reference for each, or a list of them."""
    fields: dict[str, Any] = {key: _input_field(given) for key, given in registry.get(name).inputs.items()}
    config = ConfigDict(extra="forbid")
    return create_model(f"JobInputs_{_camel(name)}", __config__=config, **fields)


def any_request() -> Any:
    """The union of all request models."""
    models = [model_of(name) for name in registry.kinds()]
    if len(models) == 1:
        return models[0]
    return Annotated[reduce(or_, cast("list[Any]", models)), Field(discriminator="kind")]


class AnyRequest:
    """A request's JSON as it came, documented as the union of all request models.

    ``validated`` is for ``submit`` to call: FastAPI would validate on the event loop.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_adapter().core_schema)


def validated(body: Any) -> JobRequest:
    """The request that ``body`` holds; RequestValidationError, as from FastAPI itself, where it breaks a rule."""
    try:
        return _adapter().validate_python(body)
    except ValidationError as error:
        count = error.error_count()
        if count > _ERRORS_TOLD:  # making a dict of each would take seconds
            raise InvalidRequest(f"The request breaks its rules in {count:,} places.", field="body") from None
        errors = error.errors(include_url=False)
    raise RequestValidationError([{**told, "loc": ("body", *told["loc"])} for told in errors])


def examples() -> dict[str, Any]:
    """A working request for each kind, for the OpenAPI document."""
    return {name: {"summary": kind.summary, "value": sample_of(name)} for name, kind in registry.kinds().items()}


@cache
def sample_of(name: str) -> Mapping[str, Any]:
    """The kind's own sample as a request that works anywhere: its files are data: URIs."""
    sample, kind = registry.sample(name), registry.get(name)
    inputs: dict[str, Any] = {}
    for key, files in sample.files.items():
        uris = [_data_uri(file.name, file.read_bytes()) for file in files]
        inputs[key] = uris if kind.inputs[key].many else uris[0]
    return {"kind": name, "inputs": inputs, "params": dict(sample.params)}


@cache
def _adapter() -> TypeAdapter[JobRequest]:
    return TypeAdapter(any_request())


def _input_field(given: Input) -> tuple[Any, Any]:
    extra: dict[str, JsonValue] = {"accepts": [*given.accepts]}
    if given.many:
        size = Field(min_length=1 if given.required else 0, max_length=given.max_items)
        shape: Any = Annotated[list[Reference], BeforeValidator(_one_as_list), size]
    else:
        shape = Reference
    if given.required:
        return shape, Field(description=given.description, json_schema_extra=extra)
    return shape | None, Field(default=None, description=given.description, json_schema_extra=extra)


def _one_as_list(value: Any) -> Any:
    """One reference stands for a list of it."""
    return [value] if isinstance(value, str) else value


def _data_uri(name: str, data: bytes) -> str:
    return f"data:{media_type_of(data[:HEAD_BYTES], name)};base64,{base64.b64encode(data).decode()}"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
