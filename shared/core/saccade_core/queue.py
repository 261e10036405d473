"""The queue: Celery over Redis. A message is a hint that carries a job's id; losing or doubling it is harmless."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from saccade_core.errors import Unavailable

TASK = "saccade.execute"

#: Connections to Redis fail fast: a dead one must not slow an answer or a claim.
_CONNECT_TIMEOUT_S = 2
_SOCKET_TIMEOUT_S = 5


def celery_app(redis_url: str, **settings: Any) -> Celery:
    """The Celery app that publishers and workers share; its settings come from measurements on this stack
    (docs/decisions/0003-records-are-the-truth.md): late acknowledgement, one message at a time, no results."""
    app = Celery("saccade", broker=redis_url)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_publish_retry=False,
        task_default_queue="cpu",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=20,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 43200,
            "socket_timeout": _SOCKET_TIMEOUT_S,
            "socket_connect_timeout": _CONNECT_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "max_retries": 1,
            "interval_start": 0.1,  # before that one retry; Kombu's own is 2 s
        },
    )
    app.conf.update(settings)
    return app


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken from a queue: the job's id, and the message itself so that it can be put back."""

    job_id: str
    raw: str


class Queue:
    """Publishing and looking at the queues; every failure is errors.Unavailable."""

    def __init__(self, redis_url: str) -> None:
        self._app = celery_app(redis_url)
        self._redis = connect(redis_url)

    def publish(self, job_id: str, queue: str) -> None:
        """Tell the workers of ``queue`` that the job is due."""
        try:
            self._app.send_task(TASK, args=[job_id], queue=queue, retry=False, ignore_result=True)
        except (OperationalError, redis.RedisError, OSError) as error:
            raise Unavailable("The queue does not answer.") from error

    def take(self, queue: str, most: int, sharers: int, after: Collection[str] = ()) -> list[Message]:
        """Take up to ``most`` of the oldest messages, past Celery: none while messages wait in one of ``after``, and
        never more than half of what each of ``sharers`` workers would get. As with all messages, one that is lost
        between here and the claim is published again by the keeper."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for name in (queue, *after):
                pipe.llen(name)
            depth, *others = pipe.execute()
            count = 0 if any(others) else min(most, -(-depth // (2 * max(1, sharers))))
            taken: Any = self._redis.rpop(queue, count) if count > 0 else None
        except redis.RedisError as error:
            raise Unavailable("The queue does not answer.") from error
        return [Message(_job_id(raw), raw) for raw in taken or ()]

    def put_back(self, queue: str, messages: Sequence[Message]) -> None:
        """Put messages back to where ``take`` found them."""
        try:
            if messages:
                self._redis.rpush(queue, *(message.raw for message in reversed(messages)))
        except redis.RedisError as error:
            raise Unavailable("The queue does not answer.") from error

    def depth(self, queue: str) -> int:
        """How many messages wait in ``queue``."""
        try:
            return self._redis.llen(queue)
        except redis.RedisError as error:
            raise Unavailable("The queue does not answer.") from error

    def mark(self, name: str) -> None:
        """Leave a mark in Redis, which a new or emptied one does not have."""
        try:
            self._redis.set(f"saccade:mark:{name}", socket.gethostname())
        except redis.RedisError as error:
            raise Unavailable("The queue does not answer.") from error

    def marked(self, name: str) -> bool:
        """Whether the mark is there."""
        try:
            return bool(self._redis.exists(f"saccade:mark:{name}"))
        except redis.RedisError as error:
            raise Unavailable("The queue does not answer.") from error

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
        self._redis.close()


def _job_id(raw: str) -> str:
    """The id in a message as Celery writes it; empty where it is none of ours."""
    try:
        body: Any = json.loads(raw)["body"]
        return str(json.loads(base64.b64decode(body))[0][0])
    except (LookupError, TypeError, ValueError):
        return ""


def connect(redis_url: str) -> redis.Redis:
    """A client with our time-outs; ``redis+socket://`` is Celery's name of a Unix socket."""
    return redis.Redis.from_url(
        redis_url.replace("redis+socket://", "unix://", 1),
        decode_responses=True,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        health_check_interval=25,
    )
