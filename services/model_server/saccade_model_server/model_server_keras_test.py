"""A real server process on real SavedModels: both protocols, changes of what is served under load, batches."""

from __future__ import annotations

import asyncio
import shutil
import threading
import tracemalloc
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_management_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from saccade_core.errors import InvalidRequest, Unavailable, UnknownModel
from saccade_model_server.configs import ModelConfig
from saccade_model_server.errors import Code, ServingError
from saccade_model_server.grpc_api import read_inputs
from saccade_model_server.saved_model import SavedModel
from saccade_model_server.servables import Servables, State, Version, Wanted
from saccade_model_server.tensors import to_array, to_message
from saccade_models.serving.client import ServedModel, ServingClient, VersionState
from servers.model_server import Running, running_server
from servers.networks import Network

# Generated code has no types.
_metadata: Any = get_model_metadata_pb2
_management: Any = model_management_pb2
_predict: Any = predict_pb2
_prediction_grpc: Any = prediction_service_pb2_grpc

Rows = NDArray[np.float32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def versions(folder: Path) -> dict[int, Network]:
    """Versions 1 to 3, in a folder from where they are given to the server."""
    return {version: Network(folder / "made" / str(version), (4,), 3, seed=version) for version in (1, 2, 3)}


@pytest.fixture(scope="module")
def server(folder: Path, versions: dict[int, Network]) -> Generator[Running]:
    with running_server(folder, "--max-batch-size", "16") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Running) -> Generator[ServingClient]:
    client = ServingClient(server.address)
    yield client
    client.close()


def give(server: Running, name: str, *versions: int) -> str:
    """Put these versions into the folder of a model; the folder."""
    base = server.models / name
    for version in versions:
        shutil.copytree(server.models / "made" / str(version), base / str(version), dirs_exist_ok=True)
    return str(base)


def rows(count: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def ask(client: ServingClient, name: str, inputs: Rows, version: int | None = None) -> Rows:
    found = client.predict(name, inputs.tobytes(), inputs.shape, version=version)
    return np.frombuffer(found.data, np.float32).reshape(found.shape)


def test_predicts_what_the_network_says_over_both_protocols(
    server: Running, client: ServingClient, versions: dict[int, Network]
) -> None:
    base = give(server, "plain", 1, 2)
    client.reload([ServedModel("plain", base, [1, 2])])
    assert {(each.version, each.state) for each in client.status("plain")} >= {(2, VersionState.AVAILABLE)}
    wait_for(client, "plain", {1: VersionState.AVAILABLE, 2: VersionState.AVAILABLE})
    inputs = rows(5)
    for version, model in versions.items():
        if version < 3:
            np.testing.assert_allclose(ask(client, "plain", inputs, version), model(inputs), atol=1e-6)
            answer = httpx.post(
                f"{server.rest}/v1/models/plain/versions/{version}:predict", json={"instances": inputs.tolist()}
            )
            np.testing.assert_allclose(answer.json()["predictions"], model(inputs), atol=1e-6)
    np.testing.assert_allclose(ask(client, "plain", inputs), versions[2](inputs), atol=1e-6)  # the newest
    columns = httpx.post(f"{server.rest}/v1/models/plain:predict", json={"inputs": {"inputs": inputs.tolist()}})
    np.testing.assert_allclose(columns.json()["outputs"], versions[2](inputs), atol=1e-6)
    with pytest.raises(UnknownModel):
        ask(client, "plain", inputs, 7)
    with pytest.raises(UnknownModel):
        ask(client, "nobody", inputs)
    assert client.status("nobody") == []


def test_wrong_requests_are_refused_with_the_reason(server: Running, client: ServingClient) -> None:
    client.reload([ServedModel("wrong", give(server, "wrong", 1), [1])])
    with pytest.raises(InvalidRequest, match=r"shape \[-1, 4\]"):
        client.predict("wrong", np.zeros((2, 5), np.float32).tobytes(), (2, 5))
    with pytest.raises(InvalidRequest, match="bytes of content"):
        client.predict("wrong", b"1234", (2, 4))
    with pytest.raises(InvalidRequest, match="Missing but required"):
        client.predict("wrong", rows(1).tobytes(), (1, 4), input_name="other")
    address = f"{server.rest}/v1/models/wrong"
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        (b'{"instances": []}', 400),
        (b'{"instances": [[1, 2]]}', 400),
        (b'{"instances": [[1, 2, 3, "a"]]}', 400),
        (b'{"instances": [[1, 2, 3, 4]], "signature_name": "none"}', 412),
        (b'{"instances": [[1, 2, 3, 4]], "inputs": [[1]]}', 400),
        (b"[" * 100_000, 400),
    ):
        answer = httpx.post(f"{address}:predict", content=body)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert httpx.post(f"{address}/versions/9:predict", json={"instances": [[1]]}).status_code == 404
    assert httpx.get(f"{server.rest}/v1/models/nobody").status_code == 404


