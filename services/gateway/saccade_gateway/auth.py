"""Who calls: the project and role of a key, or this machine's user while no key exists."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.requests import HTTPConnection

from saccade_core.errors import Forbidden, Unauthenticated
from saccade_core.records import keys
from saccade_core.records.database import Database

#: A revoked key still works for this long, and a first key takes this long to be noticed.
_REMEMBER_S = 3.0
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, and what it may do."""

    project: str
    role: str

    def require(self, role: keys.Role) -> None:
        """Raise Forbidden unless the caller's role is ``role`` or a higher one."""
        if keys.ROLES.index(self.role) < keys.ROLES.index(role):
            raise Forbidden(f"This needs a key with the role '{role}'; yours has '{self.role}'.")


class Authenticator:
    """Finds the caller of a request; what the database said is remembered for a few seconds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._callers: dict[str, tuple[float, Caller]] = {}
        self._any_key = False
        self._asked_at = float("-inf")

    async def caller(self, request: HTTPConnection) -> Caller:
        """The caller, or Unauthenticated or Forbidden."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return await self._of_key(secret.strip())
        if await self._a_key_exists():
            raise Unauthenticated("This needs an API key: Authorization: Bearer sk_...")
        check_local(request)
        return Caller(project="default", role="admin")

    async def _of_key(self, secret: str) -> Caller:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        seen = self._callers.get(digest)
        if seen is not None and seen[0] > time.monotonic():
            return seen[1]
        row = await anyio.to_thread.run_sync(keys.find_key, self._db, secret)
        if row is None:
            raise Unauthenticated("This API key is unknown or revoked.")
        caller = Caller(project=row.project, role=row.role)
        if len(self._callers) >= _REMEMBERED:
            self._callers.clear()
        self._callers[digest] = (time.monotonic() + _REMEMBER_S, caller)
        return caller

    async def _a_key_exists(self) -> bool:
        if not self._any_key and time.monotonic() > self._asked_at + _REMEMBER_S:
            self._any_key = await anyio.to_thread.run_sync(keys.any_key, self._db)
            self._asked_at = time.monotonic()
        return self._any_key


def check_local(request: HTTPConnection) -> None:
    """Raise Forbidden unless a program of this machine calls, and not a browser for a page from elsewhere.

    A page from anywhere can make a browser send requests to 127.0.0.1: the ``Origin`` header tells of it, and the
    ``Host`` header where the page's own name was made to point here (DNS rebinding).
    """
    if request.client is None or not is_loopback(request.client.host):
        raise Forbidden("No API key exists yet, so only this machine is served; make a key to serve others.")
    host = request.headers.get("host", "")
    if not is_loopback(_host_name(host)):
        raise Forbidden("Without API keys, only requests to a loopback address are served.", received=host[:100])
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")
    if (origin is not None and urlsplit(origin).netloc != host) or site not in {"none", "same-origin"}:
        raise Forbidden("Without API keys, pages from elsewhere are not served.", received=(origin or site)[:100])


def is_loopback(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
