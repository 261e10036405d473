"""A gRPC server that answers TensorFlow Serving's calls as a test says."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from saccade_models.serving.protocol import MESSAGE_BYTES, model_management, model_status, predict

Answer = Callable[[Any, Any], Any]


@contextmanager
def answering(port: int, **answers: Answer) -> Generator[int]:
    """Serves these calls by their names; the port."""
    of = {
        "Predict": (predict.PredictRequest, "PredictionService"),
        "GetModelStatus": (model_status.GetModelStatusRequest, "ModelService"),
        "HandleReloadConfigRequest": (model_management.ReloadConfigRequest, "ModelService"),
    }

    class Handlers(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            _, service, name = handler_call_details.method.split("/")
            request, wanted = of[name]
            assert service == f"tensorflow.serving.{wanted}"
            return grpc.unary_unary_rpc_method_handler(
                answers[name], request_deserializer=request.FromString, response_serializer=_bytes
            )

    with ThreadPoolExecutor(4) as pool:
        made = grpc.server(pool, options=[("grpc.max_receive_message_length", MESSAGE_BYTES)])
        made.add_generic_rpc_handlers([Handlers()])
        bound = made.add_insecure_port(f"127.0.0.1:{port}")
        made.start()
        try:
            yield bound
        finally:
            made.stop(0).wait()


def _bytes(message: Any) -> bytes:
    return message.SerializeToString()


class FakeModels:
    """A model server that has what it was told, but for the versions in ``broken``; ``told`` are all reloads."""

    def __init__(self) -> None:
        self.broken: dict[tuple[str, int], str] = {}
        self.told: list[dict[str, list[int]]] = []

    @contextmanager
    def running(self) -> Generator[str]:
        """Until the end of the block; the address."""
        with answering(0, GetModelStatus=self._status, HandleReloadConfigRequest=self._reload) as port:
            yield f"127.0.0.1:{port}"

    def _reload(self, request: Any, _: Any) -> Any:
        config = request.config.model_config_list.config
        self.told.append({each.name: list(each.model_version_policy.specific.versions) for each in config})
        return model_management.ReloadConfigResponse()

    def _status(self, request: Any, _: Any) -> Any:
        response = model_status.GetModelStatusResponse()
        name = request.model_spec.name
        for version in self.told[-1].get(name, []) if self.told else []:
            error = self.broken.get((name, version), "")
            each = response.model_version_status.add(version=version, state=50 if error else 30)
            each.status.error_message = error
        return response
