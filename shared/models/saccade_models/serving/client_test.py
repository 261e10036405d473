"""The client against gRPC servers that answer as TensorFlow Serving does."""

from __future__ import annotations

import subprocess
import sys
import time
from array import array
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from saccade_core.errors import EngineFailed, InputTooLarge, InvalidRequest, Unavailable, UnknownModel
from saccade_models.serving.client import (
    ServedModel,
    ServingClient,
    VersionState,
    VersionStatus,
    config_text,
    float32_bytes,
)
from saccade_models.serving.protocol import MESSAGE_BYTES, model_management, model_status, predict
from servers.serving_protocol import Answer, answering


@contextmanager
def client_of(**answers: Answer) -> Generator[ServingClient]:
    with answering(0, **answers) as port:
        client = ServingClient(f"127.0.0.1:{port}")
        yield client
        client.close()


def doubled(request: Any, _: Any, *, as_floats: bool = False) -> Any:
    """Twice the inputs; ``as_floats`` in the form that TensorFlow Serving answers in."""
    tensor = request.inputs["inputs"]
    values = array("f", tensor.tensor_content)
    response = predict.PredictResponse()
    response.model_spec.version.value = request.model_spec.version.value or 9
    out = response.outputs["output_0"]
    out.dtype = 1
    out.tensor_shape.CopyFrom(tensor.tensor_shape)
    twice = [2 * value for value in values]
    if as_floats:
        out.float_val.extend(twice)
    else:
        out.tensor_content = array("f", twice).tobytes()
    return response


@pytest.mark.parametrize("as_floats", [True, False])
def test_predicts_with_either_form_of_a_tensor(as_floats: bool) -> None:
    def answer(request: Any, context: Any) -> Any:
        assert (request.model_spec.name, request.model_spec.signature_name) == ("churn", "serving_default")
        return doubled(request, context, as_floats=as_floats)

    with client_of(Predict=answer) as client:
        found = client.predict("churn", float32_bytes([[1, 2], [3, 4.5], [0, -1]]), (3, 2), version=4)
        assert (found.rows(), found.version, found.shape) == ([[2, 4], [6, 9], [0, -2]], 4, (3, 2))
        assert client.predict("churn", float32_bytes([[1]]), (1, 1)).version == 9
        assert client.predict("churn", b"", (0, 2)).rows() == []


def test_a_large_batch_is_one_message() -> None:
    row = [0.5] * 3_000_000  # 12 MB; gRPC's own limit is 4 MB
    with client_of(Predict=doubled) as client:
        assert client.predict("churn", float32_bytes([row]), (1, len(row))).rows() == [[1.0] * len(row)]


def test_one_value_stands_for_all_and_answers_that_cannot_be_are_refused() -> None:
    response = predict.PredictResponse()
    response.outputs["outputs"].dtype = 1
    for size in (2, 3):
        response.outputs["outputs"].tensor_shape.dim.add(size=size)
    response.outputs["outputs"].float_val.append(0.5)

    def answer(_: Any, __: Any) -> Any:
        return response

    with client_of(Predict=answer) as client:
        assert client.predict("churn", b"", (2, 0)).rows() == [[0.5] * 3] * 2
        response.outputs["outputs"].float_val.append(0.5)
        with pytest.raises(EngineFailed, match="8 bytes for 6 values"):
            client.predict("churn", b"", (2, 0))
        response.outputs["outputs"].dtype = 2
        with pytest.raises(EngineFailed, match="float32"):
            client.predict("churn", b"", (2, 0))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.NOT_FOUND, UnknownModel),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.FAILED_PRECONDITION, InvalidRequest),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.INTERNAL, EngineFailed),
    ],
)
def test_errors_are_ours(code: grpc.StatusCode, error: type[Exception]) -> None:
    def fail(_: Any, context: Any) -> Any:
        context.abort(code, "in '/secret/path/model' it failed")

    with client_of(Predict=fail) as client, pytest.raises(error) as caught:
        client.predict("churn", b"", (0, 1), version=3)
    assert "secret" not in str(caught.value)


def test_a_slow_answer_ends_at_the_deadline() -> None:
    def wait(_: Any, context: Any) -> Any:
        while context.is_active():
            pass
        return predict.PredictResponse()

    with client_of(Predict=wait) as client, pytest.raises(Unavailable):
        client.predict("churn", b"", (0, 1), timeout_s=0.1)


def test_the_connection_comes_back_with_the_server() -> None:
    with answering(0, Predict=doubled) as port:
        client = ServingClient(f"127.0.0.1:{port}")
        assert client.predict("churn", float32_bytes([[1]]), (1, 1)).rows() == [[2]]
    with pytest.raises(Unavailable):
        client.predict("churn", float32_bytes([[1]]), (1, 1))

    def answers() -> bool:
        try:
            return client.predict("churn", float32_bytes([[1]]), (1, 1)).rows() == [[2]]
        except Unavailable:
            return False

    with answering(port, Predict=doubled):
        limit = time.monotonic() + 20
        while not answers():
            assert time.monotonic() < limit
            time.sleep(0.02)
    client.close()


def test_statuses() -> None:
    def answer(request: Any, context: Any) -> Any:
        if request.model_spec.name != "churn":
            context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model")
        response = model_status.GetModelStatusResponse()
        response.model_version_status.add(version=2, state=30)
        failed = response.model_version_status.add(version=1, state=50)
        failed.status.error_code, failed.status.error_message = 13, "no variables in /models/churn/1"
        return response

    with client_of(GetModelStatus=answer) as client:
        assert client.status("churn") == [
            VersionStatus(2, VersionState.AVAILABLE),
            VersionStatus(1, VersionState.END, "no variables in (path)"),
        ]
        assert client.status("nobody") == []


def test_a_reload_names_models_folders_and_versions() -> None:
    seen: list[Any] = []

    def answer(request: Any, _: Any) -> Any:
        seen.append(request.config)
        response = model_management.ReloadConfigResponse()
        response.status.error_code = 3 if len(seen) > 2 else 0
        return response

    models = [ServedModel("churn", "/models/churn", (2, 3))]
    with client_of(HandleReloadConfigRequest=answer) as client:
        client.reload(models)
        client.reload([])
        with pytest.raises(EngineFailed):
            client.reload([])
    (model,) = seen[0].model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("churn", "/models/churn", "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [2, 3]
    assert seen[1].WhichOneof("config") == "model_config_list"  # nothing is to be served, which is not no answer
    assert "versions: 3" in config_text(models)
    assert config_text([]).split() == ["model_config_list", "{", "}"]


def test_it_needs_no_tensorflow_and_leaves_none_behind() -> None:
    code = (
        "import sys, importlib.util\n"
        "import saccade_models.serving.client, saccade_models.serving.preprocess, saccade_models.serving.answers\n"
        "left = [m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'numpy', 'polars', 'cv2', 'keras')]\n"
        "assert not left, left\n"
        "assert importlib.util.find_spec('tensorflow') is None\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_a_message_over_the_limit_is_the_callers_fault_and_a_full_queue_is_not() -> None:
    def full(_: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "The batch scheduling queue is full")

    with client_of(Predict=full) as client:
        with pytest.raises(Unavailable):
            client.predict("churn", bytes(4), (1, 1))
        with pytest.raises(InputTooLarge, match="64 MB") as caught:
            client.predict("churn", bytes(MESSAGE_BYTES + 4), (1, MESSAGE_BYTES // 4 + 1))
        assert (caught.value.status, caught.value.retryable) == (413, False)
