"""The one tree of errors.

Every error carries a stable ``code``, the HTTP ``status`` it is answered with, whether a ``retryable``
second try of the same job can help, and a message that is safe to show to any user: it names the field,
the value received and the rule, and never a path or a secret of the machine.
"""

from __future__ import annotations

from typing import Any, ClassVar


class SaccadeError(Exception):
    """Something went wrong inside Saccade; the root of the tree."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str | None = None, received: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.received = received


# Requests that are refused ---------------------------------------------------------------------------


class Unauthenticated(SaccadeError):
    """The request carries no key, or one that is unknown or revoked."""

    code, status = "unauthenticated", 401


class Forbidden(SaccadeError):
    """The key is known, and its role does not allow this call."""

    code, status = "forbidden", 403


class NotFound(SaccadeError):
    """Nothing of that id exists in the caller's project."""

    code, status = "not_found", 404


class Conflict(SaccadeError):
    """The thing's state does not allow this call."""

    code, status = "conflict", 409


class IdempotencyConflict(Conflict):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_conflict"


class TooLarge(SaccadeError):
    """A body, file or field is over its limit."""

    code, status = "too_large", 413


class UnsupportedMediaType(SaccadeError):
    """The file is of a type that this input does not take."""

    code, status = "unsupported_media_type", 415


class InvalidRequest(SaccadeError):
    """A field of the request breaks its rule."""

    code, status = "invalid_request", 422


class UnknownKind(InvalidRequest):
    """No kind of job has that name."""

    code = "unknown_kind"


class UnknownReference(InvalidRequest):
    """An input names a file, job or artefact that the caller's project does not have."""

    code = "unknown_reference"


class UnknownModelName(InvalidRequest):
    """A parameter names a trained model, version or alias that the caller's project does not have."""

    code = "unknown_model"


class RangeNotSatisfiable(SaccadeError):
    """The Range header asks for bytes beyond the end."""

    code, status = "range_not_satisfiable", 416


class RateLimited(SaccadeError):
    """Too many requests; the answer carries Retry-After."""

    code, status, retryable = "rate_limited", 429, True


class Unavailable(SaccadeError):
    """A server that this call needs does not answer; the answer carries Retry-After."""

    code, status, retryable = "unavailable", 503, True


class NotServable(SaccadeError):
    """This version of a model cannot be served: no SavedModel, or one whose outputs differ from the trained model's."""

    code, status = "not_servable", 409


# Jobs that fail ---------------------------------------------------------------------------------------


class JobError(SaccadeError):
    """A job ended without a result."""

    code = "job_failed"


class InputError(JobError):
    """The input's bytes are at fault: another try gives the same."""

    code, status = "invalid_input", 422


class UnreadableInput(InputError):
    """The bytes are not, or not wholly, what their type says."""

    code = "unreadable_input"


class EncryptedInput(InputError):
    """The document is locked by a password."""

    code = "encrypted_input"


class InputTooLarge(InputError):
    """Over a cap on pixels, pages, duration or size."""

    code, status = "input_too_large", 413


class InvalidParams(InputError):
    """The parameters are right by themselves and do not fit this input."""

    code = "invalid_params"


class UnknownGallery(InputError):
    """The project has no face gallery of that name."""

    code, status = "unknown_gallery", 404


class GalleryModelMismatch(InputError):
    """A gallery holds the embeddings of one network; these are of another."""

    code, status = "gallery_model_mismatch", 409


class RemovedMeanwhile(InputError):
    """Whom the job would enrol was removed from the gallery after the job was accepted; a retry gives the same."""

    code, status = "removed_meanwhile", 409


class UnknownModel(InputError):
    """The project has no trained model of that name, or not that version or alias."""

    code, status = "unknown_model", 404


class UntrustedModel(InputError):
    """A model file from outside that could run code when it is loaded, or is not what its name says."""

    code = "untrusted_model"


class FetchFailed(JobError):
    """An ``https://`` or ``s3://`` input could not be fetched; the far server may answer later."""

    code, status, retryable = "fetch_failed", 502, True


class FetchRefused(InputError):
    """An ``https://`` or ``s3://`` input is not allowed: private address, bucket not listed, too large."""

    code = "fetch_refused"


class ModelMissing(JobError):
    """The weights are not on this machine; the message names the command to get them."""

    code, status = "model_missing", 424


class AssetMissing(ModelMissing):
    """A registered test asset or model is neither in the cache, nor in the mirror, nor to be downloaded."""

    code = "asset_missing"


class EngineFailed(JobError):
    """An outside program or library failed in a way that we do not know; one more try may help."""

    code, status, retryable = "engine_failed", 500, True


class StorageFailed(JobError):
    """The object store did not take or give the bytes."""

    code, status, retryable = "storage_failed", 503, True


class TimeLimitExceeded(JobError):
    """One run took longer than the kind allows."""

    code, status = "time_limit_exceeded", 422


class DeadlineExceeded(JobError):
    """The job did not end within its own ``deadline_s``."""

    code, status = "deadline_exceeded", 422


class MemoryLimitExceeded(JobError):
    """The runner used more memory than the kind allows."""

    code, status = "memory_limit_exceeded", 422


class WorkerLost(JobError):
    """The process that ran the job died."""

    code, status, retryable = "worker_lost", 500, True


class Cancelled(JobError):
    """The job was cancelled; raised inside a runner by ``context.check_cancelled()``."""

    code, status = "cancelled", 409


class LeaseLost(JobError):
    """Another worker holds the job now; this run's work is thrown away. Never shown to users."""

    code, status = "lease_lost", 409
