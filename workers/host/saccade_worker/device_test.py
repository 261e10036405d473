from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from saccade_core.records.fleet import list_workers
from saccade_worker.device import device_of
from saccade_worker.host import Host
from saccade_worker.settings import WorkerSettings
from servers.running import run_probe


@dataclass
class Driver:
    """NVIDIA's driver library, which is beyond this machine."""

    devices: int
    status: int = 0

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's name
        return self.status + flags

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - the driver's name
        count._obj.value = self.devices  # what byref() points to
        return 0


@pytest.mark.parametrize(
    ("driver", "device"), [(Driver(1), "cuda:0"), (Driver(4), "cuda:0"), (Driver(0), "cpu"), (Driver(1, 100), "cpu")]
)
def test_the_driver_decides(driver: Driver, device: str) -> None:
    assert device_of("torch", lambda _: driver) == device_of("keras", lambda _: driver) == device
    assert device_of("cpu", lambda _: driver) == "cpu"


def test_without_a_driver_it_is_the_cpu() -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert device_of("torch", load) == "cpu"


def test_it_agrees_with_torch() -> None:
    import torch

    assert device_of("torch") == ("cuda:0" if torch.cuda.is_available() else "cpu")


@pytest.mark.stack
def test_a_worker_tells_its_device_to_the_records(worker_settings: WorkerSettings, probe: None) -> None:
    del probe
    made = Host(worker_settings, pool="cpu", queues="cpu", worker_id="gpu", device="cuda:0")
    made.start()
    try:
        row = run_probe(made).row
        assert row.provenance is not None and row.provenance["device"] == "cuda:0"
        assert [worker.device for worker in list_workers(made.db)] == ["cuda:0"]
    finally:
        made.close()
