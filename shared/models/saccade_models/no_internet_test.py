from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from saccade_models.no_internet import without_internet


def opens(family: socket.AddressFamily, kind: socket.SocketKind) -> bool:
    try:
        socket.socket(family, kind).close()
    except PermissionError:
        return False
    return True


KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def of_internet() -> list[bool]:
    return [opens(family, kind) for family in (socket.AF_INET, socket.AF_INET6) for kind in KINDS]


def test_the_thread_and_those_it_starts_have_no_internet() -> None:
    def make() -> ThreadPoolExecutor:
        assert not any(of_internet())
        pool = ThreadPoolExecutor(1)
        pool.submit(int).result()  # the pool's thread starts with the first task
        return pool

    with without_internet(make) as pool:
        assert pool.submit(of_internet).result() == [False] * 4
        assert pool.submit(opens, socket.AF_UNIX, socket.SOCK_STREAM).result()


def test_other_threads_keep_theirs() -> None:
    before = of_internet()
    assert any(before)
    without_internet(int)
    assert of_internet() == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(of_internet).result() == before


def test_errors_come_through() -> None:
    def make() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        without_internet(make)
