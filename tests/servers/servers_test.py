"""The test servers themselves: they start, answer and leave nothing behind."""

from __future__ import annotations

import psycopg
import pytest
from redis import Redis

from saccade_core.settings import BlobSettings
from servers.postgres import PostgresServer
from servers.process import MissingPackage, program
from servers.redis_server import RedisServer
from servers.swift import SwiftServer

pytestmark = pytest.mark.stack


def test_postgres_gives_databases_of_ones_own(postgres_server: PostgresServer, postgres_url: str) -> None:
    other = postgres_server.fresh_database()
    assert other != postgres_url
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.info.server_version >= 150000
        connection.execute("CREATE TABLE t (x int)")
    with psycopg.connect(other.replace("+psycopg", "")) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM t")


def test_redis_survives_a_kill_and_can_lose_its_data(redis_server: RedisServer, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.set("a", "1")
        redis_server.stop()
        redis_server.start()
        assert client.get("a") == b"1"
        redis_server.kill()
        redis_server.lose_data()
        redis_server.start()
        assert client.get("a") is None


def test_the_s3_server_has_a_bucket(s3_server: SwiftServer, s3_settings: BlobSettings) -> None:
    assert s3_server.containers()[s3_settings.blobs_url.removeprefix("s3://")] == []


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(MissingPackage, match="apt-get install no-such-package"):
        program("no-such-program", "no-such-package")
