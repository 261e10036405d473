"""What only an S3 store has: its client, and presigned downloads that have a file name.

The URLs are signed with AWS Signature Version 4 in the query string; source: "Authenticating Requests: Using Query
Parameters (AWS Signature Version 4)" of the Amazon S3 API Reference. obstore signs URLs too, but not the
``response-*`` parameters that give a download its name.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from obstore.store import S3Store

from saccade_core.settings import BlobSettings


def bucket_and_prefix(settings: BlobSettings) -> tuple[str, str]:
    """Of ``blobs_url``; the prefix has no slash at its ends and may be empty."""
    bucket, _, prefix = settings.blobs_url.removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def s3_store(settings: BlobSettings) -> S3Store:
    """The client for the bucket and prefix of ``blobs_url``; without keys it takes those of its environment."""
    bucket, prefix = bucket_and_prefix(settings)
    secret = settings.s3_secret_access_key
    config: dict[str, Any] = {
        "endpoint": settings.s3_endpoint,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
    }
    return S3Store(
        bucket,
        prefix=prefix or None,
        region=settings.s3_region,
        client_options={
            "allow_http": (settings.s3_endpoint or "").startswith("http:"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=60),
            "timeout": timedelta(hours=6),  # of a whole transfer; a stalled one ends by read_timeout
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        **{name: value for name, value in config.items() if value is not None},
    )


def presigned_get(
    *,
    endpoint: str,
    region: str,
    access_key_id: str,
    secret_access_key: str,
    bucket: str,
    key: str,
    expires_s: int,
    filename: str,
    media_type: str,
) -> str:
    """URL (path style) that downloads one object as an attachment called ``filename``, for ``expires_s`` seconds.

    ``endpoint`` is the server's address as the client will reach it: the host is part of the signature.
    """
    now = datetime.now(UTC)
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    base = urlsplit(endpoint)
    path = quote(f"{base.path.rstrip('/')}/{bucket}/{key}", safe="/-_.~")
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{access_key_id}/{scope}",
        "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
        "response-content-disposition": attachment(filename),
        "response-content-type": media_type,
    }
    encoded = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(query.items()))
    canonical = f"GET\n{path}\n{encoded}\nhost:{base.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    signing_key = f"AWS4{secret_access_key}".encode()
    for part in scope.split("/"):
        signing_key = _hmac(signing_key, part)
    signature = _hmac(signing_key, to_sign).hex()
    return f"{base.scheme}://{base.netloc}{path}?{encoded}&X-Amz-Signature={signature}"


def attachment(filename: str) -> str:
    """A Content-Disposition (RFC 6266) for any file name; what could end a header or a quoted string is replaced."""
    clean = "".join(c if c.isprintable() else "_" for c in filename)
    plain = "".join(c if c.isascii() and c not in '"\\' else "_" for c in clean)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{_quoted(clean)}"


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
