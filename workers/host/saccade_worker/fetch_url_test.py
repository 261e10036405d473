"""Fetching from a real server, and from hostile ones."""

from __future__ import annotations

import hashlib
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from saccade_core.errors import Cancelled, FetchFailed, FetchRefused, InputError, InputTooLarge, SaccadeError
from saccade_worker.fetch_url import MAX_REDIRECTS, Fetched, fetch_url
from saccade_worker.public_address import is_public

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5000


class Site(BaseHTTPRequestHandler):
    """``/status/N``, ``/to/URL``, ``/hops/N``, ``/slow-body``, ``/slow-head``, ``/chunked``, ``/cut``, else a PNG."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name, _, rest = self.path.removeprefix("/").partition("/")
        try:
            getattr(self, f"_{name.replace('-', '_')}", self._file)(rest)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for header, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def _file(self, _rest: str) -> None:
        self._answer(200, {"Content-Type": "text/html"}, PNG)

    def _plain(self, _rest: str) -> None:
        self._answer(200, {"Content-Type": "application/x-odd; charset=x"}, b"\0\1\2\3")

    def _host(self, _rest: str) -> None:
        self._answer(200, {}, self.headers["Host"].encode())

    def _status(self, rest: str) -> None:
        self._answer(int(rest), {})

    def _to(self, rest: str) -> None:
        self._answer(302, {"Location": rest})

    def _nowhere(self, _rest: str) -> None:
        self._answer(302, {})

    def _hops(self, rest: str) -> None:
        self._answer(301, {"Location": f"/hops/{int(rest) - 1}" if int(rest) > 1 else "/photo.png"})

    def _gzip(self, _rest: str) -> None:
        self._answer(200, {"Content-Encoding": "gzip"}, PNG)

    def _cut(self, _rest: str) -> None:
        self._answer(200, {"Content-Length": str(len(PNG) + 1)}, PNG)
        self.close_connection = True

    def _endless(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(bytes(65536))

    def _slow_body(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self._drip()

    def _slow_head(self, _rest: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._drip()

    def _drip(self) -> None:
        """A byte every 50 ms: no single read takes long."""
        self.close_connection = True
        while True:
            self.wfile.write(b"a")
            time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args


def serve(server: ThreadingHTTPServer) -> Generator[str]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site() -> Generator[str]:
    yield from serve(ThreadingHTTPServer(("127.0.0.1", 0), Site))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


def fetch(url: str, path: Path, **options: Any) -> Fetched:
    return fetch_url(url, path, allow_http=True, allow_private=True, **options)


def refused(expected: type[SaccadeError], url: str, path: Path, **options: Any) -> SaccadeError:
    """The error of a fetch that must fail, leaving no file behind."""
    with pytest.raises(expected) as failed:
        fetch(url, path, **options)
    assert not path.exists()
    return failed.value


def resolving(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> list[str]:
    """Make names resolve to the next of their lists of addresses; returns the names asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *rest: Any, **options: Any) -> Any:
        if host not in answers:
            return real(host, *rest, **options)
        asked.append(host)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [entry for address in found for entry in real(address, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_a_file_is_fetched(site: str, path: Path) -> None:
    fetched = fetch(f"http://{site}/photo.png?x=1#part", path)
    assert path.read_bytes() == PNG
    assert fetched == Fetched(len(PNG), hashlib.sha256(PNG).hexdigest(), "image/png"), "the bytes count, not the header"


def test_the_media_type_is_what_the_server_says_where_the_bytes_say_nothing(site: str, path: Path) -> None:
    assert fetch(f"http://{site}/plain", path).media_type == "application/x-odd"


def test_redirects_are_followed_up_to_a_limit(site: str, path: Path) -> None:
    fetch(f"http://{site}/hops/{MAX_REDIRECTS}", path)
    assert path.read_bytes() == PNG
    path.unlink()
    refused(FetchRefused, f"http://{site}/hops/{MAX_REDIRECTS + 1}", path)
    assert refused(FetchFailed, f"http://{site}/nowhere", path).retryable


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206, 304])
def test_a_refusal_is_final(site: str, path: Path, status: int) -> None:
    error = refused(InputError, f"http://{site}/status/{status}", path, field="inputs.image")
    assert (error.retryable, error.received, error.field) == (False, status, "inputs.image")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_failure_may_be_tried_again(site: str, path: Path, status: int) -> None:
    assert refused(FetchFailed, f"http://{site}/status/{status}", path).retryable


def test_too_large_by_its_own_word_or_on_the_way(site: str, path: Path) -> None:
    assert fetch(f"http://{site}/a", path, max_bytes=len(PNG)).bytes == len(PNG)
    path.unlink()
    assert refused(InputTooLarge, f"http://{site}/a", path, max_bytes=len(PNG) - 1).received == len(PNG)
    assert refused(InputTooLarge, f"http://{site}/endless", path, max_bytes=1 << 20).received is None


