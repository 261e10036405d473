"""``predict`` through a real model server."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from saccade_core.kind import ModelFiles
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.predict.contract import PredictParams
from saccade_kinds.predict.runner import run
from saccade_models.serving.client import ServedModel, ServingClient
from saccade_models.tables.encode import NumberColumn, TableInput
from servers.model_server import running_server
from servers.networks import Network

TABLE = TableInput(
    columns=[NumberColumn(name=name, median=0, mean=0, std=1) for name in ("a", "b")],
    target="c",
    task="binary",
    labels=["no", "yes"],
)


def test_a_version_that_is_loaded_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(tmp_path / "made", (2,), 1)
    (tmp_path / "preprocess.json").write_text(TABLE.model_dump_json(), "utf-8")
    (tmp_path / "table.csv").write_text("a,b\n" + "\n".join(f"{n / 500},{-n / 1000}" for n in range(1000)), "utf-8")
    (tmp_path / "models").mkdir()
    with running_server(tmp_path / "models") as server:
        monkeypatch.setenv("SACCADE_SERVING_URL", server.address)
        files = {"preprocess": tmp_path / "preprocess.json"}
        found = ModelFiles("churn", "7", "", files, {"served_name": "acme.churn", "may_serve": True})
        client = ServingClient(server.address)

        def load() -> None:
            base = tmp_path / "models" / "acme.churn"
            shutil.copytree(tmp_path / "made", base / "7")
            client.reload([ServedModel("acme.churn", str(base), [7])])

        late = threading.Timer(1.0, load)
        late.start()
        context = LocalContext(tmp_path / "run", weights=lambda _: found)
        result = run(inputs_of(table=tmp_path / "table.csv"), PredictParams(model="churn", batch_size=100), context)
        late.join()
        client.close()
    rows = np.array([[n / 500, -n / 1000] for n in range(1000)], np.float32)
    chances = [chance for (chance,) in network(rows)]
    assert result.count == 1000
    scores = [{each.label: each.score for each in one.top or ()} for one in result.predictions]
    np.testing.assert_allclose([each["yes"] for each in scores], chances, atol=1e-6)
    assert [one.label for one in result.predictions] == ["yes" if chance > 0.5 else "no" for chance in chances]