def test_status_and_metadata_have_the_documented_shapes(server: Running, client: ServingClient) -> None:
    client.reload([ServedModel("told", give(server, "told", 1), [1])])
    assert httpx.get(f"{server.rest}/v1/models/told").json() == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    told = httpx.get(f"{server.rest}/v1/models/told/versions/1/metadata").json()
    assert told["model_spec"]["name"] == "told"
    signature = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["inputs"]["dtype"] == "DT_FLOAT"
    assert signature["method_name"] == "tensorflow/serving/predict"
    with grpc.insecure_channel(server.address) as channel:
        stub = _prediction_grpc.PredictionServiceStub(channel)
        request = _metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = "told"
        listed = _metadata.SignatureDefMap()
        assert stub.GetModelMetadata(request).metadata["signature_def"].Unpack(listed)
        assert set(listed.signature_def["serving_default"].inputs) == {"inputs"}
        filtered = _predict.PredictRequest(output_filter=["nothing"])
        filtered.model_spec.name = "told"
        filtered.inputs["inputs"].CopyFrom(tf.make_tensor_proto(rows(1)))
        with pytest.raises(grpc.RpcError, match="output tensor alias not found"):
            stub.Predict(filtered)


def test_reloads_that_cannot_be_are_told(server: Running, client: ServingClient, folder: Path) -> None:
    for path in ("/etc", "relative", str(folder), f"{folder}/../x"):
        with pytest.raises(InvalidRequest, match="below the server's folder"):
            client.reload([ServedModel("bad", path, [1])])
    base = give(server, "twice", 1)
    with pytest.raises(InvalidRequest, match="multiple times"):
        client.reload([ServedModel("twice", base, [1])] * 2)
    with pytest.raises(Unavailable):
        client.reload([ServedModel("empty", str(server.models / "empty"), [1])])
    broken = server.models / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(Unavailable):
        client.reload([ServedModel("broken", str(broken.parent), [1])])
    (status,) = client.status("broken")
    assert (status.version, status.state) == (1, VersionState.END)
    assert "cannot be loaded" in status.error
    assert str(folder) not in status.error


def test_a_new_version_takes_over_under_load_without_a_failed_request(
    server: Running, client: ServingClient, versions: dict[int, Network]
) -> None:
    base = give(server, "live", 1)
    client.reload([ServedModel("live", base, [1])])
    inputs = rows(2)
    expected = {number: model(inputs) for number, model in versions.items()}
    stop = threading.Event()

    def load(_: int) -> list[int]:
        seen: list[int] = []
        while not stop.is_set():
            found = client.predict("live", inputs.tobytes(), inputs.shape)
            values = np.frombuffer(found.data, np.float32).reshape(found.shape)
            np.testing.assert_allclose(values, expected[found.version], atol=1e-6)
            seen.append(found.version)
        return seen

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(load, number) for number in range(8)]
        for version in (2, 3):
            give(server, "live", version)
            client.reload([ServedModel("live", base, [version])])
            wait_for(client, "live", {version: VersionState.AVAILABLE, version - 1: VersionState.END})
        stop.set()
        seen = [one.result() for one in running]  # raises what a request raised
    assert {1, 2, 3} == {version for one in seen for version in one}
    assert all(one == sorted(one) for one in seen)
    client.reload([])
    wait_for(client, "live", {3: VersionState.END})
    with pytest.raises(UnknownModel):
        ask(client, "live", inputs)


def test_requests_in_one_batch_get_their_own_rows_and_fail_alone(
    server: Running, client: ServingClient, versions: dict[int, Network]
) -> None:
    client.reload([ServedModel("many", give(server, "many", 1), [1])])
    sizes = [1, 2, 3, 5, 16, 17, 40, 0] * 8  # above 16 in pieces

    def one(number: int) -> bool:
        if number % 9 == 8:
            with pytest.raises(InvalidRequest):
                client.predict("many", b"\0" * 12, (1, 3))
            return True
        inputs = rows(sizes[number % len(sizes)], seed=number)
        found = ask(client, "many", inputs)
        return found.shape == (len(inputs), 3) and np.allclose(
            found, np.reshape(versions[1](inputs), (-1, 3)), atol=1e-6
        )

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(256)))


def test_policies_and_labels(server: Running, client: ServingClient) -> None:
    base = give(server, "policy", 1, 2, 3)

    def reload(policy: str, labels: dict[str, int]) -> None:
        with grpc.insecure_channel(server.address) as channel:
            call = channel.unary_unary(
                "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
                request_serializer=_management.ReloadConfigRequest.SerializeToString,
                response_deserializer=_management.ReloadConfigResponse.FromString,
            )
            request = _management.ReloadConfigRequest()
            model = request.config.model_config_list.config.add(
                name="policy", base_path=base, model_platform="tensorflow"
            )
            if policy == "all":
                model.model_version_policy.all.SetInParent()
            if policy == "latest":
                model.model_version_policy.latest.num_versions = 2
            for label, version in labels.items():
                model.version_labels[label] = version
            call(request)

    reload("all", {})
    wait_for(client, "policy", dict.fromkeys((1, 2, 3), VersionState.AVAILABLE))
    reload("latest", {"stable": 2})
    wait_for(client, "policy", {1: VersionState.END, 2: VersionState.AVAILABLE, 3: VersionState.AVAILABLE})
    told = httpx.get(f"{server.rest}/v1/models/policy/labels/stable").json()
    assert [each["version"] for each in told["model_version_status"]] == ["2"]
    body = {"instances": rows(1).tolist()}
    assert httpx.post(f"{server.rest}/v1/models/policy/labels/stable:predict", json=body).status_code == 200
    assert httpx.post(f"{server.rest}/v1/models/policy/labels/none:predict", json=body).status_code == 400
    with pytest.raises(grpc.RpcError, match="not currently available"):
        reload("latest", {"stable": 1})