@pytest.mark.parametrize("what", ["slow-body", "slow-head"])
def test_a_dripping_server_ends_at_the_time_limit(site: str, path: Path, what: str) -> None:
    error = refused(FetchFailed, f"http://{site}/{what}", path, time_limit_s=0.5)
    assert "too slow" in error.message


def test_a_cut_or_encoded_body_is_no_file(site: str, path: Path) -> None:
    refused(FetchFailed, f"http://{site}/cut", path)
    refused(InputError, f"http://{site}/gzip", path)


def test_a_server_that_is_not_there(path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        refused(FetchFailed, f"http://127.0.0.1:{taken.getsockname()[1]}/", path)
    refused(FetchFailed, "http://no-such-host.invalid/", path)


def test_a_cancelled_job_stops_fetching(site: str, path: Path) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise Cancelled("The job was cancelled.")

    refused(Cancelled, f"http://{site}/endless", path, check=check)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "https:///a",
        "https://",
        "//example.com/a",
        "a.png",
        "",
        "https://user:secret@example.com/a",
        "https://exa mple.com/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://[::1/",
    ],
)
def test_only_https_urls_of_a_host_are_fetched(path: Path, url: str) -> None:
    with pytest.raises(FetchRefused) as failed:
        fetch_url(url, path)
    assert "secret" not in failed.value.message + str(failed.value.received)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "100.64.0.1",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fe80::1%25lo]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
    ],
)
def test_hosts_inside_are_refused_in_every_spelling(path: Path, host: str) -> None:
    for scheme in ("https", "http"):
        with pytest.raises(FetchRefused, match=r"public addresses|not valid"):
            fetch_url(f"{scheme}://{host}/", path, allow_http=True)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:1.1.1.1"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_a_name_of_a_private_address_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, {"in.example": [["10.1.2.3"]], "mixed.example": [["1.1.1.1", "127.0.0.1"]]})
    for host in ("in.example", "mixed.example"):
        with pytest.raises(FetchRefused, match="public addresses"):
            fetch_url(f"https://{host}/", path)


@pytest.mark.parametrize(
    "target", ["http://127.0.0.3/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/", "http://in.example/"]
)
def test_a_redirect_inside_is_refused(site: str, path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """The first host counts as public here; where it redirects to does not."""
    resolving(monkeypatch, {"out.example": [["127.0.0.1"]], "in.example": [["127.0.0.2"]]})
    port = site.partition(":")[2]

    def with_the_site(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return str(address) == "127.0.0.1" or is_public(address)

    monkeypatch.setattr("saccade_worker.public_address.is_public", with_the_site)
    with pytest.raises(FetchRefused, match="public addresses"):
        fetch_url(f"http://out.example:{port}/to/{target}", path, allow_http=True)
    assert not path.exists()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://1.1.1.1/", "ftp://1.1.1.1/", "https://a:b@1.1.1.1/"])
def test_a_redirect_to_another_scheme_is_refused(tls_site: str, path: Path, target: str) -> None:
    with pytest.raises(FetchRefused):
        fetch_url(f"https://{tls_site}/to/{target}", path, allow_private=True)


def test_the_checked_address_is_the_one_connected_to(site: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says something else the second time is not asked a second time."""
    asked = resolving(monkeypatch, {"rebind.example": [["127.0.0.1"], ["127.0.0.9"]]})
    fetch(f"http://rebind.example:{site.partition(':')[2]}/host", path)
    assert asked == ["rebind.example"]
    assert path.read_bytes() == f"rebind.example:{site.partition(':')[2]}".encode()


@pytest.fixture
def tls_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """The site over TLS as ``files.example``, whose certificate is trusted in this test."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    openssl = shutil.which("openssl")
    assert openssl, "openssl is not installed: apt-get install openssl"
    name = ["-subj", "/CN=files.example", "-addext", "subjectAltName=DNS:files.example"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", "-x509", *curve, *name, *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    resolving(monkeypatch, {"files.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    for address in serve(server):
        yield f"files.example:{address.partition(':')[2]}"


def test_over_tls_the_certificate_is_checked_against_the_name(tls_site: str, path: Path) -> None:
    assert fetch_url(f"https://{tls_site}/photo.png", path, allow_private=True).bytes == len(PNG)
    path.unlink()
    for wrong in (tls_site.replace("files", "other"), tls_site.replace("files.example", "127.0.0.1")):
        with pytest.raises(FetchFailed):
            fetch_url(f"https://{wrong}/photo.png", path, allow_private=True)
