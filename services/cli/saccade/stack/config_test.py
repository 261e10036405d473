"""Addresses, worker numbers and the processes as data."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from saccade.stack.config import StackConfig, Workers, check_port, free_port, parse_workers, programs
from saccade.stack.errors import StackError
from saccade.stack.state import data_lock
from saccade_core.kind import Pool


def test_workers_by_pool() -> None:
    assert parse_workers("cpu=2").queues == {"cpu"}
    assert 1 <= parse_workers(None).infer["cpu"] <= 4
    assert parse_workers("cpu=1,keras=2") == Workers({"cpu": 1, "keras": 2}, {"keras": 1})
    assert parse_workers("keras=1,keras.train=0").queues == {"keras"}
    assert parse_workers("keras.train=2").queues == {"keras.train"}


@pytest.mark.parametrize("text", ["", "cpu", "cpu=x", "cpu=-1", "gpu=1", "cpu=1,cpu=2", "cpu.train=1", "keras.train"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="POOL=NUMBER"):
        parse_workers(text)


def test_a_port_in_use_is_named_with_its_option() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(StackError, match=f"127.0.0.1, port {port}: Address already in use.* --port"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", free_port())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - nothing listens there
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("box", "http://box:80"),
    ],
)
def test_the_address_on_this_machine(host: str, url: str) -> None:
    assert StackConfig(host, 80, Path("/d"), Workers({}, {})).url == url


def test_the_gateway_is_not_killed_while_it_ends_requests_under_way(tmp_path: Path) -> None:
    gateway = programs(StackConfig("127.0.0.1", 80, tmp_path, Workers({}, {})), {})[1]
    assert gateway.name == "gateway"
    assert gateway.grace_s >= 15  # requests get 10 s from the gateway itself


def test_processes_start_with_redis_and_stop_with_the_gateway(tmp_path: Path) -> None:
    made = programs(StackConfig("127.0.0.1", 80, tmp_path, Workers({"cpu": 2}, {})), {"cpu": Path("/python")})
    assert [p.name for p in made] == ["redis", "gateway", "keeper", "cpu-1", "cpu-2"]
    assert [p.name for p in sorted(made, key=lambda p: p.stop_order)] == [
        "gateway",
        "cpu-1",
        "cpu-2",
        "keeper",
        "redis",
    ]
    assert made[3].argv == ("/python", "-m", "saccade_worker", "--pool", "cpu", "--name", "cpu-1")


def test_a_model_server_runs_where_there_is_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pythons: dict[Pool, Path] = {"cpu": Path("/cpu"), "keras": Path("/keras")}
    config = StackConfig("127.0.0.1", 80, tmp_path, Workers({"cpu": 1}, {"keras": 1}))
    made = programs(config, pythons)
    assert [p.name for p in made] == ["redis", "gateway", "keeper", "model-server", "cpu-1", "keras-train-1"]
    server = made[3]
    assert server.argv[:3] == ("/keras", "-m", "saccade_model_server")
    assert server.stop_order == made[4].stop_order
    port = server.argv[server.argv.index("--port") + 1]
    for program in made[1:]:
        assert program.env["SACCADE_SERVING_URL"] == f"127.0.0.1:{port}"
        assert program.env["SACCADE_SERVING_DIR"] == str(tmp_path / "serving")
    monkeypatch.setenv("SACCADE_SERVING_URL", "serving:8500")
    theirs = programs(config, pythons)
    assert "model-server" not in [p.name for p in theirs]
    assert theirs[1].env["SACCADE_SERVING_URL"] == "serving:8500"


@pytest.mark.parametrize("name", ["x", "with space", "x" * 120])
def test_redis_is_private_wherever_the_data_is(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    data.mkdir()
    env = programs(StackConfig("127.0.0.1", 80, data, Workers({}, {})), {})[0].env
    file = data / "redis" / "redis.conf"
    text = file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert "appendonly yes" in text
    if name == "x":
        assert env["SACCADE_REDIS_URL"] == f"redis+socket://{data}/redis/redis.sock"
        assert "port 0" in text
    else:
        assert env["SACCADE_REDIS_URL"].startswith("redis://:")
        assert "requirepass" in text


def test_one_stack_for_a_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with data_lock(data), pytest.raises(StackError, match="already runs"), data_lock(data):
        pytest.fail("two stacks over one folder")
    with data_lock(data):
        assert data.stat().st_mode & 0o077 == 0


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="Cannot write to the data folder"), data_lock(tmp_path / "file"):
        pytest.fail("locked a file as a folder")
