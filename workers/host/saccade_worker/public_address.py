"""Connections to public addresses only: the address that is checked is the address that is connected to.

A name is resolved once, every address it has is checked, and the socket goes to one of these, so a name server
that answers differently a second time (DNS rebinding) gains nothing, and each redirect is checked like the first.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from ssl import SSLContext
from typing import Any

import httpcore

from saccade_core.errors import FetchRefused

# IANA IPv6 Global Unicast Address Assignments: all that is assigned for public use lies in 2000::/3.
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")
# RFC 6052 and RFC 8215: the last 32 bits are an IPv4 address that a gateway connects to.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# RFC 6890: IETF protocol assignments, of which older Pythons know parts only.
_IETF = ipaddress.IPv4Network("192.0.0.0/24")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the public internet, by itself and by the IPv4 address that it may stand for."""
    if isinstance(address, IPv4Address):
        special = address.is_multicast or address.is_reserved or address in _IETF
        return address.is_global and not special
    embedded = _embedded(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _IPV6_UNICAST and address.is_global and address.scope_id is None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside a mapped, 6to4, Teredo or NAT64 address."""
    if any(address in network for network in _NAT64):
        return IPv4Address(address.packed[-4:])
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


class PublicBackend(httpcore.NetworkBackend):
    """Opens TCP connections for httpcore, to public addresses only, until ``limit`` (of time.monotonic())."""

    def __init__(self, limit: float, *, allow_private: bool) -> None:
        self._limit = limit
        self._allow_private = allow_private
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectError("no address")
        for address in self._addresses(host, port):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, _left(self._limit, timeout), local_address, socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
            else:
                return _LimitedStream(stream, self._limit)
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        """All addresses of a host, each checked; numeric hosts in every form (decimal, hex) come this way too."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise httpcore.ConnectError(f"cannot resolve the name: {error.strerror}") from error
        except UnicodeError as error:
            raise FetchRefused("The host's name is not valid.", received=host[:100]) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if not self._allow_private and not is_public(ipaddress.ip_address(address)):
                raise FetchRefused(
                    "Files are fetched from public addresses only; this host's is private, local or reserved.",
                    received=host[:100],
                )
        return addresses


class _LimitedStream(httpcore.NetworkStream):
    """A stream whose every step ends at one point in time, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, limit: float) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._limit, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._limit, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._limit, timeout))
        return _LimitedStream(stream, self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(limit: float, timeout: float | None) -> float:
    left = limit - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for this file is over")
    return left if timeout is None else min(left, timeout)
