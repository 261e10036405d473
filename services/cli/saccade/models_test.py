"""The model registry from the command line and the client, over a real gateway."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from saccade.client import Client
from saccade.commands.models import read_rows
from saccade.main import main
from saccade.model_tables import comparison_table, predictions_table
from saccade.problems import SaccadeApiError
from saccade_core.records.database import Database
from saccade_core.registry_views import Comparison
from saccade_gateway.settings import GatewaySettings
from saccade_gateway.testing import NO_REDIS, Served, running
from servers.trained import register_files

FILES = {"model.h5": b"weights", "saved_model/saved_model.pb": b"graph"}


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    url = f"sqlite:///{tmp_path}/saccade.db"
    db = Database(url)
    db.migrate()
    db.close()
    with running(GatewaySettings(database_url=url, redis_url=NO_REDIS, blobs_url=f"file:{tmp_path}/blobs")) as served:
        monkeypatch.setenv("SACCADE_URL", served.url)
        yield served


@pytest.fixture
def churn(gateway: Served) -> Served:
    """Two versions of a model."""
    for version in (1, 2):
        _register(gateway, metrics={"accuracy": (16 + version) / 20}, lineage=_lineage(epochs=10 * version, seed=0))
    return gateway


def _lineage(**params: Any) -> dict[str, Any]:
    return {"kind": "trainer", "params": params, "data": {"table": "ab" * 32}, "code_version": "saccade 1"}


def _register(gateway: Served, name: str = "churn", **more: Any) -> int:
    return register_files(gateway.db, gateway.app.state.gateway.blobs, name, FILES, **more)


def _run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["models", *arguments])
    assert result.exit_code == status, result.output
    return result


def _words(*arguments: str) -> list[list[str]]:
    return [line.split() for line in _run(*arguments).output.splitlines()]


def test_models_and_versions_are_listed(churn: Served) -> None:
    first, second, *rest = _words()
    assert first[:3] == ["MODEL", "SOURCE", "FAMILY"]
    assert second[:5] == ["churn", "trained", "tabular", "2", "2"]
    assert ["yolo11n", "built_in", "yolo"] in [line[:3] for line in rest]
    header, newest, older = _words("versions", "churn")
    assert header[:3] == ["VERSION", "ALIASES", "accuracy"]
    assert (newest[:3], older[:3]) == (["2", "0.9", "agree"], ["1", "0.85", "agree"])
    assert json.loads(_run("versions", "churn", "--json").output)[1]["metrics"] == {"accuracy": 0.85}
    assert "unknown_model (404)" in _run("versions", "none", status=1).output


def test_a_model_and_a_version_are_shown(churn: Served) -> None:
    _run("promote", "churn", "1")
    shown = _run("show", "churn").output
    assert "churn: trained, tabular" in shown
    assert "production = 1, since" in shown
    version = _run("show", "churn@production").output
    for text in ("churn@1 (production)", "0.85", "differs by 0 from the .h5", "abab", '"epochs": 10', "model.h5"):
        assert text in version or text.replace('"', "") in version
    assert json.loads(_run("show", "churn@2", "--json").output)["version"] == 2
    assert "built in, yolo" in _run("show", "yolo11n").output
    assert "can be no model's name" in _run("show", "a b", status=2).output


def test_versions_are_compared(churn: Served) -> None:
    lines = {line[0]: line[1:] for line in _words("compare", "churn", "1", "2") if line}
    assert (lines["churn@1"], lines["accuracy"], lines["epochs"]) == (["churn@2"], ["0.85", "0.9"], ["10", "20"])
    assert "seed" not in lines
    assert lines["data"] == ["the", "same", "the", "same"]
    assert json.loads(_run("compare", "churn", "2", "1", "--json").output)["versions"] == [2, 1]
    assert "Compare 2 to 20 versions" in _run("compare", "churn", "1", status=1).output


def test_an_alias_is_promoted_and_rolled_back(churn: Served) -> None:
    assert "churn@production is version 1 now." in _run("promote", "churn", "1").output
    assert "churn@production is version 2 now." in _run("promote", "churn", "2").output
    assert "churn@production is version 1 again." in _run("rollback", "churn").output
    assert json.loads(_run("promote", "churn", "2", "--alias", "staging", "--json").output)["alias"] == "staging"
    assert "conflict (409)" in _run("rollback", "churn", "--alias", "staging", status=1).output
    assert _register(churn, checks={"saved_model": 0.5}) == 3
    assert "not_servable (409)" in _run("promote", "churn", "3", status=1).output


def test_a_versions_files_are_downloaded(churn: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "churn-2/model.h5" in _run("download", "churn").output
    saved = {path.relative_to("churn-2").as_posix(): path.read_bytes() for path in Path("churn-2").rglob("*.*")}
    assert saved == FILES
    _run("promote", "churn", "1")
    _run("download", "churn", "--save", "here")
    _run("download", "churn@2", "--save", "there")
    assert (tmp_path / "here" / "model.h5").read_bytes() == (tmp_path / "there" / "model.h5").read_bytes() == b"weights"
    assert "saccade assets pull yolo11n" in _run("download", "yolo11n", status=1).output


def test_versions_aliases_and_models_are_deleted(churn: Served) -> None:
    _run("promote", "churn", "1")
    assert "conflict (409)" in _run("delete", "churn@1", status=1).output
    assert "churn@production is deleted." in _run("delete", "churn@production").output
    assert "churn@1 is deleted." in _run("delete", "churn@1").output
    declined = CliRunner().invoke(main, ["models", "delete", "churn"], input="n\n")
    assert (declined.exit_code, "all its versions" in declined.output) == (1, True)
    assert "churn is deleted." in _run("delete", "churn", "--yes").output
    assert "unknown_model (404)" in _run("show", "churn", status=1).output


def test_options_that_would_not_be_heard_are_refused(gateway: Served) -> None:
    assert "after the subcommand" in _run("--json", "show", "churn", status=2).output


def test_rows_are_read_from_json_and_csv(tmp_path: Path) -> None:
    contents = {
        "a.json": '[{"age": 42, "country": null}]',
        "b.json": '{"rows": [{"age": 42, "country": null}]}',
        "c.csv": "\ufeffage,country\n42,\n",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text, "utf-8")
        [row] = read_rows(tmp_path / name)
        assert (str(row["age"]), row["country"]) == ("42", None)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("b.json", "[]"), ("c.json", "[1]"), ("d.csv", "a,b\n"), ("e.csv", 'a\n"b')]
)
def test_what_holds_no_rows_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(click.ClickException):
        read_rows(tmp_path / name)


def test_a_prediction_needs_a_model_server(churn: Served, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("age\n42\n")
    assert _run("predict", "churn@1", "--rows", str(rows), status=1).output.startswith("Error: ")


def _text(shown: Any) -> str:
    console = Console(width=160, record=True)
    console.print(shown)
    return console.export_text()


def test_predictions_of_labels_and_of_values() -> None:
    tops = [{"label": "1", "score": 0.9}, {"label": "0", "score": 0.1}]
    labels = {"model": {"name": "churn", "version": 3}, "predictions": [{"label": "1", "score": 0.9, "top": tops}]}
    assert "1    1           0.900  0 0.100" in _text(predictions_table(labels))
    values = {"model": {"name": "prices", "version": 1}, "predictions": [{"value": 12.3456789}] * 60}
    shown = _text(predictions_table(values))
    assert all(text in shown for text in ("12.3457", "and 10 more: --json shows all", "by prices@1"))


def test_versions_of_other_data_say_so() -> None:
    now = datetime.now(UTC)
    found = Comparison(
        name="churn",
        versions=[1, 2],
        metrics={"auc": [0.5, None]},
        checks={},
        params={},
        data={"table": ["a" * 64, None]},
        same_data=False,
        code_versions=["1", "1"],
        jobs=["job_1", "job_2"],
        created_at=[now, now],
    )
    assert "data: table" in _text(comparison_table(found))


def test_the_client_gets_all_pages(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    _register(gateway)
    _register(gateway)
    with Client(gateway.url) as client:
        pages: list[Any] = []
        send = client._send  # pyright: ignore[reportPrivateUsage] - to make its pages small

        def small(method: str, path: str, **request: Any) -> Any:
            pages.append(path)
            return send(method, path, params={**request["params"], "limit": 1})

        monkeypatch.setattr(client, "_send", small)
        assert [each.version for each in client.models.versions("churn")] == [2, 1]
        assert len({each.name for each in client.models.list()}) == len(pages) - 2
        monkeypatch.undo()
        with pytest.raises(SaccadeApiError):
            client.models.promote("churn", 9)
