"""The registry of models: what is here, what is refused, how files come and are exported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from saccade_core.assets import Asset, asset
from saccade_core.errors import EngineFailed, InvalidParams, ModelMissing
from saccade_models import derived, weights
from saccade_models.weights import ModelVersion, local_model, models, pull
from servers.detecting import bus

PLAIN, ODD = b"the official weights" * 500, b"what stands in for them" * 500


class _Counting(SimpleHTTPRequestHandler):
    """Serves a folder and counts what is asked of it."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args


def _version(
    version: str, content: bytes, *, stand_in: bool = False, family: str = "yunet", url: str | None = None
) -> ModelVersion:
    file = Asset(f"models/{version}.bin", hashlib.sha256(content).hexdigest(), len(content), "MIT", url, "us")
    return ModelVersion("net", version, family, "MIT", "us", stand_in, "", {"weights": file}, {"input_size": 8})


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of one model with an official file and a stand-in, an empty cache, and a mirror that has both."""
    net = weights.RegisteredModel("net", "yunet", (_version("1", PLAIN), _version("1-odd", ODD, stand_in=True)))
    monkeypatch.setattr(weights, "models", lambda: {"net": net})
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", str(tmp_path / "mirror"))
    folder = tmp_path / "mirror"
    (folder / "models").mkdir(parents=True)
    (folder / "models/1.bin").write_bytes(PLAIN)
    (folder / "models/1-odd.bin").write_bytes(ODD)
    return folder


@pytest.fixture(scope="session")
def face_ssd() -> dict[str, bytes]:
    """The real files of a small model, read before a test sets other places to look at."""
    paths = ("models/opencv_face_detector_uint8.pb", "models/opencv_face_detector.pbtxt")
    return {path: asset(path).read_bytes() for path in paths}


@pytest.fixture
def web(tmp_path: Path) -> Generator[str]:
    """The mirror over HTTP."""
    _Counting.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Counting, directory=str(tmp_path / "mirror")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_official_file_is_preferred_and_the_stand_in_serves_without_it(mirror: Path) -> None:
    best = local_model("net")
    assert (best.version, best.path.read_bytes(), best.facts["stand_in"]) == ("1", PLAIN, False)
    assert best.facts["input_size"] == 8
    (mirror / "models/1.bin").unlink()
    other = local_model("net")
    assert (other.version, other.path.read_bytes(), other.facts["stand_in"]) == ("1-odd", ODD, True)
    assert other.sha256 == hashlib.sha256(ODD).hexdigest()
    with pytest.raises(ModelMissing):
        local_model("net@1")


def test_a_file_with_one_other_byte_is_never_handed_out(mirror: Path) -> None:
    (mirror / "models/1.bin").write_bytes(b"X" + PLAIN[1:])
    assert local_model("net").version == "1-odd"
    (mirror / "models/1-odd.bin").write_bytes(ODD[:-1] + b"X")
    with pytest.raises(ModelMissing, match="Get it with: saccade assets pull net") as refused:
        local_model("net")
    assert str(mirror) not in refused.value.message
    with pytest.raises(ModelMissing, match="other bytes"):
        pull("net", print)


def test_a_model_that_is_not_registered_is_told_with_those_that_are(mirror: Path) -> None:
    del mirror
    for name in ("nut", "", "../net", "net@", "net@../1"):
        with pytest.raises(InvalidParams, match="there are: net"):
            local_model(name)
    with pytest.raises(InvalidParams, match="there are: 1, 1-odd"):
        local_model("net@2")


def test_pull_from_a_web_mirror_fills_the_cache_and_falls_to_the_stand_in(
    mirror: Path, web: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", web)
    with pytest.raises(ModelMissing):
        local_model("net")
    (mirror / "models/1.bin").unlink()
    said: list[str] = []
    assert pull("net", said.append).path == tmp_path / "cache/assets/models/1-odd.bin"
    assert "models/1-odd.bin" in said[-1]
    monkeypatch.delenv("SACCADE_ASSETS_MIRROR")
    assert local_model("net@1-odd").path.read_bytes() == ODD


def test_without_a_mirror_the_official_address_is_asked(
    mirror: Path, web: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del mirror
    official = _version("1", PLAIN, url=f"{web}/models/1.bin")
    net = weights.RegisteredModel("net", "yunet", (official, _version("1-odd", ODD, stand_in=True)))
    monkeypatch.setattr(weights, "models", lambda: {"net": net})
    monkeypatch.delenv("SACCADE_ASSETS_MIRROR")
    with pytest.raises(ModelMissing):
        local_model("net")
    assert _Counting.asked == {}, "looking for a model asks nobody"
    assert pull("net", print).path == tmp_path / "cache/assets/models/1.bin"
    assert pull("net", print).version == "1"
    assert _Counting.asked == {"/models/1.bin": 1}


def test_processes_that_pull_at_once_download_once(
    face_ssd: dict[str, bytes], mirror: Path, web: str, tmp_path: Path
) -> None:
    for path, content in face_ssd.items():
        (mirror / path).write_bytes(content)
    code = "from saccade_models.weights import pull; print(pull('face_ssd', lambda line: None).path)"
    environment = {**os.environ, "SACCADE_ASSETS_MIRROR": web}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    paths = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert paths == {str(tmp_path / "cache/assets/models/opencv_face_detector_uint8.pb")}
    assert _Counting.asked == {f"/{path}": 1 for path in face_ssd}


def test_weights_without_their_exported_form_are_not_here(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del mirror
    net = weights.RegisteredModel("net", "yolo", (_version("1", PLAIN, family="yolo"),))
    monkeypatch.setattr(weights, "models", lambda: {"net": net})
    with pytest.raises(ModelMissing):
        local_model("net")
    made = tmp_path / "made.onnx"
    made.write_bytes(b"an exported form")
    form = derived.put(made, net.versions[0].sha256, {"us": "1"})
    found = local_model("net")
    assert found.files["onnx"] == form.path
    assert found.facts["onnx_sha256"] == hashlib.sha256(b"an exported form").hexdigest()
    form.path.write_bytes(b"An exported form")
    with pytest.raises(ModelMissing):
        local_model("net")
    form.path.write_bytes(b"an exported form")
    record = form.path.with_name(derived.RECORD)
    record.write_text(json.dumps({**json.loads(record.read_text()), "made_from": "0" * 64}))
    with pytest.raises(ModelMissing):
        local_model("net")


def test_an_export_that_fails_says_why(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del mirror
    net = weights.RegisteredModel("net", "yolo", (_version("1", PLAIN, family="yolo"),))
    monkeypatch.setattr(weights, "models", lambda: {"net": net})
    with pytest.raises(EngineFailed, match="No model is called 'net@1'"):  # the real process knows the real registry
        pull("net", print, lambda: Path(sys.executable))


def test_the_registry_is_whole() -> None:
    assert {"yolo11n", "yunet", "face_ssd", "mobilefacenet", "hand_landmarker", "faster_rcnn"} <= set(models())
    for model in models().values():
        assert not model.versions[0].stand_in, f"{model.name}: a stand-in comes after what it stands in for"
        assert len({version.version for version in model.versions}) == len(model.versions)
        for version in model.versions:
            assert version.licence and version.source.startswith("https://") and "weights" in version.files
            for file in version.files.values():
                assert len(bytes.fromhex(file.sha256)) == 32 and file.bytes > 0
                if isinstance(file, weights.PackagedFile):
                    assert weights.local_file(file) == file.path, f"{file.path.name} is other than registered"
                else:
                    assert file.url is None or file.url.startswith("https://")


@pytest.mark.stack
def test_yolo_is_exported_once_and_its_onnx_sees_the_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(tmp_path / "cache"))
    said: list[str] = []
    found = pull("yolo11n", said.append)
    made_at = found.files["onnx"].stat().st_mtime_ns
    again = pull("yolo11n", said.append)
    assert again.files["onnx"].stat().st_mtime_ns == made_at
    assert sum("exporting" in line for line in said) == 1
    assert not list((tmp_path / "cache/derived").rglob("*.making"))
    assert _seen_on_the_bus(found.files["onnx"]) == {"person": 4, "bus": 1}


def _seen_on_the_bus(onnx: Path) -> Counter[str]:
    """Labels of what the network finds in the picture that comes with ultralytics, overlaps suppressed by OpenCV."""
    import ast

    import cv2
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    names = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
    picture = cv2.imread(str(bus()))
    assert picture is not None
    pixels = cv2.resize(picture, (480, 640))  # it is 810x1080: the network takes what is not square
    tensor = cv2.dnn.blobFromImage(pixels, 1 / 255, swapRB=True)
    rows = np.asarray(session.run(None, {"images": tensor})[0])[0].T
    boxes, scores = rows[:, :4], rows[:, 4:]
    boxes[:, :2] -= boxes[:, 2:] / 2
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best.tolist(), classes.tolist(), 0.35, 0.45)
    return Counter(str(names[int(classes[i])]) for i in np.asarray(kept).ravel())
