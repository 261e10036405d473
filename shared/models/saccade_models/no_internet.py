"""Threads that cannot open internet sockets, for libraries that report home.

A seccomp filter (Linux, seccomp(2)) on a thread holds for it and for every thread started from it, for good, and for
no other thread of the process.
"""

from __future__ import annotations

import ctypes
import platform
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from errno import EACCES
from typing import TypeVar

T = TypeVar("T")

#: By machine: its AUDIT_ARCH of linux/audit.h, and the number of its system call socket().
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2  # of linux/prctl.h and linux/seccomp.h
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of linux/bpf_common.h: 32-bit words, constants
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | EACCES
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data; both machines are little-endian


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction))]


def without_internet(make: Callable[[], T]) -> T:
    """``make()``, called on a new thread that has no internet; nor have the threads that it starts.

    Where the system knows no such filter, ``make`` is called all the same.
    """
    with ThreadPoolExecutor(1, initializer=forbid_internet) as thread:
        return thread.submit(make).result()


def forbid_internet() -> bool:
    """From now on socket() of IPv4 and IPv6 fails with EACCES on this thread; tells whether it does."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    arch, socket_call = _MACHINES[platform.machine()]
    code = (
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 0, 6, arch),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_EQUAL, 0, 4, socket_call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_EQUAL, 1, 0, int(socket.AF_INET)),
        (_JUMP_EQUAL, 0, 1, int(socket.AF_INET6)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    program = _Program(len(code), (_Instruction * len(code))(*code))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return prctl(_SECCOMP, _FILTER, ctypes.addressof(program), 0, 0) == 0
