"""Assets are handed out only with the registered bytes, from cache, folder or web."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from saccade_core import assets
from saccade_core.assets import Asset, asset
from saccade_core.errors import AssetMissing

CONTENT = b"a small file" * 1000


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args


@pytest.fixture(autouse=True)
def _one_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of one file without an address, an empty cache and a mirror folder that has the file."""
    entry = Asset("docs/a b.txt", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "CC0-1.0", None, "us")
    monkeypatch.setattr(assets, "registry", lambda: {entry.path: entry})
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror/docs").mkdir(parents=True)
    (tmp_path / "mirror/docs/a b.txt").write_bytes(CONTENT)


@pytest.fixture
def web(tmp_path: Path) -> Generator[str]:
    """The mirror folder over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "mirror")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_mirror_is_used_in_place(tmp_path: Path) -> None:
    assert asset("docs/a b.txt") == tmp_path / "mirror/docs/a b.txt"
    assert not (tmp_path / "cache").exists()


def test_a_web_mirror_fills_the_cache(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", web)
    path = asset("docs/a b.txt")
    assert path == tmp_path / "cache/assets/docs/a b.txt"
    assert path.read_bytes() == CONTENT
    monkeypatch.delenv("SACCADE_ASSETS_MIRROR")
    assert asset("docs/a b.txt") == path, "the cache needs no mirror"
    assert not path.with_name("a b.txt.part").exists()


def test_other_bytes_are_never_handed_out(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror/docs/a b.txt").write_bytes(b"X" + CONTENT[1:])
    with pytest.raises(AssetMissing, match="other bytes"):
        asset("docs/a b.txt")
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", web)
    with pytest.raises(AssetMissing, match="other bytes"):
        asset("docs/a b.txt")
    (tmp_path / "mirror/docs/a b.txt").write_bytes(CONTENT + b"more")
    with pytest.raises(AssetMissing, match="larger"):
        asset("docs/a b.txt")
    assert [p.name for p in (tmp_path / "cache/assets/docs").iterdir()] == ["a b.txt.lock"]


def test_a_damaged_cache_is_mended(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", web)
    cached = tmp_path / "cache/assets/docs/a b.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"X" + CONTENT[1:])
    assert asset("docs/a b.txt").read_bytes() == CONTENT


def test_a_missing_asset_says_what_to_do(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror/docs/a b.txt").unlink()
    with pytest.raises(AssetMissing, match="does not have it"):
        asset("docs/a b.txt")
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", web)
    with pytest.raises(AssetMissing, match="HTTP status 404"):
        asset("docs/a b.txt")
    monkeypatch.delenv("SACCADE_ASSETS_MIRROR")
    with pytest.raises(AssetMissing, match="Set SACCADE_ASSETS_MIRROR") as missing:
        asset("docs/a b.txt")
    assert str(tmp_path) not in missing.value.message
    with pytest.raises(AssetMissing, match="No asset is called"):
        asset("../../etc/passwd")


def test_the_registry_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    entries = assets.registry()
    assert "documents/ocr/phototest.tif" in entries
    assert all(len(bytes.fromhex(e.sha256)) == 32 and e.bytes > 0 and e.licence for e in entries.values())