def message(shape: list[int], **values: Any) -> Any:
    """A TensorProto that claims this shape."""
    tensor = to_message(np.zeros(0, np.float32))
    del tensor.tensor_shape.dim[:]
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    for name, value in values.items():
        if name == "dtype":
            tensor.dtype = value
        else:
            getattr(tensor, name).extend(value)
    return tensor


def test_inputs_are_compared_with_the_signature_before_they_are_expanded(
    versions: dict[int, Network], folder: Path
) -> None:
    del versions  # made
    signature = SavedModel(folder / "made" / "1").signature("")
    np.testing.assert_array_equal(
        read_inputs(signature, "m", {"inputs": message([2, 4], float_val=[1.5])})["inputs"],
        np.full((2, 4), 1.5, np.float32),
    )
    whole = message([1 << 22, 4], float_val=[1.0])  # 64 MiB from a few bytes: as much as is allowed
    tracemalloc.start()
    try:
        for tensors, says in (
            ({f"x{index}": whole for index in range(12)}, "Send extra"),
            ({"inputs": message([1 << 22, 5], float_val=[1.0])}, "larger than"),
            ({"inputs": message([1 << 24], float_val=[1.0])}, "of shape"),
            ({"inputs": message([1 << 20, 4], dtype=2, double_val=[1.0])}, "of type float32"),
        ):
            with pytest.raises(ServingError, match=says) as caught:
                read_inputs(signature, "m", tensors)
            assert caught.value.code is Code.INVALID_ARGUMENT
        signature.inputs["other"] = signature.inputs["inputs"]
        with pytest.raises(ServingError, match="together"):
            read_inputs(signature, "m", {"inputs": whole, "other": whole})
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_requests_that_lie_are_invalid_and_not_unknown(server: Running, client: ServingClient) -> None:
    client.reload([ServedModel("lies", give(server, "lies", 1), [1])])
    with grpc.insecure_channel(server.address) as channel:
        stub = _prediction_grpc.PredictionServiceStub(channel)
        for tensor in (message([0, 2**62, 2**62]), message([1] * 100, float_val=[1.0])):
            request = _predict.PredictRequest()
            request.model_spec.name = "lies"
            request.inputs["inputs"].CopyFrom(tensor)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(request)
            failed: Any = caught.value
            assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_version_whose_loading_fails_in_any_way_ends(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)

    def load(_: Path) -> str:
        raise RuntimeError("text with a path")

    async def reload() -> list[Version[str]]:
        servables = Servables(load)
        with pytest.raises(ServingError, match="did not become available"):
            await asyncio.wait_for(servables.reload({"m": ModelConfig("m", tmp_path / "m")}), timeout=30)
        return servables.statuses(Wanted("m"))

    (version,) = asyncio.run(reload())
    assert version.state is State.END and version.error is not None
    assert (version.error.code, version.error.message) == (Code.INTERNAL, "Loading failed: RuntimeError")


def test_tensors_that_lie_about_their_size_are_refused() -> None:
    np.testing.assert_array_equal(to_array("x", message([2, 2], float_val=[1.5])), np.full((2, 2), 1.5, np.float32))
    for shape, values in (
        ([10**6, 10**6], {"float_val": [1.0]}),
        ([-1], {"float_val": [1.0]}),
        ([3], {"float_val": [1.0, 2.0]}),
        ([1], {"dtype": 20}),
        ([10**9], {"dtype": 7, "string_val": [b"x" * 1000]}),
        ([0, 2**62, 2**62], {}),
        ([1] * 100, {"float_val": [1.0]}),
        ([1], {"dtype": 4, "int_val": [300]}),
        ([2], {"dtype": 4, "int_val": [-1]}),
    ):
        with pytest.raises(ServingError):
            to_array("x", message(shape, **values))


def test_no_server_is_told_and_the_connection_comes_back(folder: Path) -> None:
    client = ServingClient("127.0.0.1:1")
    with pytest.raises(Unavailable):
        client.predict("any", rows(1).tobytes(), (1, 4), timeout_s=1)
    with pytest.raises(Unavailable):
        client.status("any", timeout_s=1)
    client.close()


def wait_for(client: ServingClient, name: str, wanted: dict[int, VersionState]) -> None:
    """Until the server says that of the model's versions."""
    for _ in range(600):
        if wanted.items() <= {each.version: each.state for each in client.status(name)}.items():
            return
        threading.Event().wait(0.05)
    raise AssertionError(client.status(name))
