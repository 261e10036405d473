"""Which device a worker's runners may use: told before any library is loaded, because the gateway chooses by it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from saccade_core.kind import Pool

_CUDA_SUCCESS = 0


def device_of(pool: Pool, load: Callable[[str], Any] = ctypes.CDLL) -> str:
    """``cuda:0`` in a pool whose libraries use one and on a machine whose driver gives one, else ``cpu``.

    The driver is asked itself (CUDA driver API, ``cuInit`` and ``cuDeviceGetCount``; it keeps to
    ``CUDA_VISIBLE_DEVICES``), as importing torch takes seconds and 600 MB that only the child needs.
    """
    if pool == "cpu":
        return "cpu"
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return "cpu"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != _CUDA_SUCCESS or driver.cuDeviceGetCount(ctypes.byref(count)) != _CUDA_SUCCESS:
        return "cpu"
    return "cuda:0" if count.value > 0 else "cpu"
