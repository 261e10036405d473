"""The fixtures: one server of each sort for the whole session, started when first asked for."""

from __future__ import annotations

import itertools
from collections.abc import Generator

import pytest
from pydantic import SecretStr

from saccade_core.settings import BlobSettings
from servers.postgres import PostgresServer
from servers.redis_server import RedisServer
from servers.swift import SwiftServer

_redis_databases = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    """A running PostgreSQL; a test that stops or kills it starts it again before it ends."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """SQLAlchemy URL of an empty database of the test's own."""
    return postgres_server.fresh_database()


@pytest.fixture(scope="session")
def redis_server() -> Generator[RedisServer]:
    """A running redis-server; a test that stops or kills it starts it again before it ends."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of an empty Redis database of the test's own (publish/subscribe channels are the server's)."""
    return redis_server.url(next(_redis_databases))


@pytest.fixture(scope="session")
def s3_server() -> Generator[SwiftServer]:
    """A running S3 server; a test that stops it starts it again before it ends."""
    server = SwiftServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def s3_settings(s3_server: SwiftServer) -> BlobSettings:
    """Settings of an empty bucket of the test's own; downloads are presigned."""
    return BlobSettings(
        blobs_url=f"s3://{s3_server.fresh_bucket()}",
        s3_endpoint=s3_server.endpoint,
        s3_public_endpoint=s3_server.endpoint,
        s3_access_key_id=s3_server.access_key,
        s3_secret_access_key=SecretStr(s3_server.secret_key),
        s3_region=s3_server.region,
    )
