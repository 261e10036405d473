"""Replicas of Compose's services through the Docker API.

A replica that is made here is a copy of a sibling with every label of it and another number, so that Compose counts
it as its own: ``docker compose ps`` lists it and ``down`` removes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from saccade_core.errors import Unavailable

log = logging.getLogger(__name__)

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
NUMBER, _ONE_OFF = "com.docker.compose.container-number", "com.docker.compose.oneoff"
#: What a copy takes over of its sibling's configuration.
_PROCESS = ("Image", "Cmd", "Entrypoint", "Env", "User", "WorkingDir")
_CONFIG = (*_PROCESS, "Healthcheck", "StopSignal", "StopTimeout", "Volumes")


@dataclass(frozen=True, slots=True)
class Replica:
    """One container of a service."""

    id: str
    name: str
    hostname: str
    number: int
    running: bool


class Compose:
    """The services of one Compose project; every call may raise errors.Unavailable."""

    def __init__(self, project: str, host: str | None = None) -> None:
        """``host`` is the Docker API's address; None: what the environment says."""
        self._project = project
        self._client = docker.DockerClient(base_url=host) if host else docker.from_env()

    def replicas(self, service: str) -> list[Replica]:
        """The service's containers, by their numbers; those that have ended are none."""
        return [_replica(c) for c in self._containers(service) if c.status in {"running", "restarting", "created"}]

    def add(self, service: str, count: int) -> list[str]:
        """Start ``count`` more; their names."""
        return [self._start_one(service) for _ in range(count)]

    def stop(self, replica: Replica, grace_s: int) -> None:
        """Ask it to stop, which lets it end or hand back its job, and remove it."""
        try:
            container = self._client.containers.get(replica.id)
            container.stop(timeout=grace_s)
            container.remove(v=True)
        except NotFound:
            return
        except (DockerException, OSError) as error:
            raise _unavailable(error) from error

    def sweep(self, service: str) -> None:
        """Remove replicas made here that ended, so that their names are free; one that Compose made stays."""
        for container in self._containers(service):
            if container.status in {"exited", "dead"} and int(container.labels[NUMBER]) > 1:
                try:
                    container.remove(v=True)
                except APIError as error:
                    log.info("%s is not removed: %s", container.name, error.explanation)

    def _containers(self, service: str) -> list[Container]:
        labels = [f"{PROJECT}={self._project}", f"{SERVICE}={service}", f"{_ONE_OFF}=False"]
        try:
            found: list[Container] = self._client.containers.list(all=True, filters={"label": labels})
        except (DockerException, OSError) as error:
            raise _unavailable(error) from error
        return sorted(found, key=lambda c: int(c.labels[NUMBER]))

    def _start_one(self, service: str) -> str:
        siblings = self._containers(service)
        if not siblings:
            raise Unavailable(f"Compose has no container of the service {service!r} to copy.")
        taken = {int(c.labels[NUMBER]) for c in siblings}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        name = f"{self._project}-{service}-{number}"
        api = self._client.api
        try:
            made = api.create_container_from_config(copy_of(siblings[0].attrs, service, number), name=name)
            api.start(made["Id"])
        except (DockerException, OSError) as error:
            raise _unavailable(error) from error
        log.info("started %s", name)
        return name


def copy_of(attrs: Mapping[str, Any], service: str, number: int) -> dict[str, Any]:
    """The configuration of a further replica: its sibling's, but for number, host name and addresses."""
    config = {name: value for name in _CONFIG if (value := attrs["Config"].get(name)) is not None}
    labels = {**attrs["Config"]["Labels"], NUMBER: str(number)}
    networks = {
        name: {"Aliases": [service], "NetworkID": network["NetworkID"]}
        for name, network in attrs["NetworkSettings"]["Networks"].items()
    }
    networking = {"EndpointsConfig": networks}
    return {**config, "Labels": labels, "HostConfig": dict(attrs["HostConfig"]), "NetworkingConfig": networking}


def _replica(container: Container) -> Replica:
    number = int(container.labels[NUMBER])
    hostname = container.attrs["Config"]["Hostname"]
    return Replica(container.id or "", container.name or "", hostname, number, container.status == "running")


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"The Docker API did not do what was asked: {str(error)[:300]}")
