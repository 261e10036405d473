"""What a call can end with: TensorFlow's canonical codes, and what they are over gRPC and HTTP."""

from __future__ import annotations

from enum import IntEnum

import grpc


class Code(IntEnum):
    """The codes of tensorflow.error.Code that are used here."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14

    @property
    def grpc(self) -> grpc.StatusCode:
        """The same as gRPC says it."""
        return next(status for status in grpc.StatusCode if status.value[0] == self.value)

    @property
    def http(self) -> int:
        """The status that TensorFlow Serving's REST API answers with."""
        return _HTTP.get(self, 500)


_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 412,
    Code.NOT_FOUND: 404,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.CANCELLED: 499,
}


class ServingError(Exception):
    """A call that fails, and why; the message goes to the caller."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """The request is wrong by itself."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """There is no such model or version now."""
    return ServingError(Code.NOT_FOUND, message)
